"""The numbers of Hugging Face's transformers: from its weights and from those kbert writes."""

import pathlib

import numpy as np
import pytest

from kbert import build_encoder, from_huggingface
from kbert.checkpoints.directory import copy_weights
from kbert.layers import IMPOSSIBLE
from kbert.tasks.features import Feature, pad_batch
from tests.checkpoints.published_models import minilm_folder
from tests.golden.tiny_model import ROTARY_TASKS, tiny_checkpoint, tiny_finetuned, tiny_rotary
from tests.golden.tiny_model import TASKS as TINY_TASKS
from tests.layers.contract import numpy

GOLDEN = pathlib.Path(__file__).parents[2] / "golden"


@pytest.fixture(scope="module")
def golden():
    return np.load(GOLDEN / "golden.npz")


@pytest.fixture(scope="module")
def minilm():
    return from_huggingface(minilm_folder())


@pytest.fixture(scope="module")
def minilm_encoder(minilm):
    encoder = build_encoder(minilm.config, ("hidden_states",))
    copy_weights(minilm.model, encoder)
    return encoder


@pytest.fixture(scope="module")
def rows(minilm):
    """The model's inputs of each of the 200 texts, (sequence,) each."""
    texts = (GOLDEN / "texts.txt").read_text(encoding="utf-8").splitlines()
    inputs = {name: np.asarray(array) for name, array in minilm.tokenizer(texts).items()}
    lengths = inputs["padding_mask"].sum(axis=1)
    return [
        {name: array[row, :length] for name, array in inputs.items()}
        for row, length in enumerate(lengths)
    ]


def largest_difference(golden, number, states):
    """Over all layers, at the places of the golden file; `states` is (layers, sequence, hidden)."""
    at = golden["minilm_places"][number]
    found = states[np.arange(len(states))[:, None], at[..., 0], at[..., 1]]
    return np.abs(found - golden["minilm_values"][number]).max()


def test_minilm_equals_transformers_in_one_padded_batch(golden, minilm_encoder, rows):
    assert len(rows) == 200 and max(len(row["token_ids"]) for row in rows) > 150
    features = [Feature(row, number, {}, {}) for number, row in enumerate(rows)]
    longest = max(feature.length for feature in features)
    inputs, _, _ = pad_batch(features, longest, len(rows))
    states = np.stack([numpy(s) for s in minilm_encoder(inputs)["hidden_states"]], axis=1)
    differences = [largest_difference(golden, n, states[n]) for n in range(len(rows))]
    assert max(differences) < 2e-5


def test_minilm_equals_transformers_alone(golden, minilm_encoder, rows):
    for number in range(0, len(rows), 8):
        inputs = {name: array[None] for name, array in rows[number].items()}
        states = np.concatenate([numpy(s) for s in minilm_encoder(inputs)["hidden_states"]])
        assert largest_difference(golden, number, states) < 2e-5


def test_minilm_in_bfloat16(precision, minilm, minilm_encoder, rows):
    precision("mixed_bfloat16")
    encoder = build_encoder(minilm.config, ("hidden_states",))
    copy_weights(minilm.model, encoder)
    for row in rows[:20]:
        inputs = {name: array[None] for name, array in row.items()}
        exact, rounded = (
            numpy(model(inputs)["hidden_states"][-1]).astype("float64")[0].mean(axis=0)
            for model in (minilm_encoder, encoder)
        )
        assert exact @ rounded / np.linalg.norm(exact) / np.linalg.norm(rounded) >= 0.999


def test_what_we_write_gives_the_same_logits_in_transformers(golden):
    """golden.npz holds what transformers computed from `to_huggingface(tiny_checkpoint())`."""
    names = ("token_ids", "segment_ids", "padding_mask")
    inputs = {name: golden[f"tiny_{name}"] for name in names}
    batch, sequence = inputs["token_ids"].shape
    inputs["mask_positions"] = np.tile(np.arange(sequence, dtype="int32"), (batch, 1))
    inputs["cls_positions"] = np.zeros((batch, 1), "int32")
    outputs = tiny_checkpoint().model(inputs)
    is_token = inputs["padding_mask"] > 0
    np.testing.assert_allclose(
        numpy(outputs["masked_lm"])[is_token], golden["tiny_masked_lm"][is_token], atol=2e-5
    )
    next_sentence = numpy(outputs["next_sentence"])[:, 0]
    np.testing.assert_allclose(next_sentence, golden["tiny_next_sentence"], atol=2e-5)


ROTARY = [f"rotary/{name}" for name in ROTARY_TASKS]


@pytest.mark.parametrize("name", [*TINY_TASKS, *ROTARY])
def test_what_we_fine_tune_gives_the_same_in_transformers(golden, name):
    """transformers' own classes of the heads, of BERT and RoFormer, on what we wrote."""
    rotary, task = name.startswith("rotary/"), name.removeprefix("rotary/")
    names = ("token_ids", "segment_ids", "padding_mask")
    shape = (2, 2, -1) if task == "choice" else (4, -1)
    inputs = {key: golden[f"tiny_{key}"].reshape(shape) for key in names}
    checkpoint = tiny_finetuned(task, "rotary" if rotary else "learned")
    outputs = {key: numpy(value) for key, value in checkpoint.model(inputs).items()}
    counted = slice(None)
    if task == "qa":
        # Ours has no logit where no answer may begin.
        counted = outputs["start_logits"] > IMPOSSIBLE
    elif task == "tagging":
        counted = inputs["padding_mask"] > 0
    for key in ("start_logits", "end_logits") if task == "qa" else ("logits",):
        found = outputs["value" if task == "regression" else key]
        if task == "regression":
            found = checkpoint.task.mean + checkpoint.task.deviation * found
        expected = golden[f"{name}_{key}"]
        assert found.shape == expected.shape
        np.testing.assert_allclose(found[counted], expected[counted], atol=2e-5)


def test_rotary_positions_are_those_of_roformer(golden):
    inputs = {name: golden[f"tiny_{name}"] for name in ("token_ids", "segment_ids", "padding_mask")}
    is_token = inputs["padding_mask"] > 0
    found = numpy(tiny_rotary(None).model(inputs)["sequence_output"])
    expected = golden["rotary/encoder_last_hidden_state"]
    np.testing.assert_allclose(found[is_token], expected[is_token], atol=2e-5)
    batch, sequence = is_token.shape
    inputs["mask_positions"] = np.tile(np.arange(sequence, dtype="int32"), (batch, 1))
    scores = numpy(tiny_rotary("masked-lm").model(inputs)["masked_lm"])
    expected = golden["rotary/masked-lm_logits"]
    np.testing.assert_allclose(scores[is_token], expected[is_token], atol=2e-5)
