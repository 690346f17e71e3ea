"""What an export says of itself: its signatures, read from its files without loading the graph."""

import os
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from kbert.errors import DataError
from kbert.files import read_object
from kbert.serving.versions import ONNX_MODEL, ONNX_NEEDS, SAVED_MODEL, newest_version

if TYPE_CHECKING:
    from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef

# The signatures of an export: what TensorFlow Serving answers strings with, and what the model
# gives for integers, before anything is decoded.
SIGNATURE = "serving_default"
MODEL_OUTPUTS = "model_outputs"
# What `tf.saved_model.save` adds for itself.
_INTERNAL = "__saved_model_init_op"


class Tensor(NamedTuple):
    """An input or output of a signature; None in the shape for an axis of any size."""

    dtype: str
    shape: tuple[int | None, ...]

    def __str__(self):
        sizes = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.dtype} ({sizes}{',' if len(self.shape) == 1 else ''})"


class Signature(NamedTuple):
    """The tensors of a signature by name."""

    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]


def read_meta_graph(folder: str | os.PathLike) -> "MetaGraphDef":
    """TensorFlow's own description of the SavedModel in a version's folder.

    Raises `DataError` for no SavedModel.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    path = pathlib.Path(folder) / SAVED_MODEL
    try:
        return SavedModel.FromString(path.read_bytes()).meta_graphs[0]
    except (DecodeError, IndexError) as error:
        raise DataError(f"{path} is not a SavedModel.") from error


def read_signatures(folder: str | os.PathLike) -> dict[str, Signature]:
    """The signatures in a version's folder, by name. Raises `DataError` for no SavedModel."""
    return {
        name: Signature(_tensors(found.inputs), _tensors(found.outputs))
        for name, found in sorted(read_meta_graph(folder).signature_def.items())
        if name != _INTERNAL
    }


def example_request(signature: Signature) -> dict:
    """The body of a request that the signature for strings answers, in TensorFlow Serving's form.

    Columns, since rows could not leave out what only some questions have.
    """
    texts: dict[str, list] = {
        name: [["...", "..."]] if len(tensor.shape) == 2 else ["..."]
        for name, tensor in signature.inputs.items()
    }
    return {"signature_name": SIGNATURE, "inputs": texts}


def inspect_export(path: str | os.PathLike) -> dict[str, dict[str, Any]]:
    """What is in an export, by title: its signatures, its parts, its task.

    Args:
        path: the folder of a model (its newest version is read), or of one version.

    Raises `DataError` for what is no export.
    """
    folder = newest_version(path)
    sections: dict[str, dict[str, Any]] = {}
    is_onnx = (folder / ONNX_MODEL).is_file()
    read = _read_onnx if is_onnx else read_signatures
    for name, (inputs, outputs) in read(folder).items():
        arrows = {**inputs, **{f"-> {output}": tensor for output, tensor in outputs.items()}}
        sections[f"signature {name}"] = arrows
    settings = read_object(folder / "assets" / "config.json")
    sections["configuration"] = settings["encoder"]
    sections["tokenizer"] = settings["tokenizer"]
    if (folder / "assets" / "task.json").is_file():
        sections["task"] = read_object(folder / "assets" / "task.json")
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    parts = folder.glob(f"{ONNX_MODEL}*") if is_onnx else (folder / "variables").iterdir()
    weights = sum(file.stat().st_size for file in parts)
    sections["size"] = {"files": f"{size:,} bytes", "weights": f"{weights:,} bytes"}
    return sections


def _read_onnx(folder: pathlib.Path) -> dict[str, Signature]:
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise DataError(f"{folder} is an ONNX export, which needs onnx: {ONNX_NEEDS}.") from error
    graph = onnx.load(folder / ONNX_MODEL, load_external_data=False).graph
    inputs, outputs = (
        {value.name: _onnx_tensor(value) for value in values}
        for values in (graph.input, graph.output)
    )
    return {"onnx": Signature(inputs, outputs)}


def _onnx_tensor(value) -> Tensor:
    from onnx import helper

    tensor = value.type.tensor_type
    shape = (axis.dim_value if axis.HasField("dim_value") else None for axis in tensor.shape.dim)
    return Tensor(helper.tensor_dtype_to_np_dtype(tensor.elem_type).name, tuple(shape))


def _tensors(infos: Mapping) -> dict[str, Tensor]:
    from tensorflow.python.framework.dtypes import as_dtype

    return {
        name: Tensor(
            as_dtype(info.dtype).name,
            tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim),
        )
        for name, info in sorted(infos.items())
    }
