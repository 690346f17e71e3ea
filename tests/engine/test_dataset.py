"""as_dataset: the batches of a function, in order, from any start."""

import numpy as np
import pytest

from kbert.engine.tensorflow import as_dataset


def batch(number):
    """Rows that grow with the number, in the nested structure of a training batch."""
    ids = np.full((2, 3 + number), number, "int32")
    return {"ids": ids}, {"target": np.array([number], "int64")}, np.float32([number / 2])


def fixed(number):
    return {"x": np.full((4, 2), number, "float32")}, np.arange(4, dtype="int32")


@pytest.mark.parametrize("start", [0, 5])
def test_order_and_start(start):
    result = list(as_dataset(fixed, 20, start).as_numpy_iterator())
    assert [int(inputs["x"][0, 0]) for inputs, _ in result] == list(range(start, start + 20))
    np.testing.assert_array_equal(result[0][1], np.arange(4))


def test_fixed_shapes_are_known_to_the_graph():
    inputs, targets = as_dataset(fixed, 3).element_spec
    assert inputs["x"].shape == (4, 2) and inputs["x"].dtype == "float32"
    assert targets.shape == (4,) and targets.dtype == "int32"


def test_shapes_that_change():
    dataset = as_dataset(batch, 4, start=1, fixed_shapes=False)
    assert dataset.element_spec[0]["ids"].shape.as_list() == [None, None]
    for number, result in enumerate(dataset.as_numpy_iterator(), start=1):
        inputs, targets, weights = result
        expected = batch(number)
        np.testing.assert_array_equal(inputs["ids"], expected[0]["ids"])
        np.testing.assert_array_equal(targets["target"], expected[1]["target"])
        np.testing.assert_array_equal(weights, expected[2])


def test_an_error_in_the_function_is_seen():
    def broken(number):
        if number == 2:
            raise ValueError("batch two is broken")
        return fixed(number)

    with pytest.raises(Exception, match="batch two is broken"):
        list(as_dataset(broken, 4).as_numpy_iterator())
