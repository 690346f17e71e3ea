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

from kbert.checkpoints.directory import BUILDERS, Checkpoint
from kbert.checkpoints.names import all_names
from kbert.checkpoints.published import is_cased, read_config, read_object, read_vocabulary
from kbert.checkpoints.sources import Source, merge_heads
from kbert.checkpoints.transfer import Place, arrays_of, fill
from kbert.config import BertConfig
from kbert.errors import DataError
from kbert.files import write_json
from kbert.layers.initializer import blank_weights
from kbert.text.tokenizer import WordPieceTokenizer
from kbert.text.vocabulary import save_vocabulary

PREFIX = "bert_model.ckpt"
_OF_THE_OPTIMIZER = re.compile(r"(^|/)(adam_m|adam_v|global_step|save_counter)(/|$)|OPTIMIZER_SLOT")
_TF2_END = "/.ATTRIBUTES/VARIABLE_VALUE"


def from_google(
    path: str | os.PathLike, lowercase: bool | None = None, allow_missing_heads: bool = False
) -> Checkpoint:
    """Read a folder of Google's: an encoder, with its pre-training heads if they are there.

    Args:
        path: holds bert_config.json, vocab.txt and one checkpoint.
        lowercase: whether the model is uncased, which the release does not say; None decides by
            whether vocab.txt has capitals.
        allow_missing_heads: initialise a head that the file lacks anew, with a warning that names
            it.

    Raises `DataError` for weights that are missing, extra, wrongly shaped, no numbers or of a
    damaged file, each by name.
    """
    path = pathlib.Path(path)
    file = path / "bert_config.json"
    config = read_config(file, read_object(file))
    pieces = read_vocabulary(path / "vocab.txt", config)
    source = _open(_checkpoint_prefix(path))
    tf2 = any(name.endswith(_TF2_END) for name in source.shapes)
    if tf2:
        source = _plainly_named(source)
    heads = any(name.startswith(("cls/", "masked_lm/")) for name in source.shapes)
    # A head that is not in the file begins as a new one.
    with contextlib.nullcontext() if allow_missing_heads else blank_weights():
        model = BUILDERS["pretraining" if heads else "encoder"](config)
    absent = fill(model, _places(config, tf2), source, (), allow_missing_heads)
    if absent:
        warnings.warn(f"{path} has no {', '.join(absent)}: newly initialised.", stacklevel=2)
    lowercase = not is_cased(pieces) if lowercase is None else lowercase
    return Checkpoint(model, WordPieceTokenizer(pieces, lowercase=lowercase), config)


def to_google(path: str | os.PathLike, checkpoint: Checkpoint) -> None:
    """Write a folder as Google's releases: TensorFlow 1's format, by variable names.

    Raises `DataError` for what that code does not know: an activation but tanh-GELU, another
    epsilon, a fine-tuned model.
    """
    path = pathlib.Path(path)
    model, tokenizer, config, task = checkpoint
    if task is not None:
        raise DataError(f"Google's format has no place for the task {task.name}.")
    if config.activation == "gelu_erf":
        raise DataError("Google's format has no erf-GELU: its gelu is the tanh form.")
    if config.layer_norm_epsilon != 1e-12:
        raise DataError(
            "Google's format has an epsilon of 1e-12 in its norms. "
            f"Received: {config.layer_norm_epsilon}."
        )
    arrays = arrays_of(model, _places(config, tf2=False))
    path.mkdir(parents=True, exist_ok=True)
    save_vocabulary(path / "vocab.txt", tokenizer.vocabulary)
    write_json(path / "bert_config.json", _fields(config))
    _write(path, arrays)


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

    wanted = {name: tuple(shape) for name, shape in shapes.items() if not _is_state(name)}
    return Source(pathlib.Path(prefix), wanted, read)


def _is_state(name):
    return name == "_CHECKPOINTABLE_OBJECT_GRAPH" or _OF_THE_OPTIMIZER.search(name)


def _first_line(error):
    return str(error).partition("\n")[0]


def _plainly_named(source: Source) -> Source:
    """Object paths below "encoder/" without their ends, the heads' axes merged."""
    originals = {}
    for name in source.shapes:
        plain = re.sub(r"^model/(layer_with_weights-\d+)", r"encoder/\1", name)
        originals[plain.removesuffix(_TF2_END)] = name
    shapes = {
        plain: merge_heads(plain, source.shapes[name], "_output_dense")
        for plain, name in originals.items()
    }
    return Source(
        source.path, shapes, lambda plain: source.read(originals[plain]).reshape(shapes[plain])
    )


def _places(config: BertConfig, tf2: bool) -> Iterator[Place]:
    for names in all_names(config):
        name = names.google_tf2 if tf2 else names.google
        if name is not None:
            # The one matrix that Google keeps as (output, input).
            yield Place(name, names.ours, names.third, name.endswith("output_weights"))


def _fields(config: BertConfig) -> dict:
    return {
        "attention_probs_dropout_prob": config.attention_dropout,
        "hidden_act": {"gelu_tanh": "gelu"}.get(config.activation, config.activation),
        "hidden_dropout_prob": config.dropout,
        "hidden_size": config.hidden_dim,
        "initializer_range": config.initializer_stddev,
        "intermediate_size": config.intermediate_dim,
        "max_position_embeddings": config.max_sequence_length,
        "num_attention_heads": config.num_heads,
        "num_hidden_layers": config.num_layers,
        "type_vocab_size": config.num_segments,
        "vocab_size": config.vocabulary_size,
    }


def _write(path: pathlib.Path, arrays: dict) -> None:
    """Write the checkpoint under a temporary name, then rename; the index, which makes it one,
    last."""
    temporary = path / f".{PREFIX}.{os.getpid()}"
    names = sorted(arrays)
    tf.raw_ops.SaveV2(
        prefix=str(temporary),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(arrays[name]) for name in names],
    )
    for end in (".data-00000-of-00001", ".index"):
        os.replace(f"{temporary}{end}", path / f"{PREFIX}{end}")
