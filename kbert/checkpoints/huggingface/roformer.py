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

from kbert.checkpoints.published_config import check_values
from kbert.checkpoints.weight_files import Source
from kbert.config import BertConfig
from kbert.errors import DataError
from kbert.layers.position import frequencies

MODEL_TYPE = "roformer"
_BERT, _ROFORMER = "Bert", "RoFormer"
_CHOICES = "BertForMultipleChoice"
_SAME = ("BertModel", "BertForMaskedLM", "BertForTokenClassification", "BertForQuestionAnswering")
_CLASSES = (*_SAME, _CHOICES)
_POOLER, _SUMMARY = "bert.pooler.dense.", "sequence_summary.summary."
_LEFT_OUT = (_POOLER, "cls.seq_relationship.")
_WAVES = "bert.encoder.embed_positions.weight"
_TURNED = tuple(
    f".attention.self.{part}.{kind}" for part in ("query", "key") for kind in ("weight", "bias")
)
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
    name = _BERT + str(names[0]).removeprefix(_ROFORMER) if isinstance(names, list) else None
    if name not in _CLASSES:
        expected = ", ".join(map(_own_name, _CLASSES))
        raise DataError(f"{file} must name one of {expected}. Received: {names!r}.")
    if name == _CHOICES:
        expected = {key: (value,) for key, value in _AS_POOLER.items()}
        check_values(file, {key: fields.get(key) for key in expected}, expected)
    kept = {key: fields[key] for key in fields if key not in ("rotary_value", *_AS_POOLER)}
    return {**kept, "model_type": "bert", "architectures": [name]}


def bert_weights(source: Source, config: BertConfig) -> Source:
    """The arrays of a RoFormer under BERT's names, in kbert's order of columns.

    Raises `DataError` for angles that are others.
    """
    originals = {}
    for name in source.shapes:
        plain = name.replace(f"{MODEL_TYPE}.", "bert.", 1) if _is_body(name) else name
        originals[plain.replace(_SUMMARY, _POOLER)] = name
    waves = originals.pop(_WAVES, None)
    if waves is not None:
        found, expected = source.floats(waves), _waves(config)
        if found.shape != expected.shape or not np.allclose(found, expected, atol=1e-3):
            raise DataError(f"{source.path}: {waves} must hold sines and cosines of the positions.")
    order = np.argsort(_order(config))

    def read(name: str) -> np.ndarray:
        array = source.read(originals[name])
        return _ordered(array, order) if name.endswith(_TURNED) else array

    shapes = {name: source.shapes[original] for name, original in originals.items()}
    return Source(source.path, shapes, read)


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
        if name.startswith(_LEFT_OUT) and architecture != _CHOICES:
            left.add(name.split(".")[1])
            continue
        array = _ordered(array, order) if name.endswith(_TURNED) else array
        name = name.replace(_POOLER, _SUMMARY)
        written[name.replace("bert.", f"{MODEL_TYPE}.", 1) if _is_body(name) else name] = array
    if left:
        what = " and ".join(sorted(left))
        warnings.warn(f"RoFormer has no place for {what}: left out.", stacklevel=3)
    written[_WAVES.replace("bert.", f"{MODEL_TYPE}.", 1)] = _waves(config)
    return written


def roformer_fields(fields: Mapping) -> dict:
    """What config.json says of a RoFormer, from what it would say of BERT."""
    (name,) = fields["architectures"]
    own = {"model_type": MODEL_TYPE, "architectures": [_own_name(name)], "rotary_value": False}
    own["embedding_size"] = fields["hidden_size"]
    return {**fields, **own, **(_AS_POOLER if name == _CHOICES else {})}


def _own_name(name: str) -> str:
    return _ROFORMER + name.removeprefix(_BERT)


def _is_body(name: str) -> bool:
    return name.startswith(("bert.", f"{MODEL_TYPE}."))


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
