"""Batch prediction: the numbers of the model itself, in order, in few shapes, traced once."""

import gc
import weakref

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tqdm import tqdm

from kbert.config import BertConfig
from kbert.inference import batches
from kbert.inference.answering import predict_features
from kbert.inference.batches import padded_batches, read_ahead
from kbert.inference.forward import Forward, forward_of
from kbert.models import build_encoder
from kbert.tasks.features import Feature

CONFIG = dict(num_layers=2, num_heads=2, hidden_dim=16, intermediate_dim=32, initializer_stddev=0.3)


def features(lengths):
    rng = np.random.default_rng(len(lengths))
    return [
        Feature(
            {
                "token_ids": rng.integers(0, 50, length).astype("int32"),
                "segment_ids": (np.arange(length) > length // 2).astype("int32"),
                "padding_mask": np.ones(length, "int32"),
            },
            number,
            {},
            {},
        )
        for number, length in enumerate(lengths)
    ]


def one_by_one(model, wanted):
    """The model itself, called on each row without padding."""
    for feature in wanted:
        row = {name: values[None] for name, values in feature.inputs.items()}
        yield keras.ops.convert_to_numpy(model(row, training=False)["pooled_output"])[0]


@pytest.fixture(params=["gelu_tanh", "gelu_erf", "relu"])
def encoder(request):
    config = BertConfig(50, **CONFIG, max_sequence_length=40, activation=request.param)
    return build_encoder(config, ("pooled_output",))


def test_equals_the_model_row_by_row(encoder):
    """Compiled, TensorFlow fuses product, bias and activation: the same numbers nevertheless."""
    wanted = features([3, 20, 7, 7, 3, 20, 20, 3, 7])
    found = predict_features(encoder, wanted, batch_size=4, limit=40)
    for output, expected in zip(found, one_by_one(encoder, wanted), strict=True):
        np.testing.assert_allclose(output["pooled_output"], expected, atol=2e-6)


def test_bfloat16_weights_are_cast_once(precision):
    exact = build_encoder(BertConfig(50, **CONFIG), ("pooled_output",))
    precision("bfloat16")
    half = build_encoder(BertConfig(50, **CONFIG), ("pooled_output",))
    half.set_weights(exact.get_weights())
    assert {weight.dtype for weight in half.weights} <= {"bfloat16", "uint32"}
    wanted = features([3, 12, 30])
    found = predict_features(half, wanted, batch_size=4, limit=40)
    for output, expected in zip(found, one_by_one(exact, wanted), strict=True):
        np.testing.assert_allclose(
            output["pooled_output"].astype("float32"), expected, atol=0.1, rtol=0.1
        )


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 40), max_size=30), st.integers(1, 9), st.booleans())
def test_batches_hold_the_features_padded(lengths, batch_size, few_shapes):
    wanted, seen = features(lengths), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "MOST_TOKENS", 100)
        for numbers, batch in padded_batches(wanted, batch_size, 40, few_shapes):
            assert batch["token_ids"].size <= max(100, 40)
            assert len(numbers) <= len(batch["token_ids"]) <= batch_size
            for row, number in enumerate(numbers):
                own, length = batch["token_ids"][row], lengths[number]
                assert np.array_equal(own[:length], wanted[number].inputs["token_ids"])
                assert not batch["padding_mask"][row, length:].any()
            assert not batch["padding_mask"][len(numbers) :].any()
            seen += numbers
    assert sorted(seen) == list(range(len(lengths)))


def test_features_of_several_sequences_count_as_many():
    """Multiple choice: rows of as many choices share a batch, which has so many texts at most."""
    wanted = [
        Feature({"token_ids": np.ones((width, 5), "int32")}, number, {}, {})
        for number, width in enumerate((2, 3, 2, 9, 2, 3))
    ]
    found = [numbers for numbers, _ in padded_batches(wanted, batch_size=4, limit=40)]
    assert found == [[0, 2], [4], [1], [5], [3]]


def test_the_progress_counts_every_feature(encoder):
    with tqdm(total=9, disable=True) as bar:
        bar.update = lambda count: setattr(bar, "n", bar.n + count)
        predict_features(encoder, features([5] * 9), 2, 40, bar)
        assert bar.n == 9


def test_errors_of_the_thread_arrive():
    def items():
        yield 1
        raise ZeroDivisionError

    ahead = read_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(ZeroDivisionError):
        next(ahead)
    assert list(read_ahead(iter([]))) == []


def test_whatever_computes_may_answer():
    """A SavedModel is no Keras model."""
    forward = Forward(lambda inputs: {"sum": inputs["token_ids"].sum(axis=1)})
    wanted = features([3, 1, 7])
    found = predict_features(forward, wanted, batch_size=2, limit=40)
    assert [int(f["sum"]) for f in found] == [int(f.inputs["token_ids"].sum()) for f in wanted]
    assert predict_features(forward, [], batch_size=2, limit=40) == []


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="other backends compile each shape"
)
def test_traced_once_and_freed_with_its_model():
    traces = []

    class Counted(keras.layers.Layer):
        def call(self, x):
            traces.append(x.shape)
            return keras.ops.sum(x, axis=1)

    symbol = keras.Input((None,), dtype="int32", name="token_ids")
    model = keras.Model({"token_ids": symbol}, {"sum": Counted()(symbol)})
    built = len(traces)
    for shape in ((1, 3), (2, 3), (2, 9), (5, 4)):
        found = forward_of(model).run({"token_ids": np.ones(shape, "int32")})
        assert found["sum"].tolist() == [shape[1]] * shape[0]
    assert len(traces) == built + 1
    gone = weakref.ref(model)
    del model, found
    gc.collect()
    assert gone() is None
