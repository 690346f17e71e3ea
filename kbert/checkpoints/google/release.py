"""Google's releases in and out: bert_config.json, vocab.txt and bert_model.ckpt.*.

The checkpoint is TensorFlow 1's, by variable names (google-research/bert), or TensorFlow 2's, by
objects (tensorflow/models); TensorFlow reads both.
"""

import contextlib
import os
import pathlib
import re
import warnings
from collections.abc import Iterator

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from kbert.checkpoints.directory import Checkpoint, untrained
from kbert.checkpoints.google.objects import ObjectGraph, known_keys, object_places
from kbert.checkpoints.hubs import folder_of
from kbert.checkpoints.published_config import (
    POOLER_FIELDS,
    check_is_plain,
    check_understood,
    published_fields,
    read_config,
)
from kbert.checkpoints.published_vocabulary import is_cased, read_vocabulary
from kbert.checkpoints.transfer import Place, arrays_of, fill, objective_in
from kbert.checkpoints.weight_files import Source, merge_heads
from kbert.checkpoints.weight_names import all_names
from kbert.checkpoints.weights import check_size
from kbert.config import GOOGLE_ACTIVATIONS, PUBLISHED_NAMES, BertConfig
from kbert.errors import DataError
from kbert.files import read_object, write_json
from kbert.layers.dense import blank_weights
from kbert.models import BERT_OBJECTIVE, objective_of
from kbert.text.available import tokenizer_class
from kbert.text.vocabulary import save_vocabulary

PREFIX = "bert_model.ckpt"
_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_TF2_END = "/.ATTRIBUTES/VARIABLE_VALUE"
# What an interrupted training would need: slots of optimizers, moving averages, counters.
_STATE = re.compile(
    rf"^{_GRAPH}$|OPTIMIZER_SLOT|(^|/)keras_api/metrics/"
    r"|(^|/)(global_step|save_counter|optimizer|beta[12]_power|loss_scale|good_steps)(/|$)"
    r"|/(adam_[mv]|Adam(_1)?|AdamW(_1)?|lamb_[mv]|LAMB(_1)?|Momentum|RMSProp(_1)?|v[cr]?"
    r"|ExponentialMovingAverage)$"
)
_OBJECTIVES = (None, BERT_OBJECTIVE, "masked-lm")
_FIELDS = frozenset([*PUBLISHED_NAMES, *POOLER_FIELDS, "hidden_act", "embedding_size"])


def from_google(
    path: str | os.PathLike, lowercase: bool | None = None, allow_missing_heads: bool = False
) -> Checkpoint:
    """Read a folder of Google's: an encoder, with its pre-training heads if they are there.

    Args:
        path: a folder, or the name of one on a hub: bert_config.json, vocab.txt and one checkpoint.
        lowercase: whether the model is uncased, which the release does not say; None decides by
            whether vocab.txt has capitals.
        allow_missing_heads: initialise a head that the file lacks anew, with a warning that names
            it.

    Raises `DataError` for weights that are missing, extra, wrongly shaped, NaN or of a
    damaged file, each by name.
    """
    path = folder_of(path)
    file = path / "bert_config.json"
    fields = read_object(file)
    _check_is_bert(file, fields)
    check_understood(file, fields, _FIELDS)
    config = read_config(file, fields, GOOGLE_ACTIVATIONS)
    pieces = read_vocabulary(path / "vocab.txt", config)
    source = _open(_checkpoint_prefix(path))
    check_size(source.path, source.shapes.values(), config)
    places, known = list(_places(config)), set()
    if _GRAPH in source.shapes:
        graph = _object_graph(source)
        places, known = list(object_places(graph, config)), known_keys(graph, config)
        source = _with_merged_heads(source)
    source = without_state(source)
    objective = objective_in(source, places, allow_missing_heads)
    # A head that is not in the file begins as a new one.
    with contextlib.nullcontext() if allow_missing_heads else blank_weights():
        model = untrained(config, objective)
    absent = fill(model, places, source, known, allow_missing_heads)
    if absent:
        warnings.warn(f"{path} has no {', '.join(absent)}: newly initialised.", stacklevel=2)
    lowercase = not is_cased(pieces) if lowercase is None else lowercase
    return Checkpoint(model, tokenizer_class()(pieces, lowercase=lowercase), config)


def to_google(path: str | os.PathLike, checkpoint: Checkpoint) -> None:
    """Write a folder as Google's releases: TensorFlow 1's format, by variable names.

    Raises `DataError` for what that code does not know: an activation but tanh-GELU, another
    epsilon, a fine-tuned model, another variant of the encoder.
    """
    path = pathlib.Path(path)
    model, tokenizer, config, task = checkpoint
    if task is not None:
        raise DataError(f"Google's format has no place for the task {task.name}.")
    objective = objective_of(model)
    if objective not in _OBJECTIVES:
        raise DataError(f"Google's format has no place for the heads of {objective}.")
    check_is_plain(config, "Google's format")
    if tokenizer.added_tokens:
        raise DataError("Google's format has no place for added tokens.")
    if config.activation == "gelu_erf":
        raise DataError("Google's format has no erf-GELU: its gelu is the tanh form.")
    if config.layer_norm_epsilon != 1e-12:
        raise DataError(
            "Google's format has an epsilon of 1e-12 in its norms. "
            f"Received: {config.layer_norm_epsilon}."
        )
    arrays = arrays_of(model, _places(config))
    path.mkdir(parents=True, exist_ok=True)
    save_vocabulary(path / "vocab.txt", tokenizer.vocabulary)
    write_json(path / "bert_config.json", _fields(config))
    _write(path, arrays)


def _check_is_bert(file, fields):
    width, model_width = fields.get("embedding_size"), fields.get("hidden_size")
    if width not in (None, model_width):
        raise DataError(
            f"{file} must be of a BERT, whose embedding is as wide as the model. Received: "
            f"embedding_size {width!r}, hidden_size {model_width!r}, as ALBERT, MobileBERT or a "
            "small ELECTRA have."
        )


def _checkpoint_prefix(path) -> str:
    prefixes = sorted(file.with_suffix("") for file in path.glob("*.index"))
    if len(prefixes) != 1:
        found = ", ".join(prefix.name for prefix in prefixes) or "none"
        raise DataError(f"{path} must hold one checkpoint (*.index). Received: {found}.")
    return str(prefixes[0])


def _open(prefix: str) -> Source:
    try:
        reader = tf.train.load_checkpoint(prefix)
        shapes = reader.get_variable_to_shape_map()
    except Exception as error:  # A different class for nearly every damage.
        raise DataError(f"{prefix} is no whole checkpoint: {_first_line(error)}") from error

    def read(name):
        try:
            return reader.get_tensor(name)
        except Exception as error:
            raise DataError(f"{prefix}: {name} cannot be read: {_first_line(error)}") from error

    whole = {name: tuple(shape) for name, shape in shapes.items()}
    return Source(pathlib.Path(prefix), whole, read)


def _first_line(error):
    return str(error).partition("\n")[0]


def _object_graph(source: Source) -> ObjectGraph:
    try:
        nodes = TrackableObjectGraph.FromString(source.read(_GRAPH)).nodes
    except (DecodeError, TypeError) as error:
        raise DataError(f"{source.path}: its graph of objects cannot be read: {error}") from error
    if not nodes:
        raise DataError(f"{source.path}: its graph of objects cannot be read: it is empty.")
    there = range(len(nodes))
    edges = [
        {child.local_name: child.node_id for child in node.children if child.node_id in there}
        for node in nodes
    ]
    keys = {
        number: node.attributes[0].checkpoint_key
        for number, node in enumerate(nodes)
        if node.attributes
    }
    return ObjectGraph(edges, keys)


def _with_merged_heads(source: Source) -> Source:
    shapes = {
        name: merge_heads(name.removesuffix(_TF2_END), shape, "_output_dense")
        for name, shape in source.shapes.items()
    }
    return Source(source.path, shapes, lambda name: source.read(name).reshape(shapes[name]))


def without_state(source: Source) -> Source:
    """The source without what an interrupted training would need."""
    shapes = {name: shape for name, shape in source.shapes.items() if not _STATE.search(name)}
    return source._replace(shapes=shapes)


def _places(config: BertConfig) -> Iterator[Place]:
    for names in all_names(config):
        # The one matrix that Google keeps as (output, input).
        transposed = names.google.endswith("output_weights")
        yield Place(names.google, names.ours, names.third, transposed)


def _fields(config: BertConfig) -> dict:
    activation = {"gelu_tanh": "gelu"}.get(config.activation, config.activation)
    fields = published_fields(config) | {"hidden_act": activation}
    del fields["layer_norm_eps"]  # Google's code has the number in it.
    return fields


def _write(path: pathlib.Path, arrays: dict) -> None:
    """Write the checkpoint. TensorFlow itself writes under temporary names and then renames."""
    names = sorted(arrays)
    tf.raw_ops.SaveV2(
        prefix=str(path / PREFIX),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(arrays[name]) for name in names],
    )
