"""RoFormer of transformers (arXiv 2104.09864): a BERT with rotary positions, as if it were BERT's.

What its folders hold otherwise, and nothing else:

    RoFormer..., roformer. ...   names of classes, and of the body's weights
    embed_positions              the angles' sines and cosines, which are constant
    query, key                   neighbouring columns of a head are turned together, in kbert the
                                 columns of its halves: the same model in another order
    sequence_summary             the pooler, of choices alone; no other class has one

There is no next sentence, and a classifier of texts has another output layer.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kbert.checkpoints.huggingface.config import TOKENIZER_CLASSES
from kbert.checkpoints.huggingface.weights import renamed
from kbert.checkpoints.published_config import check_values
from kbert.checkpoints.weight_files import Source
from kbert.config import BertConfig
from kbert.errors import DataError
from kbert.files import read_object
from kbert.layers.position import frequencies

MODEL_TYPE = "roformer"
_BERT, _ROFORMER = "Bert", "RoFormer"
_CHOICES = "BertForMultipleChoice"
_SAME = ("BertModel", "BertForMaskedLM", "BertForTokenClassification", "BertForQuestionAnswering")
_CLASSES = (*_SAME, _CHOICES)
_POOLER, _SUMMARY = "bert.pooler.dense.", "sequence_summary.summary."
_LEFT_OUT = {_POOLER: "the pooler", "cls.seq_relationship.": "the next-sentence head"}
_BERTS_OWN = (*_LEFT_OUT, "bert.embeddings.position_embeddings.")
_WAVES = "bert.encoder.embed_positions.weight"
_TURNED = tuple(
    f".attention.self.{part}.{kind}" for part in ("query", "key") for kind in ("weight", "bias")
)
_LONGEST = 1536  # Positions, where config.json does not say how many.
_WITHOUT_EFFECT = ("summary_first_dropout", "summary_last_dropout")
# How `sequence_summary` is BERT's pooler.
_AS_POOLER = {
    "summary_type": "first",
    "summary_use_proj": True,
    "summary_activation": "tanh",
    "summary_proj_to_labels": False,
}


def is_roformer(fields: Mapping) -> bool:
    """Whether config.json is of a RoFormer."""
    return fields.get("model_type") == MODEL_TYPE


def bert_fields(file: Path, fields: Mapping) -> dict:
    """What config.json would say of a BERT of these sizes.

    Raises `DataError` for a class that is no BERT but for its positions.
    """
    check_values(file, fields, {"rotary_value": (False, None)})
    names = fields.get("architectures") or [f"{_ROFORMER}Model"]
    known = {_own_name(name): name for name in _CLASSES}
    if not isinstance(names, list) or not all(name in known for name in names):
        raise DataError(f"{file} must name one of {', '.join(known)}. Received: {names!r}.")
    names = [known[name] for name in names]
    if _CHOICES in names:
        expected = {
            key: (value, None) if not value else (value,) for key, value in _AS_POOLER.items()
        }
        check_values(file, {key: fields.get(key) for key in expected}, expected)
    own = ("rotary_value", *_AS_POOLER, *_WITHOUT_EFFECT)
    kept = {key: value for key, value in fields.items() if key not in own}
    longest = {"max_position_embeddings": _LONGEST} | kept
    return {**longest, "model_type": "bert", "architectures": names}


def check_tokenizer(path: Path) -> None:
    """Raise `DataError` for a folder that does not name BERT's tokenizer: RoFormer's own, which
    transformers takes then, begins with the words that jieba finds."""
    file = path / "tokenizer_config.json"
    found = (read_object(file) if file.is_file() else {}).get("tokenizer_class")
    if found not in TOKENIZER_CLASSES:
        expected = " or ".join(TOKENIZER_CLASSES)
        raise DataError(f"{file} must name {expected} as tokenizer_class. Received: {found!r}.")


def bert_weights(source: Source, config: BertConfig) -> Source:
    """The arrays of a RoFormer under BERT's names, in kbert's order of columns.

    Raises `DataError` for angles that are others, and for a weight that no RoFormer has.
    """
    for name in source.shapes:
        if _bert_name(name).startswith(_BERTS_OWN) and not name.startswith(_SUMMARY):
            raise DataError(f"{source.path} must be of a RoFormer, which has no weight {name}.")
    source = renamed(source, _bert_name)
    if _WAVES in source.shapes:
        _check_waves(source, config)

    def read(name: str) -> np.ndarray:
        array = source.read(name)
        return _ordered(array, np.argsort(_order(config))) if name.endswith(_TURNED) else array

    shapes = {name: shape for name, shape in source.shapes.items() if name != _WAVES}
    return source._replace(shapes=shapes, read=read)


def _check_waves(source: Source, config: BertConfig) -> None:
    name, found = _roformer_name(_WAVES), tuple(source.shapes[_WAVES])
    # The shape first: a configuration can ask for any.
    shape = (config.max_sequence_length, config.hidden_dim // config.num_heads)
    if found != shape:
        raise DataError(f"{source.path}: {name} must be of shape {shape}. Received: {found}.")
    # 16 bits round the largest of them by 2^-9.
    if not np.allclose(source.floats(_WAVES), _waves(config), atol=4e-3):
        raise DataError(f"{source.path}: {name} must hold sines and cosines of the positions.")


def class_of(architecture: str) -> str:
    """The class of BERT that a RoFormer is like, for a model of BERT's class `architecture`.

    Raises `DataError` for a classifier of texts.
    """
    if architecture == "BertForPreTraining":
        return "BertForMaskedLM"
    if architecture not in _CLASSES:
        raise DataError(
            "transformers' RoFormer, which has the rotary positions, has no place for a classifier "
            "with a pooler: convert the encoder alone."
        )
    return architecture


def roformer_weights(
    arrays: Mapping[str, np.ndarray], architecture: str, config: BertConfig
) -> dict[str, np.ndarray]:
    """The arrays of a BERT as a RoFormer's files hold them, without a pooler and a next sentence,
    with a warning."""
    order, written, left = _order(config), {}, set()
    for name, array in arrays.items():
        heads = [head for start, head in _LEFT_OUT.items() if name.startswith(start)]
        if heads and architecture != _CHOICES:
            left |= set(heads)
            continue
        array = _ordered(array, order) if name.endswith(_TURNED) else array
        written[_roformer_name(name)] = array
    if left:
        what = " and ".join(sorted(left, reverse=True))
        warnings.warn(f"RoFormer has no place for {what}: left out.", stacklevel=3)
    written[_roformer_name(_WAVES)] = _waves(config)
    return written


def roformer_fields(fields: Mapping) -> dict:
    """What config.json says of a RoFormer, from what it would say of BERT."""
    (name,) = fields["architectures"]
    own = {"model_type": MODEL_TYPE, "architectures": [_own_name(name)], "rotary_value": False}
    own["embedding_size"] = fields["hidden_size"]
    return {**fields, **own, **(_AS_POOLER if name == _CHOICES else {})}


def _own_name(name: str) -> str:
    return _ROFORMER + name.removeprefix(_BERT)


def _bert_name(name: str) -> str:
    return _moved(_moved(name, _SUMMARY, _POOLER), f"{MODEL_TYPE}.", "bert.")


def _roformer_name(name: str) -> str:
    return _moved(_moved(name, _POOLER, _SUMMARY), "bert.", f"{MODEL_TYPE}.")


def _moved(name: str, start: str, to: str) -> str:
    return to + name.removeprefix(start) if name.startswith(start) else name


def _order(config: BertConfig) -> np.ndarray:
    """Which of kbert's columns each of RoFormer's is: (hidden,)."""
    head = config.hidden_dim // config.num_heads
    columns = np.arange(head).reshape(2, head // 2).T.ravel()  # 0, head / 2, 1, head / 2 + 1 ...
    return (np.arange(config.num_heads)[:, None] * head + columns).ravel()


def _ordered(array: np.ndarray, order: np.ndarray) -> np.ndarray:
    """With its rows in an order; one of another shape, which its reader refuses, as it is."""
    return array[order] if len(array) == len(order) else array


def _waves(config: BertConfig) -> np.ndarray:
    """Sines, then cosines, of each position's angles: (positions, head)."""
    head = config.hidden_dim // config.num_heads
    angles = np.arange(config.max_sequence_length)[:, None] * frequencies(head // 2, head)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype("float32")
