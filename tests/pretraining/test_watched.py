"""Watched sentences: which they are, and that TensorBoard shows what the model says of them."""

import re
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from kbert import BertConfig, Checkpoint, build_encoder, build_pretraining_model
from kbert.checkpoints.directory import copy_weights
from kbert.corpus.store import Split, TokenStore
from kbert.engine.callbacks import Counter
from kbert.pretraining import watched as module
from kbert.pretraining.watched import WatchSentences, table, watched_sentences

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "a",
    "to",
    "lake",
    "##s",
    "|",
    "中",
    "riverbank",
]


def split_of(*sentences):
    ids = [[WORDS.index(piece) for piece in sentence.split()] for sentence in sentences]
    ends = np.cumsum([0, *map(len, ids)])
    return Split(np.concatenate(ids).astype("uint16"), ends, np.array([0, len(ids)]))


class Recorder:
    """A LogWriter that remembers."""

    def __init__(self):
        self.texts, self.images = [], []

    def text(self, step, name, markdown):
        self.texts.append((step, name, markdown))

    def image(self, step, name, data, width, height):
        self.images.append((step, name, data[:4], width, height))


def config_of(store, **changes):
    return BertConfig(
        len(store.vocabulary),
        num_layers=2,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        max_sequence_length=24,
        **changes,
    )


@pytest.fixture(scope="module")
def store(tiny_store):
    return TokenStore(tiny_store)


def model_of(store, **options):
    """With weights that say something."""
    keras.utils.set_random_seed(3)
    config = config_of(store, direction=options.pop("direction", "both"))
    model = build_pretraining_model(config, **options)
    for weight in model.weights:
        weight.assign(20 * weight)
    return config, model


def shown(model, watched):
    """What the callback writes in its second step of two."""
    writer, counter = Recorder(), Counter(0, 2)
    callback = WatchSentences(watched, writer, counter, every=2)
    callback.set_model(SimpleNamespace(model=model, synchronise=lambda: None))
    for number in range(2):
        counter.on_train_batch_end(number)
        callback.on_train_batch_end(number)
    return writer


def test_the_longest_whole_word_of_a_fitting_sentence_is_hidden():
    split = split_of(
        "a to",
        "a to lake ##s lake to a",
        "riverbank ##s a a a lake to",
        "中 中 中 中 中 中",
        " ".join(["a"] * 30),
    )
    found = watched_sentences(split, WORDS, 64)
    assert found.token_ids.shape == (3, 9)
    assert [WORDS[piece] for piece in found.hidden_ids] == ["lake", "lake", "中"]
    assert found.places.tolist() == [5, 6, 4]
    assert (found.token_ids == WORDS.index("[MASK]")).sum(axis=1).tolist() == [1, 1, 1]
    assert found.padding_mask.sum(axis=1).tolist() == [9, 9, 8]
    assert len(watched_sentences(split, WORDS, 8).places) == 1
    assert watched_sentences(split, WORDS, 7) is None


def test_a_table_holds_any_piece():
    split = split_of("a | a | a |")
    found = watched_sentences(split, WORDS, 64)
    row = table(found, {"masked_lm": np.eye(len(WORDS))[None, None, WORDS.index("##s")]})
    assert row.splitlines()[2].startswith("| 1 | a \\| a ▯ a \\| | \\| 0.073 | \\#\\#s 0.198, ")


def test_the_table_says_what_fill_mask_says(store):
    from kbert import WordPieceTokenizer, fill_mask

    config, model = model_of(store)
    watched = watched_sentences(store["validation"], store.vocabulary, 24)
    writer = shown(model, watched)
    ((step, name, markdown),) = writer.texts
    assert (step, name) == (2, "watched/fill_mask")
    tokenizer = WordPieceTokenizer(store.vocabulary, **store.tokenizer_options)
    checkpoint = Checkpoint(model, tokenizer, config)
    plain = markdown.replace("\\", "")  # Before what Markdown would read.
    rows = [re.split(r" ?\| ?", line)[2:-1] for line in plain.splitlines()[2:]]
    assert len(rows) == len(watched.places) > 1
    texts = [sentence.replace("▯", "[MASK]") for sentence, _, _ in rows]
    everything = fill_mask(checkpoint, texts, len(store.vocabulary))
    for (_, hidden, expected), (candidates,) in zip(rows, everything, strict=True):
        scores = {one["token"]: f"{one['score']:.3f}" for one in candidates}
        assert dict(pair.split() for pair in expected.split(", ")) == dict(list(scores.items())[:5])
        token, score = hidden.split()
        assert scores[token] == score


def test_pictures_of_attention(store, monkeypatch):
    """One a sentence, of the scores that an encoder with the same weights gives."""
    pytest.importorskip("matplotlib")
    config, model = model_of(store)
    watched = watched_sentences(store["validation"], store.vocabulary, 24)
    drawn, real = [], module._attention_png
    monkeypatch.setattr(module, "_attention_png", lambda n, s: drawn.append(s) or real(n, s))
    images = shown(model, watched).images
    assert [name for _, name, *_ in images] == [
        f"watched/attention_{number + 1}" for number in range(len(watched.places))
    ]
    assert {data for _, _, data, *_ in images} == {b"\x89PNG"}
    encoder = build_encoder(config, ("attention_scores",))
    copy_weights(model, encoder)
    inputs = {name: watched.inputs()[name] for name in encoder.input}
    expected = [keras.ops.convert_to_numpy(s) for s in encoder(inputs)["attention_scores"]]
    for number, scores in enumerate(drawn):
        length = watched.padding_mask[number].sum()
        assert scores.shape == (2, 2, length, length)
        for layer in range(2):
            np.testing.assert_allclose(
                scores[layer], expected[layer][number, :, :length, :length], atol=1e-6
            )


def test_a_left_to_right_model_sees_nothing_of_what_is_hidden(store):
    _, model = model_of(store, objective="left-to-right", direction="left")
    watched = watched_sentences(store["validation"], store.vocabulary, 24)
    other = watched._replace(token_ids=watched.token_ids.copy())
    for row, place in enumerate(watched.places):
        other.token_ids[row, place] = 7
    (one,), (two,) = (shown(model, found).texts for found in (watched, other))
    assert one == two and len(re.findall(r"\d\.\d{3}", one[2])) == 6 * len(watched.places)
