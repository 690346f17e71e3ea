"""Hugging Face's tokenizers: the ids are those of the library `tokenizers`, or the folder is
refused by name."""

import itertools
import json
import shutil

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.processors import BertProcessing, RobertaProcessing, TemplateProcessing

from kbert import BertConfig, WordPieceTokenizer
from kbert.checkpoints.huggingface.tokenizer import read_tokenizer
from kbert.errors import DataError

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CHARACTERS = "aAbcdeéÉiïİıßΣσς.,!-'½1234中文ﬁ[]_x"
PIECES = [*SPECIAL, "[unused0]", *dict.fromkeys(CHARACTERS), *{f"##{c}" for c in CHARACTERS}]
PIECES = [*dict.fromkeys([*PIECES, "ab", "##cd", "naive", "naïve", "12", "x1"])]
ROWS = len(PIECES)
TEXTS = [
    "Wait... it's 3.14, naïve ½ ﬁne",
    "The [unused0] man x1 ab,cd",
    "中文 text 中a文",
    "ÉéIİıß ΣΑΣ",
    "a\u0301b \u200b\u00a0\tc\x00d\ufffd",
    "",
    "a" * 101 + " b",
    "nai\u0308ve abcd 12 1 2",
]
BERT = normalizers.BertNormalizer(lowercase=True)
SPLIT = pre_tokenizers.BertPreTokenizer()


def pipeline(normalizer=BERT, pre_tokenizer=SPLIT, post_processor=None, added=(), **model):
    """A tokenizer of `tokenizers`."""
    vocabulary = {piece: number for number, piece in enumerate(PIECES)}
    options = {"unk_token": "[UNK]", "max_input_chars_per_word": 100, **model}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, **options))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    if post_processor is not None:
        tokenizer.post_processor = post_processor
    tokenizer.add_special_tokens([*SPECIAL, *added])
    return tokenizer


def read(folder, tokenizer=None, settings=None, rows=ROWS, **options):
    """What kbert reads of a folder with these files."""
    if tokenizer is None:
        (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    else:
        tokenizer.save(str(folder / "tokenizer.json"))
    if settings is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return read_tokenizer(folder, BertConfig(rows), **options)


def assert_same_ids(ours, theirs):
    expected = [encoding.ids for encoding in theirs.encode_batch(TEXTS, add_special_tokens=False)]
    assert ours.tokenize(TEXTS).to_list() == expected


SWITCHES = list(itertools.product([True, False], [None, True, False], [True, False]))


@pytest.mark.parametrize(("lowercase", "accents", "chinese"), SWITCHES)
def test_every_bert_normalizer(tmp_path, lowercase, accents, chinese):
    normalizer = normalizers.BertNormalizer(
        lowercase=lowercase, strip_accents=accents, handle_chinese_chars=chinese
    )
    theirs = pipeline(normalizer)
    assert_same_ids(read(tmp_path, theirs), theirs)
    settings = {
        "do_lower_case": lowercase,
        "strip_accents": accents,
        "tokenize_chinese_chars": chinese,
    }
    (tmp_path / "tokenizer.json").unlink()
    assert_same_ids(read(tmp_path, None, settings), theirs)


ORDINARY = {
    "in a sequence of one": {"normalizer": normalizers.Sequence([BERT])},
    "split in a sequence of one": {"pre_tokenizer": pre_tokenizers.Sequence([SPLIT])},
    "BertProcessing": {"post_processor": BertProcessing(("[SEP]", 3), ("[CLS]", 2))},
    "TemplateProcessing": {
        "post_processor": TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
        )
    },
}


@pytest.mark.parametrize("name", ORDINARY)
def test_what_is_berts_in_other_words(tmp_path, name):
    theirs = pipeline(**ORDINARY[name])
    theirs.decoder = decoders.WordPiece()
    theirs.enable_truncation(8)
    theirs.enable_padding(length=8)
    ours = read(tmp_path, theirs)
    theirs.no_truncation()
    theirs.no_padding()
    assert_same_ids(ours, theirs)


def test_a_file_of_the_first_versions(tmp_path):
    """Those of Google's models on the hub do not name the kind of their model."""
    pipeline(**ORDINARY["TemplateProcessing"]).save(str(tmp_path / "tokenizer.json"))
    described = json.loads((tmp_path / "tokenizer.json").read_text())
    assert described["model"].pop("type") == "WordPiece"
    (tmp_path / "tokenizer.json").write_text(json.dumps(described))
    theirs = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert_same_ids(read_tokenizer(tmp_path, BertConfig(ROWS)), theirs)


N, P = normalizers, pre_tokenizers
OTHER = {
    "no normalizer": {"normalizer": None},
    "a course's": {"normalizer": N.Sequence([N.NFD(), N.Lowercase(), N.StripAccents()])},
    "NFKC": {"normalizer": N.Sequence([N.NFKC(), N.Lowercase()])},
    "NFKC before": {"normalizer": N.Sequence([N.NFKC(), BERT])},
    "lower-casing before": {"normalizer": N.Sequence([N.Lowercase(), BERT])},
    "replacing": {"normalizer": N.Sequence([BERT, N.Replace("a", "b")])},
    "without cleaning": {"normalizer": N.BertNormalizer(clean_text=False)},
    "no pre-tokenizer": {"pre_tokenizer": None},
    "spaces": {"pre_tokenizer": P.WhitespaceSplit()},
    "words": {"pre_tokenizer": P.Whitespace()},
    "digits": {"pre_tokenizer": P.Sequence([SPLIT, P.Digits(True)])},
    "bytes": {"pre_tokenizer": P.ByteLevel()},
    "long words": {"max_input_chars_per_word": 200},
    "another prefix": {"continuing_subword_prefix": "@@"},
    "another unknown": {"unk_token": "[PAD]"},
    "RobertaProcessing": {"post_processor": RobertaProcessing(("[SEP]", 3), ("[CLS]", 2))},
    "one segment": {
        "post_processor": TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B [SEP]",
            special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
        )
    },
    "swapped ends": {"post_processor": BertProcessing(("[CLS]", 2), ("[SEP]", 3))},
    "a token in any case": {"added": [AddedToken("<ent>", normalized=True)]},
    "a word alone": {"added": [AddedToken("<ent>", single_word=True)]},
}


@pytest.mark.parametrize("name", OTHER)
def test_what_is_not_berts_is_refused_by_name(tmp_path, name):
    rows = ROWS + ("added" in OTHER[name])
    with pytest.raises(DataError, match=r"tokenizer\.json"):
        read(tmp_path, pipeline(**OTHER[name]), rows=rows)


@pytest.mark.parametrize(
    "model", [models.BPE(), models.Unigram(), models.WordLevel({"[UNK]": 0}, unk_token="[UNK]")]
)
def test_other_models(tmp_path, model):
    tokenizer = Tokenizer(model)
    tokenizer.normalizer, tokenizer.pre_tokenizer = BERT, SPLIT
    with pytest.raises(DataError, match=r"tokenizer\.json must have BERT's WordPiece as model"):
        read(tmp_path, tokenizer)


def test_an_unknown_part(tmp_path):
    pipeline().save(str(tmp_path / "tokenizer.json"))
    described = json.loads((tmp_path / "tokenizer.json").read_text()) | {"stemmer": "porter"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(described))
    with pytest.raises(DataError, match="Received: stemmer 'porter'"):
        read_tokenizer(tmp_path, BertConfig(ROWS))


# What transformers writes.
WRITTEN = {
    "tokenizer_class": "BertTokenizer",
    "do_lower_case": True,
    "do_basic_tokenize": True,
    "never_split": None,
    "strip_accents": None,
    "tokenize_chinese_chars": True,
    "clean_up_tokenization_spaces": True,
    "model_max_length": 512,
    "unk_token": "[UNK]",
    "mask_token": {"content": "[MASK]", "lstrip": False, "__type": "AddedToken"},
    "additional_special_tokens": [],
    "added_tokens_decoder": {str(n): {"content": token} for n, token in enumerate(SPECIAL)},
}


def test_what_transformers_writes(tmp_path):
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"unk_token": "[UNK]"}))
    (tmp_path / "added_tokens.json").write_text("{}")
    assert_same_ids(read(tmp_path, None, WRITTEN), pipeline())
    assert_same_ids(read(tmp_path, pipeline(), WRITTEN), pipeline())


def test_without_options_case_decides(tmp_path):
    """Only where no file has a place for them."""
    assert not read(tmp_path).lowercase  # Their pieces have capitals.
    with pytest.raises(DataError, match="tokenizer_config.json must say do_lower_case"):
        read(tmp_path, None, {"model_max_length": 512})


@pytest.mark.parametrize(
    "settings",
    [
        {"never_split": ["[unused0]"]},
        {"additional_special_tokens": ["<ent>"]},
        {"extra_special_tokens": {"entity": "<ent>"}},
        {"added_tokens_decoder": {"6": {"content": "[unused0]"}}},
        {"added_tokens_decoder": {"7": {"content": "[MASK]"}}},
        {"tokenizer_class": "BertJapaneseTokenizer"},
        {"tokenizer_class": "PreTrainedTokenizerFast"},
        {"unk_token": "<unk>"},
        {"bos_token": "<s>"},
        {"padding_side": "left"},
        {"model_input_names": ["input_ids", "attention_mask"]},
        {"do_lower_case": "yes"},
        {"normalize_numbers": True},
    ],
    ids=str,
)
def test_settings_that_are_refused_by_name(tmp_path, settings):
    with pytest.raises(DataError, match=r"tokenizer_config\.json"):
        read(tmp_path, None, {"do_lower_case": True, **settings})


@pytest.mark.parametrize("name", ["special_tokens_map.json", "added_tokens.json"])
@pytest.mark.parametrize("fields", [{"unk_token": "<unk>"}, {"[unused0]": 6}])
def test_other_files_are_read_too(tmp_path, name, fields):
    (tmp_path / name).write_text(json.dumps(fields))
    with pytest.raises(DataError, match=name):
        read(tmp_path, None, WRITTEN)


@pytest.mark.parametrize(
    ("settings", "agrees"),
    [
        ({"do_lower_case": False}, False),
        ({"strip_accents": False}, False),
        ({"strip_accents": True}, True),
        ({"tokenizer_class": "PreTrainedTokenizerFast"}, True),
        ({"tokenize_chinese_chars": False}, False),
    ],
    ids=str,
)
def test_two_files_say_the_same(tmp_path, settings, agrees):
    if agrees:
        assert_same_ids(read(tmp_path, pipeline(), settings), pipeline())
        return
    with pytest.raises(DataError, match=r"tokenizer_config.json must say what .*tokenizer.json"):
        read(tmp_path, pipeline(), settings)


def test_two_vocabularies_are_one(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(reversed(PIECES)), encoding="utf-8")
    with pytest.raises(DataError, match=r"vocab.txt must have the \d+ pieces of tokenizer.json"):
        read(tmp_path, pipeline())


@pytest.mark.parametrize(("accents", "cased"), [(None, True), (True, True), (None, False)])
def test_lower_casing_of_sentence_transformers(tmp_path, accents, cased):
    """It puts a normalizer before a cased tokenizer, and leaves an uncased one as it is."""
    normalizer = normalizers.BertNormalizer(lowercase=not cased, strip_accents=accents)
    ours = read(tmp_path, pipeline(normalizer), lowercase=True)
    if cased:
        normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizer])
    assert_same_ids(ours, pipeline(normalizer))


def test_a_folder_without_pieces(tmp_path):
    with pytest.raises(DataError, match=r"must have vocab.txt or tokenizer.json"):
        read_tokenizer(tmp_path, BertConfig(9))


ADDED = {
    "a piece of the vocabulary": ["[unused0]"],
    "markers": [AddedToken("[E1]", normalized=False), AddedToken("[/E1]", normalized=False)],
    "without a case": [AddedToken("<12>", normalized=True)],
    "one in another": [AddedToken("<e>", special=True), AddedToken("<e><e>", special=True)],
}
MARKED = [
    *TEXTS,
    "ab [E1] ab[/E1], <12>ab<12>",
    "[e1] [E 1] x[E1]x",
    "<e><e><e> <e",
    "a[unused0]",
]


@pytest.mark.parametrize("name", ADDED)
def test_added_tokens_are_found_as_they_stand(tmp_path, name):
    from kbert.text.python_tokenizer import PythonTokenizer

    theirs = pipeline(added=ADDED[name])
    size = theirs.get_vocab_size()
    ours = read(tmp_path, theirs, rows=size)
    expected = [found.ids for found in theirs.encode_batch(MARKED, add_special_tokens=False)]
    assert ours.tokenize(MARKED).to_list() == expected
    assert [found.ids.tolist() for found in ours.tokenize_with_offsets(MARKED)] == expected
    in_python = PythonTokenizer(ours.vocabulary, **ours.options)
    assert in_python.tokenize(MARKED).to_list() == expected
    for one, other in zip(
        ours.tokenize_with_offsets(MARKED), in_python.tokenize_with_offsets(MARKED), strict=True
    ):
        assert [x.tolist() for x in one] == [x.tolist() for x in other]
    # There and back, in the files that transformers has without a pipeline.
    from kbert.checkpoints.huggingface.tokenizer import write_tokenizer

    write_tokenizer(tmp_path / "b", ours, BertConfig(size))
    assert read_tokenizer(tmp_path / "b", BertConfig(size)).options == ours.options


def test_added_tokens_of_older_files(tmp_path):
    """vocab.txt with added_tokens.json, as transformers 2 to 4 wrote them."""
    (tmp_path / "added_tokens.json").write_text(json.dumps({"[E2]": ROWS + 1, "[E1]": ROWS}))
    names = {"additional_special_tokens": ["[E1]", "[E2]"]}
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(names))
    ours = read(tmp_path, None, {"do_lower_case": True}, rows=ROWS + 2)
    theirs = pipeline(added=["[E1]", "[E2]"])
    assert ours.vocabulary[-2:] == ["[E1]", "[E2]"]
    expected = [found.ids for found in theirs.encode_batch(MARKED, add_special_tokens=False)]
    assert ours.tokenize(MARKED).to_list() == expected


def test_added_tokens_that_no_file_calls_special_are_found_in_any_case(tmp_path):
    (tmp_path / "added_tokens.json").write_text(json.dumps({"covid": ROWS}))
    with pytest.raises(DataError, match="found as they stand. Received: 'covid'"):
        read(tmp_path, None, {"do_lower_case": True}, rows=ROWS + 1)


def test_added_tokens_with_a_gap(tmp_path):
    settings = {"do_lower_case": True}
    settings["added_tokens_decoder"] = {str(ROWS + 1): {"content": "<ent>"}}
    with pytest.raises(DataError, match=f"must number its added tokens from {ROWS} without a gap"):
        read(tmp_path, None, settings, rows=ROWS + 2)


def test_placeholders_of_added_tokens_are_no_way_in(tmp_path):
    from kbert.text.python_tokenizer import PythonTokenizer

    for kind in (WordPieceTokenizer, PythonTokenizer):
        tokenizer = kind([*PIECES, "[E1]"], added_tokens=("[E1]",))
        assert (
            tokenizer.tokenize(["a\ufdd5b \ufdd4"]).to_list()
            == tokenizer.tokenize(["ab"]).to_list()
        )


def test_without_basic_tokenization(tmp_path):
    """As AutoTokenizer reads it: only spaces and punctuation split, and nothing is changed."""
    ours = read(tmp_path, None, {"do_lower_case": True, "do_basic_tokenize": False})
    normalizer = normalizers.BertNormalizer(
        lowercase=False, strip_accents=False, handle_chinese_chars=False
    )
    assert_same_ids(ours, pipeline(normalizer))
    # The pipeline, where there is one, is all.
    assert_same_ids(read(tmp_path, pipeline(), {"do_basic_tokenize": False}), pipeline())


def test_what_kbert_writes(tmp_path):
    from kbert.checkpoints.huggingface.tokenizer import write_tokenizer

    for options in itertools.product([True, False], [None, True, False], [True, False]):
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()
        tokenizer = WordPieceTokenizer(PIECES, *options)
        write_tokenizer(tmp_path, tokenizer, BertConfig(ROWS))
        assert read_tokenizer(tmp_path, BertConfig(ROWS)).options == tokenizer.options
