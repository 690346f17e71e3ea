"""Rows that several features share: each stands where the model looks, and learns as alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert.config import BertConfig
from kbert.finetuning.batches import TrainingBatches
from kbert.finetuning.packed_batches import PackedBatches, can_share_rows
from kbert.models import build_encoder
from kbert.tasks import TASKS
from kbert.tasks.features import Feature, single_segment


def feature(length, number, label=1, **more):
    targets = {"label": np.asarray(label, "int32")} | more
    weights = {name: np.ones(target.shape, "float32") for name, target in targets.items()}
    return Feature(single_segment([number] * length), 0, targets, weights)


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=120),
    st.integers(1, 9),
    st.integers(1, 3),
    st.integers(0, 2),
)
def test_every_feature_stands_once_an_epoch(lengths, batch_size, parts, epoch):
    features = [
        feature(length, i + 1, i, each=np.full(length, i + 1)) for i, length in enumerate(lengths)
    ]
    batches = PackedBatches(features, batch_size, 5, 40, ["each"], parts=parts)
    assert len(batches) == -(-len(lengths) // batch_size)
    found, shapes = [], set()
    for number in range(epoch * len(batches), (epoch + 1) * len(batches)):
        inputs, targets, weights = batches(number)
        shapes.add((inputs["token_ids"].shape, inputs["cls_positions"].shape))
        assert len(inputs["token_ids"]) % parts == 0
        for total in weights.values():
            assert total.sum() == pytest.approx(1, abs=1e-5)
        rows, slots = np.nonzero(weights["label"])
        assert len(rows) <= batch_size
        assert batches.num_tokens(number) == np.count_nonzero(inputs["padding_mask"])
        for row, slot in zip(rows, slots, strict=True):
            start = inputs["cls_positions"][row, slot]
            mask = inputs["padding_mask"][row]
            own = mask == mask[start]
            assert own.argmax() == start
            label = targets["label"][row, slot]
            assert own.sum() == lengths[label]
            for tokens in (inputs["token_ids"], targets["each"]):
                assert (tokens[row, own] == label + 1).all()
            found.append(label)
    assert sorted(found) == list(range(len(lengths)))
    assert len(shapes) == 1
    again = PackedBatches(features, batch_size, 5, 40, ["each"], parts=parts)(number)
    assert all(np.array_equal(again[0][name], inputs[name]) for name in inputs)


def test_batches_are_nearly_full():
    lengths = np.random.default_rng(0).gamma(4, 14, 2000).astype(int).clip(8, 128)
    batches = PackedBatches([feature(n, 1) for n in lengths], 32, 0, 128)
    rows, positions = batches.layout.shape
    assert lengths.sum() / (len(batches) * rows * positions) > 0.9


def test_epochs_and_seeds_draw_others():
    features = [feature(4, i) for i in range(64)]
    one, other = (PackedBatches(features, 16, seed, 8) for seed in (0, 1))
    drawn = [one.plan(0)[0].tolist(), one.plan(1)[0].tolist(), other.plan(0)[0].tolist()]
    assert len(set(map(tuple, drawn))) == 3


def test_rows_are_shared_where_they_stay_short():
    assert can_share_rows([feature(128, 1), *[feature(4, 1)] * 99])
    assert can_share_rows([feature(300, 1), feature(200, 1)])
    assert not can_share_rows([feature(300, 1), *[feature(20, 1)] * 99])


TARGETS = {
    "classification": lambda rng, length: {"label": rng.integers(3)},
    "multilabel": lambda rng, length: {"labels": rng.integers(2, size=3).astype("float32")},
    "regression": lambda rng, length: {"value": np.float32(rng.normal())},
    "tagging": lambda rng, length: {"tags": rng.integers(3, size=length)},
}
TASK_OPTIONS = {
    "classification": {"labels": ("a", "b", "c"), "label_smoothing": 0.1},
    "multilabel": {"labels": ("a", "b", "c")},
    "regression": {},
    "tagging": {"labels": ("X",)},
}


def losses_and_gradients(task, model, batch):
    import tensorflow as tf

    inputs, targets, weights = batch
    with tf.GradientTape() as tape:
        sums = task.objective(model(inputs, training=False), targets, weights)
    names = [variable.path for variable in model.trainable_variables]
    found = tape.gradient(
        sums["loss"],
        [v.value for v in model.trainable_variables],
        unconnected_gradients="zero",
    )
    found = map(tf.convert_to_tensor, found)
    return {name: float(x) for name, x in sums.items()}, dict(zip(names, found, strict=True))


@pytest.mark.parametrize("name", TARGETS)
def test_a_packed_batch_learns_what_its_features_teach_alone(name):
    rng = np.random.default_rng(0)
    features = []
    for length in rng.integers(3, 14, 6):
        targets = {key: np.asarray(x) for key, x in TARGETS[name](rng, length).items()}
        of_tokens = name == "tagging"
        shape = length if of_tokens else ()
        weights = {key: np.asarray(rng.uniform(1, 2, shape), "float32") for key in targets}
        inputs = single_segment(rng.integers(5, 40, length))
        features.append(Feature(inputs, 0, targets, weights))
    task = TASKS[name](**TASK_OPTIONS[name])
    encoder = build_encoder(BertConfig.preset("tiny", 40))
    model = task.build_model(encoder)
    packed = task.packed(model, encoder)
    given = features, 6, 0, 16, task.token_targets
    alone = losses_and_gradients(task, model, TrainingBatches(*given)(0))
    batches = PackedBatches(*given, of_texts=name != "tagging")
    assert batches.layout.place.max() > 0
    together = losses_and_gradients(task, packed, batches(0))
    assert together[0] == pytest.approx(alone[0], rel=1e-5)
    assert set(together[1]) == set(alone[1])
    for path, gradient in alone[1].items():
        np.testing.assert_allclose(together[1][path], gradient, atol=2e-6, err_msg=path)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("classification", {"labels": ("a", "b"), "head": "mean"}),
        ("tagging", {"labels": ("X",), "crf": True}),
        ("tagging", {"labels": ("X",), "features": "last"}),
    ],
)
def test_what_reads_whole_rows_is_not_packed(name, options):
    encoder = build_encoder(BertConfig.preset("tiny", 40))
    task = TASKS[name](**options)
    assert task.packed(task.build_model(encoder), encoder) is None


def test_other_encoders_are_not_packed():
    for changes in ({"architecture": "cnn"}, {"direction": "left"}):
        encoder = build_encoder(BertConfig.preset("tiny", 40, **changes))
        task = TASKS["classification"](labels=("a", "b"))
        assert task.packed(task.build_model(encoder), encoder) is None
