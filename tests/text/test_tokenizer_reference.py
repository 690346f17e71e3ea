"""Token ids equal the reference tokenizer's: the `tokenizers` package and published test vectors.

docs/tokenizer.md lists where the libraries differ; `CONTESTED` is that list as characters.
"""

import json
import lzma
import os
import random
import unicodedata
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from kbert.text.tokenizer import WordPieceTokenizer
from kbert.text.vocabulary import SPECIAL_TOKENS

DATA = Path(os.environ.get("KBERT_DATA", Path(__file__).parents[3] / "shared" / "data"))
SAMPLES = Path(__file__).parents[2] / "samples"

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"needs the folder {DATA}")

# Characters that changed their class between versions of Unicode, and Chinese characters that the
# reference leaves out (its range begins at U+2B920 where Google's begins at U+2B820).
CONTESTED = set("\u166d\u1734\u180e") | set(map(chr, range(0x2B820, 0x2B920)))
# What has turned up more than once in bug reports, and more often here than chance would have it.
TRAPS = [
    # What languages lower-case in their own ways.
    *["I", "İstanbul", "I\u0307", "Ì", "Í", "Ĩ", "Į", "Į\u0301", "J\u0301", "Île", "ĲSSEL", "Έ"],
    *["Σ", "ς", "İ", "ı", "ﬁ", "가", "각", "ß", "ẞ", "é", "e\u0301", "\u0301", "，", "½", "ǆ", "Å"],
    *["\u200b", "\x00", "\u00ad", "\ufeff", "\ufffd", "\ue000", "\x85", "\u2028", "\u00a0", "\t"],
    *[
        "我",
        "㐀",
        "\U00020000",
        "豈",
        "の",
        "ア",
        "😀",
        "👩‍👩‍👧",
        "n't",
        "U.S.",
        "$",
        "`",
        "a" * 60,
    ],
]
OPTIONS = [
    {"lowercase": True},
    {"lowercase": False},
    {"lowercase": True, "strip_accents": False},
    {"lowercase": False, "strip_accents": True},
    {"lowercase": True, "split_chinese": False},
]


def reference_of(pieces, lowercase=True, strip_accents=None, split_chinese=True):
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    return tokenizers.BertWordPieceTokenizer(
        vocabulary,
        lowercase=lowercase,
        strip_accents=strip_accents,
        handle_chinese_chars=split_chinese,
    )


def is_old(character):
    """Known to Unicode 3.2, and so to all libraries."""
    known = unicodedata.ucd_3_2_0.category(character) != "Cn"
    return known and character not in CONTESTED


def assert_same_ids(tokenizer, texts):
    """The reference reads "[MASK]" in a text as a special token, so here it is one too."""
    reference = reference_of(tokenizer.vocabulary, **tokenizer.options)
    actual = tokenizer.tokenize(texts, special_tokens=True).to_list()
    expected = [row.ids for row in reference.encode_batch(texts, add_special_tokens=False)]
    different = [
        (text, ours, theirs)
        for text, ours, theirs in zip(texts, actual, expected, strict=True)
        if ours != theirs
    ]
    assert not different, f"{len(different)} of {len(texts)} differ, such as {different[:3]!a}"


def odd_strings(count, seed=0):
    rng = random.Random(seed)
    ranges = [(0x20, 0x7F), (0x20, 0x250), (0x250, 0x2000), (0x2000, 0xD800), (0xE000, 0x2FA20)]
    texts = []
    for _ in range(count):
        drawn = [chr(rng.randrange(*rng.choice(ranges))) for _ in range(rng.randint(1, 20))]
        parts = list(filter(is_old, drawn)) + rng.choices(TRAPS + [" "] * 8, k=rng.randint(0, 6))
        rng.shuffle(parts)
        texts.append("".join(parts))
    return texts


def character_vocabulary():
    """Letters of many scripts, each a piece: a difference anywhere changes the ids."""
    blocks = [(0x21, 0x7F), (0xA1, 0x600), (0x3041, 0x3100), (0x4E00, 0x4F00), (0x1100, 0x1200)]
    letters = [chr(c) for first, stop in blocks for c in range(first, stop)]
    return [*SPECIAL_TOKENS, *letters, *("##" + letter for letter in letters), "我", "##我", "the"]


@pytest.fixture(scope="module", params=OPTIONS, ids=str)
def tokenizer(request):
    return WordPieceTokenizer(list(dict.fromkeys(character_vocabulary())), **request.param)


def test_sample_texts(tokenizer):
    files = sorted(SAMPLES.rglob("*.t*"))
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    assert len(lines) > 500
    assert_same_ids(tokenizer, lines)


def test_odd_strings(tokenizer):
    assert_same_ids(tokenizer, TRAPS + odd_strings(1500))


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text(st.characters(codec="utf-8").filter(is_old)), min_size=1))
def test_hypothesis_strings(tokenizer, texts):
    assert_same_ids(tokenizer, texts)


def google_vectors():
    return json.loads((DATA / "reference" / "bert_tokenizer_vectors.json").read_text())


def tokens_of(pieces, text, **options):
    missing = [token for token in SPECIAL_TOKENS if token not in pieces]
    tokenizer = WordPieceTokenizer([*pieces, *missing], **options)
    ids = tokenizer.tokenize([text], special_tokens=True).to_list()[0]
    return [tokenizer.vocabulary[index] for index in ids]


@needs_data
def test_vectors_of_google_and_hugging_face():
    vectors = google_vectors()
    for case in vectors["google_full"] + vectors["hf_full"]:
        assert tokens_of(case["vocab"], case["text"]) == case["tokens"]
    for case in vectors["google_wordpiece"]:
        assert tokens_of(case["vocab"], case["text"], lowercase=False) == case["tokens"]
    for case in vectors["google_basic"] + vectors["hf_basic"] + vectors["hf_clean_text"]:
        # Every expected word is a piece, so the words come back as they are.
        options = {"lowercase": case.get("lower", True), "strip_accents": case.get("strip_accents")}
        words = list(dict.fromkeys([*case["tokens"], "x"]))
        assert tokens_of(words, case["text"], **options) == case["tokens"]


@needs_data
@pytest.mark.parametrize("casing", ["uncased", "cased"])
def test_offset_vectors(casing):
    case = google_vectors()[f"hf_offsets_{casing}_bert_base_vocab"]
    path = DATA / "vocab" / f"bert-base-{casing}.vocab.txt"
    tokenizer = WordPieceTokenizer(path, lowercase=casing == "uncased")
    pieces = tokenizer.tokenize_with_offsets([case["text"]], special_tokens=True)[0]
    actual = [
        [tokenizer.vocabulary[index], start, end]
        for index, start, end in zip(*(array.tolist() for array in pieces), strict=True)
    ]
    assert actual == case["tokens_offsets"][1:-1]


@needs_data
def test_vectors_of_tensorflow_text():
    vectors = json.loads((DATA / "reference" / "tf_text_tokenizer_vectors.json").read_text())
    vectors = vectors["fast_bert_tokenizer_test.py"]
    for case in vectors["cases"]:
        lowercase = case["lower_case_nfd_strip_accents"]
        if isinstance(case["text_inputs"][0], list):
            case = {name: values[0] for name, values in case.items() if isinstance(values, list)}
        for text, tokens in zip(case["text_inputs"], case["expected_tokens"], strict=True):
            pieces = vectors["vocabularies"]["_VOCAB"]
            assert tokens_of(pieces, text, lowercase=lowercase) == tokens


def lines_of(path, limit, field="text"):
    """The first lines of a plain or .xz file, or of the texts of a .jsonl file."""
    opened = lzma.open if path.suffix == ".xz" else open
    lines = []
    with opened(path, "rt", encoding="utf-8") as file:
        for line in file:
            text = json.loads(line)[field] if ".jsonl" in path.name else line
            lines += filter(None, text.split("\n"))
            if len(lines) >= limit:
                break
    return lines[:limit]


def real_lines(limit):
    sources = [
        "pretrain_en/enwiki.jsonl.xz",
        "pretrain_zh/zhwiki.jsonl.xz",
        "pretrain_zh/classics.jsonl.xz",
        "imdb/test.jsonl.xz",
        "glue/SST-2/train.tsv",
        "glue/diagnostic/diagnostic.tsv",
        "ag_news/test.csv",
        "wikitext2/test.txt",
        "zh/csts/AFQMC/dev.txt",
        "ner_misc/BTC/a.conll",
    ]
    # The lines of the multilingual vocabulary are words in a hundred languages.
    words = lines_of(DATA / "vocab" / "bert-base-multilingual-cased.vocab.txt", 10 * limit)
    words = [word for word in words if word not in SPECIAL_TOKENS and all(map(is_old, word))]
    sentences = [" ".join(words[i : i + 8]) for i in range(0, len(words), 8)]
    return sentences[:limit] + [line for name in sources for line in lines_of(DATA / name, limit)]


PUBLISHED = [
    ("uncased", {}),
    ("cased", {"lowercase": False}),
    ("chinese", {}),
    ("multilingual-cased", {"lowercase": False}),
    ("uncased", {"strip_accents": False}),
    ("chinese", {"split_chinese": False}),
]


@needs_data
@pytest.mark.parametrize(("name", "options"), PUBLISHED)
def test_real_lines_with_published_vocabularies(name, options):
    path = DATA / "vocab" / f"bert-base-{name}.vocab.txt"
    assert_same_ids(WordPieceTokenizer(path, **options), real_lines(150) + odd_strings(300))


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), PUBLISHED)
def test_many_real_lines_with_published_vocabularies(name, options):
    texts = real_lines(3000) + odd_strings(5000, seed=1)
    assert len(texts) > 20_000
    path = DATA / "vocab" / f"bert-base-{name}.vocab.txt"
    assert_same_ids(WordPieceTokenizer(path, **options), texts)
