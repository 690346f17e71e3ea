"""Where words begin and entities are: against plain loops, and in a store that is prepared."""

import itertools
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert.corpus.marks import EntityMarks, WordMarks, read_entities
from kbert.corpus.prepare import prepare
from kbert.corpus.store import TokenStore
from kbert.errors import DataError
from kbert.pretraining.rows import PretrainingRows
from kbert.pretraining.settings import ObjectiveSettings
from kbert.text.python_tokenizer import PythonTokenizer
from tests.packed_rows import unmasked

CHINESE = "我爱北京天安门上超市，。"
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *CHINESE, *"bcafe", "3", "14", "."]
PIECES += ["##a", "##f", "##e", "new", "york", "##er", "city", "old"]
TOKENIZER = PythonTokenizer(PIECES)


def encoded(sentences):
    """ids of all tokens, and how many each sentence has."""
    ids = TOKENIZER.tokenize(sentences)
    return ids.flat_values, ids.row_lengths()


def shown(marker, *sentences):
    """The marks of each sentence as text."""
    ids, lengths = encoded(list(sentences))
    marks = marker(list(sentences), ids, lengths)
    assert marks.dtype == np.uint8 and len(marks) == len(ids)
    ends = np.cumsum([0, *lengths])
    return ["".join(map(str, marks[a:b])) for a, b in itertools.pairwise(ends)]


def test_words_are_those_of_jieba():
    """我 爱 北京 天安门 ， B超 。 and numbers and words of other scripts as BERT has them."""
    pytest.importorskip("jieba")
    marker = WordMarks(TOKENIZER)
    assert shown(marker, "我爱北京天安门", "", "B超。", "café 3.14", "北京\u200b北京 ") == [
        "1110100",
        "",
        "101",
        "1000100",
        "1010",
    ]


@given(st.lists(st.text("我爱北京天安门上超市，b é\u200b.", max_size=12), max_size=4))
def test_words_begin_where_both_begin_one(sentences):
    """What jieba calls a word is never cut, nor what BERT calls one."""
    jieba = pytest.importorskip("jieba")
    ids, lengths = encoded(sentences)
    marks, end = WordMarks(TOKENIZER)(sentences, ids, lengths), 0
    for sentence, pieces in zip(sentences, TOKENIZER.tokenize_with_offsets(sentences), strict=True):
        home = [n for n, word in enumerate(jieba.lcut(sentence)) for _ in word]
        words = [home[start] for start in pieces.starts]
        expected = [
            place == 0 or (not PIECES[piece].startswith("##") and words[place] != words[place - 1])
            for place, piece in enumerate(pieces.ids)
        ]
        start, end = end, end + len(expected)
        assert list(marks[start:end]) == expected


def test_the_longest_entity_and_whole_words_only():
    marker = EntityMarks(TOKENIZER, ["new york", "New York City", "york", "old ?", "3.14"])
    assert shown(
        marker, "old new york city", "NEW YORK new", "new yorker", "york york", "3.14 old", "new"
    ) == ["0122", "120", "000", "11", "1220", "0"]
    # Not across the end of a sentence, and what the vocabulary does not know is never found.
    assert shown(marker, "new", "york", "old") == ["0", "1", "0"]


@given(
    st.lists(st.lists(st.integers(5, 12), max_size=12), min_size=1, max_size=4),
    st.sets(st.lists(st.integers(5, 12), min_size=1, max_size=3).map(tuple), max_size=6),
)
def test_entities_equal_a_plain_loop(sentences, entities):
    words = {number: f"a{number}" for number in range(5, 13)}
    tokenizer = PythonTokenizer([*PIECES[:5], *words.values()])
    marker = EntityMarks(tokenizer, [" ".join(words[n] for n in names) for names in entities])
    marks = marker([""], np.array(sum(sentences, []), int), np.array(list(map(len, sentences))))
    expected = []
    for ids in sentences:
        place = 0
        while place < len(ids):
            fits = [len(e) for e in entities if tuple(ids[place : place + len(e)]) == e]
            length = max(fits, default=1)
            expected += [1] + [2] * (length - 1) if fits else [0]
            place += length
    assert list(marks) == expected


def test_a_list_of_entities(tmp_path):
    file = tmp_path / "names.txt"
    file.write_bytes("\ufeffNew York\r\n\n 北京 \nNew York\n".encode())
    assert read_entities(file) == ["New York", "北京"]
    file.write_bytes(b"\n \n")
    with pytest.raises(DataError, match="must have an entity in each line"):
        read_entities(file)
    file.write_bytes(b"a\n\xff\n")
    with pytest.raises(DataError, match="line 2: a list of entities must be UTF-8"):
        read_entities(file)


@pytest.fixture
def inputs(tmp_path):
    """A text, its vocabulary and a list of names."""
    text = "我爱北京天安门。天安门上。\nnew york 我爱 old new york city 北京。\n"
    (tmp_path / "text.txt").write_text("\n".join([text] * 30), encoding="utf-8")
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES), encoding="utf-8")
    (tmp_path / "names.txt").write_text("New York\n天安门\n", encoding="utf-8")
    return [str(tmp_path / "text.txt")], str(tmp_path / "vocab.txt"), str(tmp_path / "names.txt")


def test_a_store_keeps_both_and_its_rows_are_masked_by_them(tmp_path, inputs):
    pytest.importorskip("jieba")
    files, vocabulary, names = inputs
    options = {"progress": False, "validation_share": 0.5}
    folders = [str(tmp_path / name) for name in ("plain", "marked")]
    prepare(files, folders[0], vocabulary, **options)
    prepare(files, folders[1], vocabulary, entities=names, words="jieba", **options)
    plain, marked = map(TokenStore, folders)
    assert plain.marks == () and marked.marks == ("words", "entities")
    for name in ("train", "validation"):
        np.testing.assert_array_equal(plain[name].tokens, marked[name].tokens)
        assert plain[name].words is None and len(marked[name].words) == len(marked[name].tokens)
    for masking in ("whole-word", "entity"):
        settings = ObjectiveSettings(masking=masking, words="jieba", masking_rate=0.5)
        objective = settings.built(marked)
        rows = PretrainingRows(
            marked, "train", objective, sequence_length=32, batch_size=64, seed=0
        )
        batch = rows.batch(0)
        # 天安门 is a word and a name, 北京 a word, new york a name.
        assert together(batch, "天", "安", "门") and together(batch, "北", "京")
        assert together(batch, "new", "york") == (masking == "entity")


def together(batch, *pieces):
    """Whether these pieces, wherever they stand side by side, are masked all or not at all."""
    token_ids, is_masked = unmasked(batch), np.zeros(batch[0]["token_ids"].shape, bool)
    row, slot = np.nonzero(batch[2]["masked_lm"])
    is_masked[row, batch[0]["mask_positions"][row, slot]] = True
    assert is_masked.any()
    width = token_ids.shape[1] - len(pieces) + 1
    windows = [slice(start, start + width) for start in range(len(pieces))]
    there = [
        token_ids[:, at] == PIECES.index(piece) for at, piece in zip(windows, pieces, strict=True)
    ]
    found = np.logical_and.reduce(there)
    counts = sum(is_masked[:, at].astype(int) for at in windows)[found]
    assert (counts == 0).any() and (counts == len(pieces)).any()
    return set(counts) == {0, len(pieces)}


def test_other_names_or_words_are_another_store(tmp_path, inputs):
    files, vocabulary, names = inputs
    output = str(tmp_path / "store")
    prepare(files, output, vocabulary, entities=names, progress=False)
    assert prepare(files, output, vocabulary, entities=names, progress=False)["already_finished"]
    with pytest.raises(DataError, match="made with other words"):
        prepare(files, output, vocabulary, entities=names, words="jieba", progress=False)
    (tmp_path / "names.txt").write_text("new\n")
    with pytest.raises(DataError, match="made with other entities"):
        prepare(files, output, vocabulary, entities=names, progress=False)


def test_without_jieba(tmp_path, inputs, monkeypatch):
    monkeypatch.setitem(sys.modules, "jieba", None)
    with pytest.raises(DataError, match="need the package jieba, .*pip install 'kbert.chinese.'"):
        prepare(*inputs[:1], str(tmp_path / "store"), inputs[1], words="jieba", progress=False)
    assert not (tmp_path / "store").exists()
