"""The tokenizer of a Hugging Face directory, in and out."""

import pathlib
from typing import TYPE_CHECKING

from kbert.checkpoints.published_vocabulary import fitted, is_cased
from kbert.config import BertConfig
from kbert.errors import DataError
from kbert.files import read_object, write_json
from kbert.text.vocabulary import check_vocabulary, load_vocabulary, save_vocabulary

if TYPE_CHECKING:
    from kbert.text.tokenizer import WordPieceTokenizer

_SPECIAL = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}


def read_tokenizer(path: pathlib.Path, config: BertConfig) -> "WordPieceTokenizer":
    """Pieces from vocab.txt or tokenizer.json; options from tokenizer_config.json, or where it
    does not say from tokenizer.json's normalizer, or else from the case of the pieces."""
    # Here, because weights are read without TensorFlow, and this tokenizer needs it.
    from kbert.text.tokenizer import WordPieceTokenizer

    whole = path / "tokenizer.json"
    description = read_object(whole) if whole.is_file() else {}
    if (path / "vocab.txt").is_file():
        file = path / "vocab.txt"
        pieces = load_vocabulary(file)
    elif description:
        file = whole
        pieces = _pieces(file, description.get("model"))
    else:
        raise DataError(f"{path} must have vocab.txt or tokenizer.json.")
    settings_file = path / "tokenizer_config.json"
    settings = read_object(settings_file) if settings_file.is_file() else {}
    _check_added(path, description, settings, range(len(pieces), config.vocabulary_size))
    pieces = fitted(file, pieces, config)
    options = {"lowercase": not is_cased(pieces), **_normalizer_options(description)}
    return WordPieceTokenizer(pieces, **options | _configured_options(settings))


def write_tokenizer(path: pathlib.Path, tokenizer, config: BertConfig) -> None:
    save_vocabulary(path / "vocab.txt", tokenizer.vocabulary)
    settings = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": tokenizer.lowercase,
        "strip_accents": tokenizer.strip_accents,
        "tokenize_chinese_chars": tokenizer.split_chinese,
        "model_max_length": config.max_sequence_length,
        **_SPECIAL,
    }
    write_json(path / "tokenizer_config.json", settings)


def _configured_options(settings: dict) -> dict:
    names = {
        "do_lower_case": "lowercase",
        "strip_accents": "strip_accents",
        "tokenize_chinese_chars": "split_chinese",
    }
    return {ours: settings[name] for name, ours in names.items() if name in settings}


def _normalizer_options(description: dict) -> dict:
    normalizer = description.get("normalizer")
    if not isinstance(normalizer, dict) or normalizer.get("type") != "BertNormalizer":
        return {}
    names = {
        "lowercase": "lowercase",
        "strip_accents": "strip_accents",
        "handle_chinese_chars": "split_chinese",
    }
    return {ours: normalizer[name] for name, ours in names.items() if name in normalizer}


def _check_added(path: pathlib.Path, description: dict, settings: dict, rows: range) -> None:
    """Raise `DataError` for tokens that `rows` of the model, behind the pieces, belong to."""
    file = path / "added_tokens.json"
    numbered = [*read_object(file).items()] if file.is_file() else []
    described = description.get("added_tokens")
    for token in described if isinstance(described, list) else ():
        if isinstance(token, dict):
            numbered.append((token.get("content"), token.get("id")))
    configured = settings.get("added_tokens_decoder")
    for number, token in configured.items() if isinstance(configured, dict) else ():
        if isinstance(token, dict) and number.isdecimal():
            numbered.append((token.get("content"), int(number)))
    added = [token for token, number in numbered if number in rows]
    if added:
        raise DataError(f"{path} must have no tokens beside its vocabulary's pieces: {added[:5]}.")


def _pieces(file: pathlib.Path, model: object) -> list[str]:
    if not isinstance(model, dict) or model.get("type", "WordPiece") != "WordPiece":
        raise DataError(f"{file} must hold a WordPiece model.")
    vocabulary = model.get("vocab")
    if not isinstance(vocabulary, dict) or not vocabulary:
        raise DataError(f"{file} must hold the vocabulary of its model.")
    if model.get("continuing_subword_prefix", "##") != "##":
        raise DataError(f"{file} must mark pieces inside of words with ##.")
    pieces = sorted(vocabulary, key=vocabulary.__getitem__)
    if [vocabulary[piece] for piece in pieces] != list(range(len(pieces))):
        raise DataError(f"{file} must number its {len(pieces)} pieces from 0 without a gap.")
    check_vocabulary(pieces, source=file)
    return pieces
