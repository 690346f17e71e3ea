"""Changed copies: what each change keeps, and the rows that a run learns from."""

import collections
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert.errors import DataError
from kbert.finetuning.remedies import augmentation
from kbert.finetuning.remedies.augmentation import augmented, deleted, swapped
from kbert.finetuning.rows import FinetuningRows
from kbert.finetuning.settings import FinetuningSettings
from kbert.tasks.classification import ClassificationTask
from kbert.tasks.tagging import TaggingTask
from kbert.tasks.texts import TextExample
from tests.tiny_checkpoint import WORDS, random_checkpoint

TEXT = st.text("ab 苹果,.[]", max_size=12)
SHARE = st.floats(0.05, 1.0)
LABELS = ("bad", "good")


@given(TEXT, SHARE, st.integers(0, 9))
def test_deleted_words_leave_the_others_in_their_order(text, share, seed):
    found = deleted(text, share, np.random.default_rng(seed))
    rest = iter(text)
    assert all(character in rest for character in found)  # A subsequence.
    assert any(map(str.isalnum, found)) == any(map(str.isalnum, text))


@given(TEXT, SHARE, st.integers(0, 9))
def test_swapped_words_are_the_same_words(text, share, seed):
    found = swapped(text, share, np.random.default_rng(seed))
    assert collections.Counter(found) == collections.Counter(text)
    letters = "".join(character if character in " ,.[]" else "_" for character in text)
    # What stands between words stays between words.
    assert [c for c in found if c in ",.[]"] == [c for c in letters if c != "_" and c != " "]


def test_a_swap_by_hand():
    assert swapped("one, two", 0.5, np.random.default_rng(0)) == "two, one"
    assert swapped("苹果", 0.5, np.random.default_rng(0)) == "果苹"
    assert deleted("one two", 1.0, np.random.default_rng(0)) in ("one ", "two")


@pytest.fixture(scope="module")
def start():
    return random_checkpoint(WORDS, pretraining=True, max_sequence_length=16)


def rows_of(texts, start, second=None):
    column = None if second is None else "other"
    task = ClassificationTask(sequence_length=16, labels=LABELS, second_column=column)
    train = [TextExample(text, second, LABELS[n % 2], f"row {n}") for n, text in enumerate(texts)]
    features = task.encode(train, start.tokenizer)
    return FinetuningRows(task, "train.tsv", train, features, [], [], None, None, [])


TEXTS = ["the film was good and we saw it", "bad music, very long", "day", ""] * 5


def settings_of(*kinds, **others):
    return FinetuningSettings(**{"augment": 2, "augment_by": kinds, "augment_share": 0.3, **others})


@pytest.mark.parametrize("kinds", [("delete", "swap"), ("fill",)])
def test_copies_stand_behind_the_rows_with_their_labels(start, kinds):
    rows = rows_of(TEXTS, start)
    found = augmented(rows, start, settings_of(*kinds))
    assert found.train[:20] == rows.train and len(found.train) == 60
    assert found.train_features[:20] == rows.train_features
    for number, feature in enumerate(found.train_features):
        assert feature.example == number
        expected = found.task.encode([found.train[number]], start.tokenizer)[0]
        np.testing.assert_array_equal(feature.inputs["token_ids"], expected.inputs["token_ids"])
    for copy, original in zip(found.train[20:], rows.train * 2, strict=True):
        assert copy.label == original.label and bool(copy.text) == bool(original.text)
    assert [copy.text for copy in found.train[20:]] != [row.text for row in rows.train] * 2
    again = augmented(rows, start, settings_of(*kinds))
    assert again.train == found.train
    assert augmented(rows, start, settings_of(*kinds, seed=1)).train != found.train
    assert augmented(rows, start, FinetuningSettings()) is rows


def test_filled_words_are_other_words_of_the_vocabulary(start):
    """One in three, at least one; a text with [MASK] stays, and so does a word that is cut off."""
    texts = ["the film was good and", "a [MASK] day", "bad " * 20 + "music"]
    found = augmented(rows_of(texts, start), start, settings_of("fill", augment=1)).train[3:]
    words, changed = texts[0].split(), found[0].text.split()
    differ = [one != other for one, other in zip(words, changed, strict=True)]
    assert sum(differ) == 2 and set(changed) <= set(WORDS)
    assert found[1].text == texts[1]
    assert len(found[2].text.split()) == 21


def test_a_word_is_never_filled_in_for_itself_in_capitals_neither():
    candidates = [{"token": token, "score": 0.4} for token in ("Paris", "paris", "Rome", "##s")]
    for word in ("Paris", "paris", "PARIS"):
        assert augmentation._drawn(candidates, word, np.random.default_rng(0)) == "Rome"


def test_pairs_and_what_cannot_be_changed(start):
    rows = rows_of(["the film", "a day"], start, second="good bad music")
    found = augmented(rows, start, settings_of("swap"))
    assert all(sorted(e.second.split()) == ["bad", "good", "music"] for e in found.train)
    tagging = SimpleNamespace(task=TaggingTask(labels=("X",)), train=[])
    with pytest.raises(DataError, match="for tasks on whole texts. Received: tagging"):
        augmented(tagging, start, settings_of("swap"))
    encoder = random_checkpoint(WORDS, max_sequence_length=16)
    with pytest.raises(DataError, match="Only a masked LM fills masks"):
        augmented(rows_of(TEXTS, encoder), encoder, settings_of("fill"))
