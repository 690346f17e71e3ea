"""Windows: every example once, rows full, any row found at once."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert.corpus.store import Split
from kbert.pretraining import windows as windows_module
from kbert.pretraining.examples.base import Spans
from kbert.pretraining.examples.next_sentence import NextSentencePairs
from kbert.pretraining.windows import Part, Windows, joined
from tests.small_store import numbered_documents, split_arrays

PAIRS = NextSentencePairs()


def long_split(document_tokens, seed=0, tokens=600_000, sentence=(3, 40)):
    """Documents of random lengths; what the tokens are does not matter here."""
    rng = np.random.default_rng(seed)
    sentences = np.cumsum(np.append(0, rng.integers(*sentence, tokens // sentence[0])))
    sentences = sentences[: np.searchsorted(sentences, tokens)]
    ends = np.cumsum(rng.integers(*document_tokens, tokens // document_tokens[0]))
    documents = np.unique(np.searchsorted(sentences, ends[ends < sentences[-1]]))
    documents = np.concatenate([[0], documents[documents < len(sentences) - 1]])
    return Split(
        np.zeros(sentences[-1], np.uint16), sentences, np.append(documents, len(sentences) - 1)
    )


def windows_of(split, sequence_length=16, most=2, seed=0, short_probability=0.1):
    return Windows(split, PAIRS, sequence_length, most, seed, short_probability)


@pytest.fixture(scope="module")
def split():
    return Split(*split_arrays(numbered_documents([[6, 3], [2, 4, 7, 1], [9], [1, 1, 5]] * 15)))


@pytest.fixture
def small(monkeypatch):
    """Windows of about 7 rows."""
    monkeypatch.setattr(windows_module, "WINDOW", 7)


def rows_of(windows, first, count):
    """The examples of each row, as tuples."""
    found = []
    for part in windows.parts(first, count):
        rows, spans = windows.spans(part)
        here = [[] for _ in range(part.stop - part.start)]
        for row, *span in zip(rows, *spans, strict=True):
            here[row].append(tuple(map(int, span)))
        found += here
    return found


@given(
    epoch=st.integers(0, 3),
    most=st.integers(1, 4),
    seed=st.integers(0, 50),
    short_probability=st.sampled_from([0.1, 0.9]),
)
def test_every_example_of_an_epoch_once(split, epoch, most, seed, short_probability):
    """None twice, none left out, none cut, and their rows hold them."""
    windows = windows_of(split, 24, most, seed, short_probability)
    rows = rows_of(windows, epoch * windows.rows_per_epoch, windows.rows_per_epoch)
    found = sorted(example for row in rows for example in row)
    drawn = windows._draw_examples(epoch, 0, 0, len(found))
    assert found == sorted(zip(*(field.tolist() for field in drawn), strict=True))
    for row in rows:
        assert 1 <= len(row) <= most
        assert sum(PAIRS.num_tokens(Spans(*map(np.array, example))) for example in row) <= 24


def test_any_share_is_the_same_rows(split, small):
    """Across the ends of windows and epochs, in any order, and far away."""
    windows = windows_of(split)
    assert windows._num_windows > 3
    together = rows_of(windows, 0, 3 * windows.rows_per_epoch)
    other = windows_of(split)
    for first in reversed(range(0, 2 * windows.rows_per_epoch, 5)):
        assert rows_of(other, first, 11) == together[first : first + 11]
    assert len(rows_of(other, 10**15, 11)) == 11


def test_parts_cover_windows_of_one_size(split, small):
    windows = windows_of(split)
    parts = list(windows.parts(0, windows.rows_per_epoch))
    assert [part.window for part in parts] == list(range(windows._num_windows))
    sizes = {part.stop - part.start for part in parts}
    assert max(sizes) - min(sizes) <= 1 and 4 < min(sizes) < 14
    assert {part.epoch for part in parts} == {0}
    assert next(windows.parts(windows.rows_per_epoch, 1)) == Part(1, 0, 0, 1)


def test_stretches_are_visited_equally_often():
    """Documents of 13 tokens are the stretches of rows of 16; examples are much shorter."""
    split = Split(*split_arrays(numbered_documents([[1] * 13] * 60)))
    windows = windows_of(split, most=3, short_probability=0.95)
    examples = [example for row in rows_of(windows, 0, 60) for example in row]
    visits = np.bincount([first // 13 for first, *_ in examples], minlength=60)
    assert len(examples) > 75
    assert visits.max() - visits.min() <= 1


def test_starts_are_spread_over_a_stretch():
    """Visited four times, a stretch is entered in four places, not twice in one."""
    split = Split(*split_arrays(numbered_documents([[1] * 64] * 20)))
    windows = windows_of(split, sequence_length=67, most=8, short_probability=0.0)
    pairs = joined([windows._draw_examples(0, 0, 0, 4 * 20)])
    starts = np.sort(pairs.first_start.reshape(4, 20), axis=0)
    gaps = np.diff(starts, axis=0, append=starts[:1] + 64)
    assert gaps.min() >= 5  # of 16; random places come closer than 3 in one document of two


@pytest.mark.parametrize("sequence_length", [128, 512])
@pytest.mark.parametrize("document_tokens", [(20, 60), (150, 900), (400, 4000)])
def test_rows_are_full(sequence_length, document_tokens):
    """98 % of the positions, on documents much shorter than a row, like it, and longer."""
    split = long_split(document_tokens)
    windows = windows_of(split, sequence_length, most=sequence_length // 8)
    count = windows.rows_per_epoch
    total = sum(PAIRS.num_tokens(windows.spans(part)[1]).sum() for part in windows.parts(0, count))
    assert total / (count * sequence_length) >= 0.98


def test_threads_draw_a_window_once(split, monkeypatch):
    windows, drawn = windows_of(split), []
    draw = windows._draw_examples
    monkeypatch.setattr(windows, "_draw_examples", lambda *args: drawn.append(1) or draw(*args))
    (part,) = windows.parts(0, 5)
    threads = [threading.Thread(target=windows.spans, args=(part,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = windows_of(split)
    monkeypatch.setattr(alone, "_draw_examples", lambda *args: drawn.append(-1) or draw(*args))
    alone.spans(part)
    assert sum(drawn) == 0
