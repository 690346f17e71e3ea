"""The tokenizer of a Hugging Face directory, in and out.

tokenizer.json             the whole pipeline
vocab.txt                  the pieces, where there is no pipeline; the same ones where there is
tokenizer_config.json      options, special tokens
special_tokens_map.json    special tokens again
added_tokens.json          tokens beside the pieces, with their ids
sentence_bert_config.json  of sentence-transformers: whether a cased tokenizer lower-cases

What these files say twice they must say alike; what changes ids and is not BERT's is refused by
name.
"""

import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import keras

from kbert.checkpoints.huggingface.added_tokens import AddedTokens
from kbert.checkpoints.huggingface.config import TOKENIZER_CLASSES
from kbert.checkpoints.huggingface.tokenizer_json import read_pipeline
from kbert.checkpoints.published_config import check_understood, check_values
from kbert.checkpoints.published_vocabulary import fitted, is_cased
from kbert.config import BertConfig
from kbert.errors import DataError
from kbert.files import read_object, write_json
from kbert.text.available import tokenizer_class
from kbert.text.vocabulary import SPECIAL_TOKENS, load_vocabulary, save_vocabulary

if TYPE_CHECKING:
    from kbert.text.tokenizer import WordPieceTokenizer

_SPECIAL = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
# Theirs -> ours, with the default of transformers.
_OPTIONS = {
    "do_lower_case": ("lowercase", True),
    "strip_accents": ("strip_accents", None),
    "tokenize_chinese_chars": ("split_chinese", True),
}
_FIXED = {
    "tokenizer_class": (*TOKENIZER_CLASSES, None),
    "clean_text": (True, None),
    "wordpieces_prefix": ("##", None),
    "padding_side": ("right", None),
    "truncation_side": ("right", None),
    "pad_token_type_id": (0, None),
}
# With a pipeline beside it, these names say only that the pipeline is all.
_ANY_CLASS = ("PreTrainedTokenizerFast", "TokenizersBackend")
# Lists and dictionaries of special tokens.
_NEVER_SPLIT = "never_split"
_TOKENS = ("additional_special_tokens", "extra_special_tokens")
_MORE_SPECIAL = ("bos_token", "eos_token")
# Of calls, of text made from ids, and where the files were.
_WITHOUT_EFFECT = """
    added_tokens_file backend clean_up_tokenization_spaces full_tokenizer_file init_inputs is_local
    local_files_only max_len max_length model_max_length model_type name_or_path pad_to_multiple_of
    padding processor_class special_tokens_map_file split_special_tokens stride tokenizer_file
    truncation truncation_strategy use_fast verbose vocab_file
""".split()
_BASIC = "do_basic_tokenize"
_UNDERSTOOD = frozenset(
    [
        _BASIC,
        _NEVER_SPLIT,
        *_SPECIAL,
        *_OPTIONS,
        *_FIXED,
        *_TOKENS,
        *_MORE_SPECIAL,
        *_WITHOUT_EFFECT,
    ]
    + ["added_tokens_decoder", "model_input_names"]
)


def read_tokenizer(
    path: pathlib.Path, config: BertConfig, lowercase: bool = False
) -> "WordPieceTokenizer":
    """The tokenizer that gives the ids of the folder `path`.

    Args:
        lowercase: lower-case the texts though the tokenizer is cased.

    Raises `DataError` for what the files say of ids that BERT's tokenizer does not give, by name.
    """
    pieces, of_pipeline, tokens = _read_pieces(path)
    settings = _read(path / "tokenizer_config.json")
    _check_settings(path, settings, of_pipeline is not None)
    options = _options(path, settings, of_pipeline, pieces)
    added = AddedTokens(pieces, options["lowercase"])
    for token in tokens:
        added.add(path / "tokenizer.json", token, token.get("id"))
    _read_tokens(path, settings, added)
    if lowercase and not options["lowercase"]:
        options |= {"lowercase": True, "strip_accents": bool(options["strip_accents"])}
    tokenizer = tokenizer_class(keras.backend.backend())
    pieces = fitted(_pieces_file(path), added.whole(path), config)
    return tokenizer(pieces, **options, added_tokens=tuple(added.ids))


def write_tokenizer(
    path: pathlib.Path, tokenizer: "WordPieceTokenizer", config: BertConfig
) -> None:
    """Write vocab.txt and tokenizer_config.json."""
    save_vocabulary(path / "vocab.txt", tokenizer.vocabulary)
    settings = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": tokenizer.lowercase,
        "strip_accents": tokenizer.strip_accents,
        "tokenize_chinese_chars": tokenizer.split_chinese,
        "model_max_length": config.max_sequence_length,
        **_SPECIAL,
    }
    if tokenizer.added_tokens:
        numbers = {piece: number for number, piece in enumerate(tokenizer.vocabulary)}
        found = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
        settings["additional_special_tokens"] = list(tokenizer.added_tokens)
        settings["added_tokens_decoder"] = {
            str(numbers[token]): {"content": token, **found, "special": True}
            for token in tokenizer.added_tokens
        }
    write_json(path / "tokenizer_config.json", settings)


def _read(file: pathlib.Path) -> dict:
    return read_object(file) if file.is_file() else {}


def _pieces_file(path: pathlib.Path) -> pathlib.Path:
    return path / ("vocab.txt" if (path / "vocab.txt").is_file() else "tokenizer.json")


def _read_pieces(path: pathlib.Path) -> tuple[list[str], dict | None, list[dict]]:
    """The pieces, and the options and tokens of the pipeline if there is one."""
    listed, pipeline = path / "vocab.txt", path / "tokenizer.json"
    if not pipeline.is_file():
        if not listed.is_file():
            raise DataError(f"{path} must have vocab.txt or tokenizer.json.")
        return load_vocabulary(listed), None, []
    pieces, options, tokens = read_pipeline(pipeline)
    if listed.is_file() and load_vocabulary(listed)[: len(pieces)] != pieces:
        raise DataError(f"{listed} must have the {len(pieces)} pieces of tokenizer.json, in order.")
    return pieces, options, tokens


def _check_settings(path: pathlib.Path, settings: Mapping, has_pipeline: bool) -> None:
    file = path / "tokenizer_config.json"
    classes = _FIXED["tokenizer_class"] + (_ANY_CLASS if has_pipeline else ())
    check_values(file, settings, {**_FIXED, "tokenizer_class": classes})
    check_understood(file, settings, _UNDERSTOOD)
    inputs = settings.get("model_input_names") or ["token_type_ids"]
    if "token_type_ids" not in inputs:
        raise DataError(
            f"{file} must have token_type_ids among its model_input_names. Received: {inputs!r}."
        )


def _read_tokens(path: pathlib.Path, settings: Mapping, added: AddedTokens) -> None:
    """What the other files say of tokens. Raises `DataError` for another [CLS], say."""
    maps = {"tokenizer_config.json": settings}
    maps["special_tokens_map.json"] = _read(path / "special_tokens_map.json")
    check_understood(
        path / "special_tokens_map.json",
        maps["special_tokens_map.json"],
        {_NEVER_SPLIT, *_SPECIAL, *_TOKENS, *_MORE_SPECIAL},
    )
    numbered = _read(path / "added_tokens.json")
    decoder = settings.get("added_tokens_decoder") or {}
    if not isinstance(decoder, dict):
        raise DataError(f"{path / 'tokenizer_config.json'}: added_tokens_decoder is no object.")
    for name, values in maps.items():
        for key, token in _SPECIAL.items():
            found = values.get(key)
            if found is not None and _content(found) != token:
                raise DataError(f"{path / name} must have {token} as {key}. Received: {found!r}.")
        more = [values[key] for key in _MORE_SPECIAL if values.get(key)]
        more += _listed(path / name, _NEVER_SPLIT, values.get(_NEVER_SPLIT))
        unknown = [token for token in map(_content, more) if token not in SPECIAL_TOKENS]
        if unknown:
            raise DataError(
                f"{path / name} must have {', '.join(SPECIAL_TOKENS)} in {_NEVER_SPLIT} and "
                f"{' and '.join(_MORE_SPECIAL)}. Received: {', '.join(map(str, unknown[:5]))}."
            )
    place = f"added_tokens_decoder in {path / 'tokenizer_config.json'}"
    for number, token in decoder.items():
        added.add(place, token, int(number) if str(number).isdecimal() else number)
    special = [
        (path / name, token)
        for name, values in maps.items()
        for key in _TOKENS
        for token in _listed(path / name, key, values.get(key))
    ]
    # Without a description beside it a token is found in any case, unless another file lists it.
    names = {*SPECIAL_TOKENS, *(_content(token) for _, token in special)}
    for token, number in numbered.items():
        described = {"content": token, "special": token in names}
        added.add(path / "added_tokens.json", described, number)
    for file, token in special:
        added.add(file, token, None)


def _content(token: object) -> object:
    """Of a token that may be written with how it is found."""
    return token.get("content") if isinstance(token, dict) else token


def _listed(file, key, tokens) -> list:
    tokens = list(tokens.values()) if isinstance(tokens, dict) else tokens or []
    if not isinstance(tokens, list):
        raise DataError(f"{file} must have a list as {key}. Received: {tokens!r}.")
    return tokens


def _options(path, settings, of_pipeline, pieces) -> dict:
    """Ours, from tokenizer_config.json and the pipeline, which must agree."""
    file = path / "tokenizer_config.json"
    said = {ours: settings[name] for name, (ours, _) in _OPTIONS.items() if name in settings}
    for name, value in said.items():
        if not isinstance(value, bool) and (name, value) != ("strip_accents", None):
            raise DataError(f"{file} must be true or false in {name}. Received: {value!r}.")
    if of_pipeline is not None:
        if _effect(of_pipeline | said) != _effect(of_pipeline):
            raise DataError(
                f"{file} must say what the normalizer in tokenizer.json does, {of_pipeline}. "
                f"Received: {said}."
            )
        return of_pipeline
    if settings.get(_BASIC) is False:
        # As AutoTokenizer has it: words are split at spaces and punctuation, and nothing else.
        return {"lowercase": False, "strip_accents": False, "split_chinese": False}
    defaults = dict(_OPTIONS.values())
    if "lowercase" not in said and is_cased(pieces):
        if settings:
            raise DataError(
                f"{file} must say do_lower_case: transformers' default is true, and "
                f"{path / 'vocab.txt'} has capitals."
            )
        defaults["lowercase"] = False
    return defaults | said


def _effect(options: Mapping) -> dict:
    accents = options["strip_accents"]
    return {**options, "strip_accents": options["lowercase"] if accents is None else accents}
