"""More pieces: what was there stays as it is, what is new is the mean of what it replaces."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.cli import run_command
from kbert import load, save
from kbert.checkpoints.directory import encoder_of
from kbert.checkpoints.extension import extended, find_pieces
from kbert.checkpoints.formats import pooling_of
from kbert.checkpoints.sentence_vectors import Pooling, write_pooling
from kbert.checkpoints.weights import model_weights
from kbert.corpus.settings import VocabularySettings
from kbert.errors import DataError
from kbert.tasks.classification import ClassificationTask
from tests.layers.contract import numpy
from tests.tiny_checkpoint import random_checkpoint

LETTERS = "abc"
PIECES = [*LETTERS, *(f"##{letter}" for letter in LETTERS), "ab", "##bc"]
TASK = ClassificationTask(sequence_length=16, labels=("bad", "good"))
WORD = st.text("abcx", min_size=1, max_size=5)


@pytest.fixture(scope="module")
def checkpoint():
    return random_checkpoint(PIECES, pretraining=True)


def tokens(checkpoint, text):
    return checkpoint.tokenizer.tokenize([text]).to_list()[0]


@settings(max_examples=8)
@given(words=st.sets(WORD, min_size=1, max_size=4), rest=st.lists(WORD, max_size=4))
def test_new_pieces_are_means_and_old_texts_are_read_as_before(checkpoint, words, rest):
    known = set(checkpoint.tokenizer.vocabulary)
    pieces = sorted(words - known)
    if not pieces:
        return
    larger, size = extended(checkpoint, pieces), len(known)
    assert larger.tokenizer.vocabulary == [*checkpoint.tokenizer.vocabulary, *pieces]
    old, new = (model_weights(each.model) for each in (checkpoint, larger))
    for name, weight in old.items():
        found, before = numpy(new[name]), numpy(weight)
        if name in ("embedding/token_table", "masked_lm_bias/bias"):
            for place, piece in enumerate(pieces, size):
                assert tokens(larger, piece) == [place]
                expected = before[tokens(checkpoint, piece)].mean(axis=0)
                np.testing.assert_allclose(found[place], expected, atol=1e-6)
            found = found[:size]
        np.testing.assert_array_equal(found, before)
    # A text in which no new piece is found has the same tokens, and the same scores of old pieces.
    text = " ".join(word for word in rest if not word.startswith(tuple(pieces)))
    ids = tokens(checkpoint, text)
    assert tokens(larger, text) == ids
    row = np.array([[2, *ids, 3]], "int32")
    inputs = {"token_ids": row, "segment_ids": np.zeros_like(row), "padding_mask": row * 0 + 1}
    inputs |= {"mask_positions": np.zeros((1, 1), "int32"), "cls_positions": row[:, :1] * 0}
    before, after = (each.model(inputs, training=False) for each in (checkpoint, larger))
    for name, scores in before.items():
        width = numpy(scores).shape[-1]
        np.testing.assert_allclose(numpy(after[name])[..., :width], numpy(scores), atol=1e-5)


def test_words_that_save_most_come_first(checkpoint, tmp_path):
    """cab is 3 tokens but c ab, 2; abc is ab ##c; x is unknown; bc occurs once."""
    (tmp_path / "text.txt").write_text("cab " * 3 + "abcabc " * 2 + "x " * 2 + "ab bc\n", "utf-8")
    counted = VocabularySettings(workers=1)
    found = find_pieces([str(tmp_path / "text.txt")], checkpoint.tokenizer, 10, counted)
    parts = {word: tokens(checkpoint, word) for word in ("cab", "abcabc", "x", "ab", "bc")}
    lengths = {word: len(ids) for word, ids in parts.items()}
    gains = {"cab": 3 * (lengths["cab"] - 1), "abcabc": 2 * (lengths["abcabc"] - 1), "x": 2}
    assert found.pieces == sorted(gains, key=lambda word: (-gains[word], word))
    assert found.tokens == sum(
        count * lengths[word]
        for word, count in {"cab": 3, "abcabc": 2, "x": 2, "ab": 1, "bc": 1}.items()
    )
    assert found.saved == gains["cab"] + gains["abcabc"]
    fewer = find_pieces([str(tmp_path / "text.txt")], checkpoint.tokenizer, 1, counted)
    assert fewer.pieces == found.pieces[:1]
    rare = VocabularySettings(min_frequency=4, workers=1)
    with pytest.raises(DataError, match="occurs 4 times is a piece already"):
        find_pieces([str(tmp_path / "text.txt")], checkpoint.tokenizer, 1, rare)


def test_the_command(checkpoint, tmp_path, capsys):
    """The result is a checkpoint, of a fine-tuned model too."""
    (tmp_path / "text.txt").write_text("cab cab abcabc abcabc\n", "utf-8")
    save(tmp_path / "tuned", random_checkpoint(PIECES, TASK))
    names = [str(tmp_path / name) for name in ("text.txt", "tuned", "more")]
    options = ["--extend", names[1], "--output", names[2]]
    assert run_command("vocabulary", [names[0], *options]) == 0
    assert "2 pieces more; the text has" in capsys.readouterr().out
    model, tokenizer, config, task = load(tmp_path / "more")
    assert tokenizer.vocabulary[-2:] == ["abcabc", "cab"] and task == TASK
    assert config.vocabulary_size == len(tokenizer.vocabulary)
    assert run_command("vocabulary", [names[0], *options]) == 1
    assert "must be a new or an empty folder" in capsys.readouterr().err


def test_an_encoder_of_vectors_stays_one(tmp_path):
    """Without a pooler, and with what its folder says of pooling."""
    encoder = random_checkpoint(PIECES)
    encoder = encoder._replace(model=encoder_of(encoder, ("sequence_output",)))
    save(tmp_path / "vectors", encoder)
    write_pooling(tmp_path / "vectors", Pooling("max", normalize=True))
    (tmp_path / "text.txt").write_text("cab cab abcabc abcabc\n", "utf-8")
    names = [str(tmp_path / name) for name in ("text.txt", "vectors", "more")]
    assert run_command("vocabulary", [names[0], "--extend", names[1], "--output", names[2]]) == 0
    assert set(load(tmp_path / "more").model.output) == {"sequence_output"}
    assert pooling_of(tmp_path / "more") == pooling_of(tmp_path / "vectors")
    assert pooling_of(tmp_path / "more").mode == "max"


def test_a_tokenizer_with_added_tokens_and_what_is_wrong_with_files(tmp_path, capsys):
    """The checkpoint's own vocabulary is no text, wherever it lies."""
    checkpoint = random_checkpoint(PIECES, TASK)
    tokenizer = type(checkpoint.tokenizer)(checkpoint.tokenizer.vocabulary, added_tokens=("ab",))
    save(tmp_path / "tuned", checkpoint._replace(tokenizer=tokenizer))
    (tmp_path / "text.txt").write_bytes(b"cab cab \xff\n")
    options = ["--extend", str(tmp_path / "tuned"), "--output", str(tmp_path / "more")]
    assert run_command("vocabulary", [str(tmp_path), *options]) == 0
    printed = capsys.readouterr().out
    assert "1 pieces more" in printed and "bytes that are not UTF-8" in printed
    assert "output or vocabulary, left out" in printed
    assert load(tmp_path / "more").tokenizer.options["added_tokens"] == ["ab"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--add", "3"], "--add is for --extend"),
        (["--extend", "c", "--size", "30"], "--size is of a new vocabulary"),
        (["--extend", "c", "--runner", "direct"], "--runner is of a new vocabulary"),
        (["--extend", "c", "--shared", "f"], "--shared is of a new vocabulary"),
        (["--extend", "c", "--direct_num_workers=2"], "arguments: --direct_num_workers=2"),
        (["--extend", "c", "--runner", "flink", "--parallelism=2"], "--runner is of a new"),
        (["--extend", "c", "--cased"], "--cased is of a new vocabulary"),
    ],
)
def test_options_that_do_not_go_together(options, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        run_command("vocabulary", ["text.txt", "--output", str(tmp_path / "o"), *options])
    assert end.value.code == 2 and message in capsys.readouterr().err
    with pytest.raises(DataError, match="'ab' is a piece of the vocabulary already"):
        extended(random_checkpoint(PIECES), ["ab"])
