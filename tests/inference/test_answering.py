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
from kbert.inference import answering, forward
from kbert.inference.answering import predict_features, read_ahead
from kbert.inference.forward import compiled_forward
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
    """Compiled, TensorFlow melts product, bias and activation: the same numbers nevertheless."""
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
        patch.setattr(answering, "SHAPES_COST", few_shapes)
        patch.setattr(answering, "MOST_TOKENS", 100)
        for numbers, batch in answering.padded_batches(wanted, batch_size, limit=40):
            assert batch["token_ids"].size <= max(100, 40)
            assert len(numbers) <= len(batch["token_ids"]) <= batch_size
            for row, number in enumerate(numbers):
                own, length = batch["token_ids"][row], lengths[number]
                assert np.array_equal(own[:length], wanted[number].inputs["token_ids"])
                assert not batch["padding_mask"][row, length:].any()
            assert not batch["padding_mask"][len(numbers) :].any()
            seen += numbers.tolist()
    assert sorted(seen) == list(range(len(lengths)))


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


@pytest.mark.skipif(forward.SHAPES_COST, reason="other backends compile each shape")
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
        found = compiled_forward(model)({"token_ids": np.ones(shape, "int32")})
        assert found["sum"].tolist() == [shape[1]] * shape[0]
    assert len(traces) == built + 1
    gone = weakref.ref(model)
    del model, found
    gc.collect()
    assert gone() is None
