"""Vectors of texts: the formulas, long texts, and what folders say of pooling."""

import functools
import json

import numpy as np
import pytest

from kbert import build_encoder, to_huggingface
from kbert.checkpoints.directory import copy_weights
from kbert.checkpoints.sentence_vectors import Dense, Pooling
from kbert.errors import DataError
from kbert.inference.text_encoder import TextEncoder, embed
from kbert.inference.vectors import vectors_writer
from tests.checkpoints.published_models import make, minilm_folder
from tests.layers.contract import numpy

TEXTS = ["w7 w9", "w11", "w8 w9 w10 w11 w12 w13", "w7 w9"]


@pytest.fixture(scope="module")
def checkpoint():
    return make("pretraining")


def states_of(checkpoint, text):
    """The hidden states of one text alone, (layers + 1, sequence, hidden)."""
    ids = checkpoint.tokenizer.tokenize([text]).flat_values.numpy()
    return states_of_ids(checkpoint, ids[:14])


@functools.cache
def encoder_with_states(model, config):
    encoder = build_encoder(config, ("hidden_states",))
    copy_weights(model, encoder)
    return encoder


def states_of_ids(checkpoint, ids):
    encoder = encoder_with_states(checkpoint.model, checkpoint.config)
    tokenizer = checkpoint.tokenizer
    row = np.array([[tokenizer.cls_id, *ids, tokenizer.sep_id]], "int32")
    inputs = {"token_ids": row, "segment_ids": 0 * row, "padding_mask": 0 * row + 1}
    return np.concatenate([numpy(state) for state in encoder(inputs)["hidden_states"]])


REFERENCE = {
    "mean": lambda states: states.mean(axis=0),
    "max": lambda states: states.max(axis=0),
    "cls": lambda states: states[0],
}


@pytest.mark.parametrize(
    ("mode", "layers", "combination", "combine"),
    [
        *((mode, (-1,), "concatenate", lambda s: s[-1]) for mode in REFERENCE),
        ("max", (0,), "sum", lambda s: s[0]),
        ("mean", (-2, -1), "concatenate", lambda s: np.concatenate([s[-2], s[-1]], axis=-1)),
        ("cls", (0, 1, 2), "sum", lambda s: s.sum(axis=0)),
    ],
)
def test_pooling(checkpoint, mode, layers, combination, combine):
    vectors = TextEncoder(checkpoint, Pooling(mode, layers, combination)).encode(TEXTS)
    expected = [REFERENCE[mode](combine(states_of(checkpoint, text))) for text in TEXTS]
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    assert vectors.dtype == "float32"


def test_normalized(checkpoint):
    plain = TextEncoder(checkpoint).encode(TEXTS)
    vectors = TextEncoder(checkpoint, Pooling(normalize=True)).encode(TEXTS)
    lengths = np.linalg.norm(plain, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors, plain / lengths, atol=1e-6)


LONG = " ".join(f"w{7 + n % 9}" for n in range(40))


def test_a_long_text_is_refused_by_its_number(checkpoint):
    with pytest.raises(
        DataError, match="Text 2 has .* tokens, and the encoder takes 16. Let long texts be cut"
    ):
        TextEncoder(checkpoint).encode(["w7", LONG])


def test_a_long_text_is_cut(checkpoint):
    vectors = TextEncoder(checkpoint, long="cut").encode([LONG])
    expected = states_of(checkpoint, LONG)[-1].mean(axis=0)
    np.testing.assert_allclose(vectors, [expected], atol=1e-5)


@pytest.mark.parametrize("mode", REFERENCE)
def test_windows_of_a_long_text_count_by_their_tokens(checkpoint, mode):
    found = TextEncoder(checkpoint, Pooling(mode), long="window").encode([LONG, "w7"])
    ids = checkpoint.tokenizer.tokenize([LONG]).flat_values.numpy()
    parts = [ids[start : start + 14] for start in range(0, len(ids), 14)]
    assert len(parts) > 2 and len(parts[-1]) < 14
    vectors = [REFERENCE[mode](states_of_ids(checkpoint, part)[-1]) for part in parts]
    if mode == "max":
        expected = np.max(vectors, axis=0)
    else:
        expected = np.average(vectors, axis=0, weights=[len(part) + 2 for part in parts])
    np.testing.assert_allclose(found[0], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pooling": Pooling(layers=(3,))}, "layers must be -3 to 2"),
        ({"sequence_length": 17}, "3 to 16. Received: 17"),
        ({"long": "drop"}, "refuse, cut, window"),
    ],
)
def test_options_that_make_no_sense(checkpoint, options, said):
    with pytest.raises(DataError, match=said):
        TextEncoder(checkpoint, **options)


def test_several_poolings_are_concatenated(checkpoint):
    vectors = TextEncoder(checkpoint, Pooling("max+cls")).encode(TEXTS)
    states = [states_of(checkpoint, text)[-1] for text in TEXTS]
    expected = [np.concatenate([s.max(axis=0), s[0]]) for s in states]
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_modules_follow_the_pooling_of_a_whole_text(checkpoint):
    """Of a long text behind that of its windows."""
    rng = np.random.default_rng(0)
    dense = Dense("tanh", rng.normal(size=(8, 3)).astype("float32"))
    encoder = TextEncoder(checkpoint, Pooling(modules=(dense,), normalize=True), long="window")
    assert encoder.width == 3
    plain = TextEncoder(checkpoint, long="window").encode(["w7 w8", LONG])
    expected = np.tanh(plain @ dense.kernel)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder.encode(["w7 w8", LONG]), expected, atol=1e-6)


def test_a_prompt_and_a_length(checkpoint):
    encoder = TextEncoder(checkpoint, Pooling(prompt="w9 "))
    np.testing.assert_array_equal(encoder.encode(["w7"]), TextEncoder(checkpoint).encode(["w9 w7"]))
    assert TextEncoder(checkpoint, Pooling(sequence_length=9)).sequence_length == 9
    assert TextEncoder(checkpoint, Pooling(sequence_length=99)).sequence_length == 16
    assert TextEncoder(checkpoint, Pooling(sequence_length=9), 12).sequence_length == 12


def test_minilm_knows_what_is_alike():
    from kbert.checkpoints.formats import load_any, pooling_of

    folder = minilm_folder()
    pooling = pooling_of(folder)
    assert pooling == Pooling("mean", normalize=True, sequence_length=256)
    music, guitar, stocks = TextEncoder(load_any(folder), pooling).encode(
        ["Someone is making music.", "A man plays the guitar.", "The stock market fell."]
    )
    assert music @ guitar > 0.5 > 0.1 > music @ stocks


def test_files(tmp_path):
    texts, vectors = ["one\ttwo", "三"], np.array([[0.1, 2.0], [-3.0, 1e-9]], "float32")
    for name in ("v.npy", "v.jsonl", "projector"):
        vectors_writer(str(tmp_path / name))(texts, vectors)
    np.testing.assert_array_equal(np.load(tmp_path / "v.npy"), vectors)
    rows = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text("utf-8").splitlines()]
    assert [row["text"] for row in rows] == texts
    np.testing.assert_array_equal(np.array([row["embedding"] for row in rows], "float32"), vectors)
    tensors = np.loadtxt(tmp_path / "projector" / "tensors.tsv", delimiter="\t", dtype="float32")
    np.testing.assert_array_equal(tensors, vectors)
    labels = (tmp_path / "projector" / "metadata.tsv").read_text("utf-8")
    assert labels == "one two\n三\n"
    # Half of a pair of surrogates, as JSON may hold it.
    vectors_writer(str(tmp_path / "projector"))(["\ud800", "b"], vectors)
    assert (tmp_path / "projector" / "metadata.tsv").read_text("utf-8") == "\\ud800\nb\n"


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("v.txt", r"\.npy or \.jsonl"),
        ("none/v.npy", "There is no folder"),
        ("file/vectors", "file is a file; expected a folder"),
    ],
)
def test_a_wrong_output_is_known_before_the_work(tmp_path, output, said):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=said):
        vectors_writer(str(tmp_path / output))


def test_any_format_by_one_call(tmp_path, checkpoint):
    to_huggingface(tmp_path, checkpoint)
    expected = TextEncoder(checkpoint).encode(TEXTS)
    np.testing.assert_array_equal(embed(tmp_path, TEXTS), expected)
    expected = TextEncoder(checkpoint, Pooling("cls")).encode(TEXTS)
    found = embed(tmp_path, TEXTS, pooling="cls", batch_size=2)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    with pytest.raises(DataError, match="There is no folder"):
        embed(tmp_path / "nothing", TEXTS)
