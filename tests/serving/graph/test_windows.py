"""Windows in a graph, against the functions that tasks cut texts with."""

import numpy as np
import pytest
import tensorflow as tf

from kbert.serving.graph import windows as module
from kbert.serving.graph.windows import cut_windows, in_parts, plan_windows
from kbert.tasks.windows import cutting

LENGTHS = [*range(25), 0, 60]
PIECES = tf.RaggedTensor.from_row_lengths(np.arange(sum(LENGTHS), dtype="int32"), LENGTHS)


def check(found, expected, pieces=PIECES):
    """`expected` are the windows of each text."""
    flat = [(number, *window) for number, text in enumerate(expected) for window in text]
    columns = (found.text, found.begin, found.end)
    assert list(zip(*(c.numpy().tolist() for c in columns), strict=True)) == flat
    firsts = np.cumsum([0, *map(len, expected)])[:-1]
    assert found.first.numpy().tolist() == firsts.tolist()
    context = [
        first + cutting.maximal_context(windows)
        for first, windows in zip(firsts, expected, strict=True)
    ]
    assert found.maximal_context(pieces).numpy().tolist() == np.concatenate(context).tolist()
    starts = pieces.row_starts().numpy()
    shown = [list(range(starts[text] + begin, starts[text] + end)) for text, begin, end in flat]
    assert found.of(pieces).to_list() == shown


@pytest.mark.parametrize("size", [1, 2, 3, 6, 7, 30])
def test_planned(size):
    check(
        plan_windows(PIECES, size),
        [cutting.plan_windows(0, length, length, size) for length in LENGTHS],
    )


@pytest.mark.parametrize("stride", [1, 3, 5, 40])
def test_cut_into_windows_of_different_sizes(stride):
    sizes = [1 + number % 7 for number in range(len(LENGTHS))]
    check(
        cut_windows(PIECES, tf.constant(sizes, tf.int64), stride),
        [cutting.cut_windows(n, size, stride) for n, size in zip(LENGTHS, sizes, strict=True)],
    )


def test_no_texts():
    none = PIECES[:0]
    for found in (plan_windows(none, 5), cut_windows(none, tf.zeros([0], tf.int64), 5)):
        assert found.of(none).to_list() == []
        assert found.maximal_context(none).shape == (0,)


@pytest.mark.parametrize(("rows", "calls"), [(0, 1), (1, 1), (4, 2), (7, 4)])
def test_few_rows_are_computed_at_a_time(rows, calls, monkeypatch):
    monkeypatch.setattr(module, "MOST_TOKENS", 11)  # two rows of five
    sizes = []

    def forward(inputs):
        ids = inputs["token_ids"]
        tf.py_function(lambda size: sizes.append(int(size)), [tf.shape(ids)[0]], [])
        return {"sum": tf.reduce_sum(ids, axis=1), "ids": ids}

    ids = tf.reshape(tf.range(5 * rows), [rows, 5])
    found = in_parts(forward, {"token_ids": ids})
    np.testing.assert_array_equal(found["ids"], ids)
    np.testing.assert_array_equal(found["sum"], tf.reduce_sum(ids, axis=1))
    assert len(sizes) == calls and max(sizes) <= 2
