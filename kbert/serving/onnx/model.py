"""A Keras model of kbert's layers as an ONNX file."""

import os

import keras

from kbert.errors import DataError
from kbert.serving.onnx.graph import Graph
from kbert.serving.onnx.layers import LAYERS
from kbert.serving.onnx.operations import add_operation


def save_onnx(model: keras.Model, path: str | os.PathLike) -> None:
    """Write a model: inputs int32, outputs float32, both by their names; all axes but the last of
    vectors may have any size.

    Raises `DataError` for a layer, or a value of its settings, that has no form in ONNX here.
    """
    graph = Graph()
    inputs = {
        name: graph.input(name, ("batch", *_free_axes(symbol)))
        for name, symbol in model.input.items()
    }
    outputs = _add_model(graph, model, inputs)
    for name, value in outputs.items():
        graph.output(name, value, tuple(_named_axes(model.output[name], name)))
    graph.save(path, model.name)


def _add_model(graph, model, inputs):
    """The values of a model's outputs, as the model gives them.

    Keras's walk over a functional graph, which calls each operation with what stands for its
    tensors, is what its own `clone_model` uses.
    """

    def add(operation):
        def call(*args, **kwargs):
            kwargs.pop("training", None)
            if isinstance(operation, keras.Model):
                with graph.inside(operation.name):
                    return _add_model(graph, operation, *args)
            for kind, add_layer in LAYERS.items():
                if type(operation) is kind:
                    return add_layer(graph, operation, *args, **kwargs)
            if isinstance(operation, keras.layers.Layer):
                raise DataError(f"kbert writes no layer {type(operation).__name__} to ONNX.")
            return add_operation(graph, operation, *args, **kwargs)

        return call

    ordered = [inputs[symbol.name] for symbol in model.inputs]
    return model._run_through_graph(
        ordered, operation_fn=add, call_fn=lambda op, *a, **k: op(*a, **k)
    )


def _free_axes(symbol):
    return ("sequence",) if len(symbol.shape) == 2 else ("choices", "sequence")


def _named_axes(symbol, name):
    for axis, size in enumerate(symbol.shape):
        yield size if size is not None else f"{name}_{axis}" if axis else "batch"
