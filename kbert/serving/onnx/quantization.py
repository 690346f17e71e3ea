"""Weights of an ONNX model in 8 bits: a quarter of its size, and products of integers."""

import contextlib
import logging
import os
import pathlib
import tempfile
from collections.abc import Iterator

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from kbert.serving.onnx.graph import save_model

# Products of tokens with weights, and the tables that tokens are looked up in. What is left in
# float32 is small: the products of attention, norms, softmax.
_QUANTIZED = ["MatMul", "Gather"]
_OUTPUT_LAYERS = {"classifier", "span"}


def quantize(source: pathlib.Path, target: str | os.PathLike) -> None:
    """Write a model with int8 weights, of which every column has its scale; activations are
    quantized batch by batch, with the range that they have there.

    The output layers stay in float32: their few weights cost nothing, and their rounding would go
    straight into the answers.
    """
    model = onnx.load(source)
    kept = [
        node.name
        for node in model.graph.node
        if node.op_type == "MatMul" and _OUTPUT_LAYERS & set(node.input[1].split("/"))
    ]
    with tempfile.TemporaryDirectory() as folder:
        quantized = pathlib.Path(folder, "quantized.onnx")
        with _without_advice():
            quantize_dynamic(
                model,
                quantized,
                per_channel=True,
                weight_type=QuantType.QInt8,
                op_types_to_quantize=_QUANTIZED,
                nodes_to_exclude=kept,
            )
        save_model(onnx.load(quantized), target)


@contextlib.contextmanager
def _without_advice() -> Iterator[None]:
    """ONNX Runtime advises, by the root logger, to infer shapes and fuse nodes first. The graph is
    written so that it needs neither."""

    def is_other(record: logging.LogRecord) -> bool:
        return "run pre-processing before quantization" not in record.getMessage()

    root = logging.getLogger()
    root.addFilter(is_other)
    try:
        yield
    finally:
        root.removeFilter(is_other)
