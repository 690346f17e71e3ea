"""tokenizer.json: a pipeline of the library `tokenizers`, of which BERT's is understood.

    normalizer       BertNormalizer: clean, split Chinese characters, drop accents, lower-case
    pre_tokenizer    BertPreTokenizer: words and punctuation
    model            WordPiece
    post_processor   [CLS] a [SEP] b [SEP] with segments 0 and 1

Every other part is refused by name: its ids would not be those of BERT's tokenizer. Tokens that
are found in a text before the pipeline: kbert/checkpoints/huggingface/added_tokens.py.
"""

import json
import pathlib

from kbert.checkpoints.published_config import check_understood, check_values
from kbert.errors import DataError
from kbert.files import read_object
from kbert.text.vocabulary import check_vocabulary, special_token_ids
from kbert.text.words import MAX_CHARACTERS_PER_WORD

# Ours for the normalizer's options, with its defaults.
_OPTIONS = {
    "lowercase": ("lowercase", True),
    "strip_accents": ("strip_accents", None),
    "handle_chinese_chars": ("split_chinese", True),
}
# How long a row may be and how it is padded is the caller's; ids become text again by our rules.
_WITHOUT_EFFECT = {"version", "truncation", "padding", "decoder"}
_UNKNOWN, _CLS, _SEP = "[UNK]", "[CLS]", "[SEP]"


def read_pipeline(file: pathlib.Path) -> tuple[list[str], dict, list[dict]]:
    """The pieces, the options of `WordPieceTokenizer` that give the same ids, and the tokens that
    are found before words are split, as they are described.

    Raises `DataError`, naming the part, for a pipeline that is not BERT's.
    """
    parts = read_object(file)
    known = {"added_tokens", "normalizer", "pre_tokenizer", "model", "post_processor"}
    check_understood(file, parts, known | _WITHOUT_EFFECT)
    pieces = _pieces(file, _part(file, _with_kind(parts), "model", "WordPiece"))
    options = _options(file, _part(file, parts, "normalizer", "BertNormalizer"))
    check_understood(
        f"pre_tokenizer in {file}", _part(file, parts, "pre_tokenizer", "BertPreTokenizer"), _TYPE
    )
    _check_post_processor(file, parts.get("post_processor"), pieces)
    tokens = parts.get("added_tokens") or []
    if not isinstance(tokens, list) or not all(isinstance(token, dict) for token in tokens):
        raise DataError(f"{file} must have a list of objects as added_tokens.")
    return pieces, options, tokens


_TYPE = ("type",)


def _with_kind(parts: dict) -> dict:
    """With the kind of a model that has none: first versions saw it by the fields."""
    model = parts.get("model")
    if isinstance(model, dict) and "type" not in model and "max_input_chars_per_word" in model:
        return {**parts, "model": {"type": "WordPiece", **model}}
    return parts


def _part(file, parts, name, kind) -> dict:
    """A part of the pipeline, of one kind; a sequence of one is that one."""
    part = parts.get(name)
    if isinstance(part, dict) and part.get("type") == "Sequence":
        inner = part.get("normalizers", part.get("pretokenizers"))
        part = inner[0] if isinstance(inner, list) and len(inner) == 1 else part
    if not isinstance(part, dict) or part.get("type") != kind:
        received = json.dumps(part)[:80]
        raise DataError(f"{file} must have BERT's {kind} as {name}. Received: {received}.")
    return part


def _options(file, normalizer) -> dict:
    place = f"normalizer in {file}"
    check_understood(place, normalizer, {"type", "clean_text", *_OPTIONS})
    check_values(place, normalizer, {"clean_text": (True,)})
    options = {
        ours: normalizer.get(theirs, default) for theirs, (ours, default) in _OPTIONS.items()
    }
    for name, value in options.items():
        if not isinstance(value, bool) and (name, value) != ("strip_accents", None):
            raise DataError(f"{place} must be on or off in {name}. Received: {value!r}.")
    return options


def _pieces(file, model) -> list[str]:
    place = f"model in {file}"
    fixed = {
        "unk_token": (_UNKNOWN,),
        "continuing_subword_prefix": ("##",),
        "max_input_chars_per_word": (MAX_CHARACTERS_PER_WORD,),
    }
    check_understood(place, model, {"type", "vocab", *fixed})
    check_values(place, model, fixed)
    vocabulary = model.get("vocab")
    if not isinstance(vocabulary, dict) or not vocabulary:
        raise DataError(f"{file} must hold the vocabulary of its model.")
    numbers = sorted(number for number in vocabulary.values() if type(number) is int)
    if numbers != list(range(len(vocabulary))):
        raise DataError(f"{file} must number its {len(vocabulary)} pieces from 0 without a gap.")
    pieces = sorted(vocabulary, key=vocabulary.__getitem__)
    check_vocabulary(pieces, source=file)
    return pieces


def _check_post_processor(file, processor, pieces) -> None:
    """One that is missing leaves it to who calls, which for a BERT is the same."""
    if processor is None:
        return
    ids = special_token_ids(pieces)
    kind = processor.get("type") if isinstance(processor, dict) else None
    expected = {
        "BertProcessing": {"sep": [_SEP, ids[_SEP]], "cls": [_CLS, ids[_CLS]]},
        "TemplateProcessing": {
            "single": _template(_CLS, "A", _SEP),
            "pair": [*_template(_CLS, "A", _SEP), *_template("B", _SEP, segment=1)],
            "special_tokens": {
                token: {"id": token, "ids": [ids[token]], "tokens": [token]}
                for token in (_CLS, _SEP)
            },
        },
    }.get(kind)
    if expected is None or {"type": kind, **expected} != processor:
        raise DataError(
            f"{file} must make [CLS] a [SEP] b [SEP] of two texts in its post_processor. "
            f"Received: {json.dumps(processor)[:200]}."
        )


def _template(*parts, segment=0) -> list[dict]:
    return [
        {"Sequence" if part in ("A", "B") else "SpecialToken": {"id": part, "type_id": segment}}
        for part in parts
    ]
