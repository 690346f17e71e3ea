"""Generated text: with keys and values kept against the whole row read again, NumPy, keras-hub."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from keras import ops

from apps.cli import run_command
from kbert.checkpoints.directory import Checkpoint, save
from kbert.config import BertConfig
from kbert.errors import DataError
from kbert.inference.generation import Generator, generate
from kbert.inference.generation_loops import choose
from kbert.inference.settings import GenerationSettings
from kbert.layers.encoder_block import TransformerEncoderBlock
from kbert.models import build_pretraining_model, empty_memories, read_on
from kbert.text.python_tokenizer import PythonTokenizer
from tests.layers.contract import numpy
from tests.reference_bert import randomized

WORDS = "the a cat cats sleep sleeps on mat ##s , . 猫 睡 了 。".split()
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
CONFIG = BertConfig(
    len(VOCABULARY),
    num_layers=2,
    num_heads=2,
    hidden_dim=8,
    intermediate_dim=16,
    max_sequence_length=16,
    direction="left",
)
VARIANTS = [
    {},
    {"norm_placement": "pre"},
    {"norm_placement": "nnu,wb"},
    {"position": "sinusoidal"},
    {"position": "rotary", "norm_placement": "pre"},
    {"position": "none"},
    {"position_at": "every_layer"},
    {"position": "sinusoidal", "position_at": "every_layer"},
    {"attention_score": "multiplicative"},
    {"attention_score": "additive", "position": "rotary"},
    {"activation": "geglu"},
]
PROMPTS = ["the cat", "", "a cat sleeps on the", "猫"]


def checkpoint_of(stddev=0.5, **changes):
    config = dataclasses.replace(CONFIG, **changes)
    model = build_pretraining_model(config, objective="left-to-right")
    randomized(model, stddev=stddev)
    return Checkpoint(model, PythonTokenizer(VOCABULARY), config)


@pytest.fixture(scope="module")
def checkpoint():
    return checkpoint_of(norm_placement="pre")


def all_scores(model, token_ids):
    """(batch, sequence, vocabulary) in one pass, as in training."""
    zeros = np.zeros_like(token_ids)
    inputs = {"token_ids": token_ids, "segment_ids": zeros, "padding_mask": zeros + 1}
    return numpy(model(inputs, training=False)["next_token"])


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_reading_on_equals_reading_all(variant):
    """The first three tokens together, then one at a time; to the model's last position."""
    model = checkpoint_of(**variant).model
    token_ids = np.random.default_rng(1).integers(5, len(VOCABULARY), (2, 16)).astype("int32")
    expected = all_scores(model, token_ids)
    memories, read = empty_memories(model, 2, 16), 0
    for end in (3, *range(4, 17)):
        scores, memories = read_on(model, ops.array(token_ids[:, read:end]), memories)
        np.testing.assert_allclose(numpy(scores), expected[:, end - 1], rtol=1e-5, atol=1e-5)
        read = end


def by_hand(checkpoint, prompt, tokens):
    """The likeliest piece each time, from the whole row."""
    ids = [2, *(VOCABULARY.index(word) for word in prompt.split())]
    given = len(ids)
    while len(ids) < min(given + tokens, CONFIG.max_sequence_length):
        scores = all_scores(checkpoint.model, np.array([ids], "int32"))[0, -1]
        ids.append(5 + int(scores[5:].argmax()))
    return [VOCABULARY[piece] for piece in ids[given:]]


@pytest.mark.parametrize(
    "architecture",
    [
        "transformer",
        pytest.param("bilstm", marks=pytest.mark.slow),
        pytest.param("cnn", marks=pytest.mark.slow),
    ],
)
def test_greedy_equals_a_loop_by_hand(architecture, checkpoint, monkeypatch):
    """Prompts of several lengths, one empty, together and in parts; the last row is full."""
    if architecture != "transformer":
        checkpoint = checkpoint_of(architecture=architecture)
    joined = "kbert.inference.generation.join_pieces"
    monkeypatch.setattr(joined, lambda pieces, prompt: pieces)
    monkeypatch.setattr("kbert.inference.generation._AT_ONCE", 3)
    found = generate(checkpoint, PROMPTS, GenerationSettings(tokens=12, temperature=0))
    assert found == [by_hand(checkpoint, prompt, 12) for prompt in PROMPTS]
    assert list(map(len, found)) == [12, 12, 10, 12]


def test_draws_depend_on_the_seed_and_the_prompts_number(checkpoint):
    settings = GenerationSettings(tokens=8, temperature=5)
    generator = Generator(checkpoint, settings)
    found = generator.pieces(PROMPTS)
    assert generator.pieces(PROMPTS[:2]) == found[:2]
    assert generator.pieces(PROMPTS[2:], first=2) == found[2:]
    first, *others = generator.pieces([PROMPTS[0]] * 4)
    assert first == found[0] and first not in others
    other = Generator(checkpoint, dataclasses.replace(settings, seed=1))
    assert other.pieces(PROMPTS) != found


def test_a_text_ends_behind_a_piece(checkpoint):
    """Given ones do not end it; another text goes on."""
    settings = GenerationSettings(tokens=14, temperature=5)
    texts = ["the cat .", "the cat"]
    free = generate(checkpoint, texts, settings)
    stopped = generate(checkpoint, texts, dataclasses.replace(settings, stop=(".", "mat")))
    for prompt, whole, text in zip(texts, free, stopped, strict=True):
        ends = [whole.find(stop, len(prompt)) + len(stop) for stop in (".", "mat")]
        first = min((end for end in ends if end > len(prompt)), default=len(whole))
        assert text == whole[:first]
    assert stopped != free


def log_softmax(scores):
    """Of pieces that may be chosen: [PAD] ... [MASK] stand first."""
    scores = np.where(np.arange(len(scores)) < 5, -np.inf, scores.astype("float64"))
    return scores - np.log(np.exp(scores - scores.max()).sum()) - scores.max()


def beams_by_hand(checkpoint, prompt, tokens, beams, stop=()):
    """All that the texts kept can go on with, from the whole rows; of them the likeliest."""
    ids = [2, *(VOCABULARY.index(word) for word in prompt.split())]
    given, kept = len(ids), [(0.0, ids)]
    end = min(given + tokens, CONFIG.max_sequence_length)

    def is_over(row):
        return len(row) == end or (len(row) > given and VOCABULARY[row[-1]] in stop)

    while growing := [text for text in kept if not is_over(text[1])]:
        found = [text for text in kept if is_over(text[1])]
        rows = np.array([row for _, row in growing], "int32")
        for (likelihood, row), scores in zip(
            growing, all_scores(checkpoint.model, rows)[:, -1], strict=True
        ):
            for piece, change in enumerate(log_softmax(scores)[5:], start=5):
                found.append((likelihood + change, [*row, piece]))
        kept = sorted(found, key=lambda text: -text[0])[:beams]
    return [VOCABULARY[piece] for piece in kept[0][1][given:]], kept[0][0]


@pytest.mark.parametrize(
    ("architecture", "beams", "stop"),
    [
        ("transformer", 3, None),
        ("transformer", 3, (".", "sleeps", "睡")),
        ("transformer", 20, None),  # More than there are pieces.
        pytest.param("cnn", 3, None, marks=pytest.mark.slow),
    ],
)
def test_beams_are_those_of_a_loop_by_hand(architecture, beams, stop):
    """Prompts of several lengths together; the last row is full. The scores are flat, so that the
    likeliest piece does not always begin the likeliest text."""
    checkpoint = checkpoint_of(0.3, architecture=architecture)
    settings = GenerationSettings(tokens=6, beams=beams, stop=stop)
    prompts = [*PROMPTS, "the cat " * 6]
    found = Generator(checkpoint, settings).pieces(prompts)
    expected = [beams_by_hand(checkpoint, p, 6, beams, stop or ())[0] for p in prompts]
    assert found == expected and len(found[-1]) <= 3
    greedy = Generator(checkpoint, GenerationSettings(tokens=6, temperature=0, stop=stop))
    assert greedy.pieces(prompts) != found


def test_enough_beams_find_the_likeliest_of_all_texts(checkpoint):
    words = len(WORDS)
    (found,) = Generator(checkpoint, GenerationSettings(tokens=3, beams=words**2)).pieces(["the"])
    best, likelihood = beams_by_hand(checkpoint, "the", 3, words**3)
    assert found == best and -10 < likelihood < 0


def choices(scores, count=4001, **options):
    """How often each class is chosen by draws that are spread evenly."""
    draws = (np.arange(count, dtype="float32") + 0.5) / count
    rows = np.tile(np.asarray(scores, "float32"), (count, 1))
    options = {"temperature": 1.0, "top_k": len(scores), "top_p": None, **options}
    chosen = numpy(choose(ops.array(rows), ops.array(draws), **options))
    return np.bincount(chosen, minlength=len(scores)) / count


SCORES = np.log([0.1, 0.4, 0.05, 0.25, 0.2])


def test_choices_have_the_probabilities_of_the_model():
    np.testing.assert_allclose(choices(SCORES), np.exp(SCORES), atol=1e-3)
    sharper = np.exp(SCORES) ** 2
    expected = sharper / sharper.sum()
    np.testing.assert_allclose(choices(SCORES, temperature=0.5), expected, atol=1e-3)
    np.testing.assert_array_equal(choices(SCORES, temperature=0), [0, 1, 0, 0, 0])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"top_k": 2}, [0, 40, 0, 25, 0]),
        ({"top_p": 0.6}, [0, 40, 0, 25, 0]),
        ({"top_p": 0.7}, [0, 40, 0, 25, 20]),
        ({"top_p": 1e-6}, [0, 1, 0, 0, 0]),
        ({"top_p": 1.0}, [10, 40, 5, 25, 20]),
        ({"top_k": 3, "top_p": 0.5}, [0, 40, 0, 25, 0]),
    ],
)
def test_choices_among_the_likeliest(options, expected):
    expected = np.array(expected) / np.sum(expected)
    np.testing.assert_allclose(choices(SCORES, **options), expected, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "options"), [("TopKSampler", {"k": 3}), ("TopPSampler", {"p": 0.6})]
)
def test_choices_are_those_of_keras_hub(name, options):
    keras_hub = pytest.importorskip("keras_hub")
    scores = np.random.default_rng(0).normal(size=12).astype("float32")
    sampler = getattr(keras_hub.samplers, name)(seed=0, **options)
    probabilities = ops.tile(ops.softmax(ops.array(scores))[None], (4001, 1))
    counted = np.bincount(numpy(sampler.get_next_token(probabilities)), minlength=12) / 4001
    found = choices(scores, **{f"top_{option}": value for option, value in options.items()})
    assert set(np.flatnonzero(counted)) == set(np.flatnonzero(found))
    np.testing.assert_allclose(found, counted, atol=0.03)


def test_a_block_that_sees_to_the_left_is_that_of_gpt_2():
    """keras-hub's decoder block with the same weights, pre-norm, as its GPT-2 has it."""
    keras_hub = pytest.importorskip("keras_hub")
    ours = TransformerEncoderBlock(2, 16, direction="left", norm_placement="bb")
    theirs = keras_hub.layers.TransformerDecoder(
        16,
        2,
        activation=lambda x: keras.activations.gelu(x, approximate=True),
        layer_norm_epsilon=1e-12,
        normalize_first=True,
    )
    x = np.random.default_rng(0).normal(size=(2, 7, 8)).astype("float32")
    ours(x), theirs(x)
    rng = np.random.default_rng(1)
    for weight in ours.weights:
        weight.assign(rng.normal(scale=0.5, size=weight.shape))
    values = {weight.path.split("/", 1)[1]: numpy(weight) for weight in ours.weights}
    kernels = np.split(values["attention/query_key_value/kernel"], 3, axis=1)
    biases = np.split(values["attention/query_key_value/bias"], 3)
    attention = theirs._self_attention_layer
    parts = (attention.query_dense, attention.key_dense, attention.value_dense)
    for part, kernel, bias in zip(parts, kernels, biases, strict=True):
        part.set_weights([kernel.reshape(8, 2, 4), bias.reshape(2, 4)])
    projection = [values[f"attention/output_projection/{name}"] for name in ("kernel", "bias")]
    attention.output_dense.set_weights([projection[0].reshape(2, 4, 8), projection[1]])
    others = {
        "attention_input_norm": theirs._self_attention_layer_norm,
        "intermediate": theirs._feedforward_intermediate_dense,
        "output": theirs._feedforward_output_dense,
        "intermediate_input_norm": theirs._feedforward_layer_norm,
    }
    for name, layer in others.items():
        own = [key for key in values if key.startswith(f"{name}/")]
        layer.set_weights([values[key] for key in own])
    np.testing.assert_allclose(numpy(ours(x)), numpy(theirs(x)), atol=1e-5)


def test_the_command(checkpoint, tmp_path, capsys):
    save(tmp_path / "lm", checkpoint)
    options = ["--tokens", "3", "--temperature", "0", "--json"]
    assert run_command("generate", [str(tmp_path / "lm"), "the cat", "猫 睡 ", *options]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["prompt"] for row in rows] == ["the cat", "猫 睡 "]
    settings = GenerationSettings(tokens=3, temperature=0)
    assert [row["text"] for row in rows] == generate(checkpoint, ["the cat", "猫 睡"], settings)
    assert rows[1]["text"].startswith("猫 睡")


def test_what_cannot_be_gone_on_with(checkpoint):
    config = dataclasses.replace(CONFIG, direction="both")
    masked = checkpoint._replace(model=build_pretraining_model(config, objective="masked-lm"))
    with pytest.raises(DataError, match="left-to-right LM.*the outputs masked_lm"):
        generate(masked, ["the cat"])
    with pytest.raises(DataError, match="takes 16 tokens: no room .* 'cat cat"):
        generate(checkpoint, ["cat " * 15])
    with pytest.raises(DataError, match="top_p needs draws, of one beam. Received: 0.9 without."):
        GenerationSettings(beams=2, top_p=0.9)
    with pytest.raises(DataError, match="top_k needs draws, at a temperature above 0."):
        GenerationSettings(temperature=0, top_k=9)
    with pytest.raises(DataError, match="--stop must be a piece .* 'dog'"):
        generate(checkpoint, ["cat"], GenerationSettings(stop=("dog",)))
