"""Documents that are left out, and their counts, in one run and in one that was stopped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert.corpus.filters import FilteredReader, repetition, share_of_letters
from kbert.corpus.prepare import prepare
from kbert.corpus.settings import Recipe
from kbert.corpus.store import TokenStore
from kbert.corpus.store_writer import StoreWriter
from tests.corpus.small_corpus import content_of, small_shards


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """`read(texts, **rules)`: the documents that stay, and the problems' counts by their names."""
    path = tmp_path_factory.mktemp("filters") / "text.txt"

    def texts_of(texts, start=0, **rules):
        path.write_text("\n\n".join(texts) + "\n", "utf-8")
        reader = FilteredReader([path], "blank-line", "text", Recipe(**rules))
        found = [document.text.strip("\n") for document in reader.documents(0, start)]
        return found, {p["problem"]: p["count"] for p in reader.problems.as_dict()["listed"]}

    return texts_of


TEXTS = st.lists(st.sampled_from(["a b", "A  b", "ab", "a", " a b c"]), min_size=1)


@given(texts=TEXTS)
def test_without_rules_everything_stays(read, texts):
    assert read(texts) == (texts, {})


@given(texts=TEXTS, data=st.data())
def test_of_the_same_texts_the_first_stays(read, texts, data):
    """Wherever a reader begins."""
    first = [" ".join(t.lower().split()) not in _normal(texts[:n]) for n, t in enumerate(texts)]
    start = data.draw(st.integers(0, len(texts)))
    found, problems = read(texts, start, deduplicate=True)
    assert found == [
        t for t, is_first in zip(texts[start:], first[start:], strict=True) if is_first
    ]
    left_out = first[start:].count(False)
    assert problems == ({"duplicate document, left out": left_out} if left_out else {})


def test_a_reader_that_begins_with_a_later_file_counts_nothing_of_those_before(tmp_path):
    """Not what is wrong behind their last document, either."""
    (tmp_path / "a.jsonl").write_text('{"text": "a b"}\n{"text": "c"}\n{\n', "utf-8")
    (tmp_path / "b.txt").write_text("A B\n\nd\n\nD\n", "utf-8")

    def reader():
        return FilteredReader([tmp_path], "blank-line", "text", Recipe(deduplicate=True))

    for found in (reader(), reader().knowing([(1, 0), (1, 2)])):
        assert [document.text.strip() for document in found.documents(1)] == ["d"]
        (problem,) = found.problems.as_dict()["listed"]
        assert problem["problem"] == "duplicate document, left out" and problem["count"] == 2
    places = [place for _, place in reader().digests(0, 2)]
    assert places == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]


def _normal(texts):
    return {" ".join(text.lower().split()) for text in texts}


def test_shares_by_hand():
    assert share_of_letters("ab 1 2\n") == 0.5 and share_of_letters(" ") == 0
    assert share_of_letters("苹果，好") == 0.75
    assert repetition("ab\ncd\n ab \nef") == 0.25 and repetition("") == 0


@pytest.mark.parametrize(
    ("rules", "text", "reason"),
    [
        ({"min_characters": 4}, " abc ", "short document"),
        ({"min_letters": 0.6}, "ab 12", "document of few letters"),
        ({"max_repetition": 0.3}, "ab\nab", "repetitive document"),
    ],
)
def test_each_rule_has_its_reason(read, rules, text, reason):
    found, problems = read(["abcd, ab\ncde", text], **rules)
    assert found == ["abcd, ab\ncde"] and problems == {f"{reason}, left out": 1}


def test_a_store_of_documents_that_stay(tmp_path, vocabulary, monkeypatch):
    """The same as of a file without the others; with shards that are lost, too."""
    small_shards(monkeypatch)
    texts = [f"{'the cat sat on the mat, ' * 2}{n % 400}." for n in range(500)]
    (tmp_path / "all.txt").write_text("\n\n".join([*texts, "no"]), "utf-8")
    (tmp_path / "once.txt").write_text("\n\n".join(texts[:400]), "utf-8")
    rules = {"deduplicate": True, "min_characters": 3}

    def make(name, source, **rules):
        return prepare([tmp_path / source], tmp_path / name, vocabulary, progress=False, **rules)

    result = make("whole", "all.txt", **rules)
    counts = {p["problem"]: p["count"] for p in result["summary"]["problems"]["listed"]}
    assert counts == {"duplicate document, left out": 100, "short document, left out": 1}
    make("expected", "once.txt")
    for split in ("train", "validation"):
        one, other = (TokenStore(tmp_path / name)[split] for name in ("whole", "expected"))
        assert list(one.tokens) == list(other.tokens)

    finish = StoreWriter.finish
    monkeypatch.setattr(StoreWriter, "finish", _stop)
    with pytest.raises(KeyboardInterrupt):
        make("stopped", "all.txt", **rules)
    shards = sorted((tmp_path / "stopped/shards").glob("*.npz"))
    assert len(shards) > 2
    shards[-1].unlink()
    monkeypatch.setattr(StoreWriter, "finish", finish)
    make("stopped", "all.txt", **rules)
    assert content_of(tmp_path / "stopped") == content_of(tmp_path / "whole")


def _stop(*arguments):
    raise KeyboardInterrupt
