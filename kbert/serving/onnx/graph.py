"""An ONNX graph in the making: nodes are added one by one, and a value is a name."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.external_data_helper import set_external_data

# The first version with Gelu (20). ONNX Runtime fuses what stands here into fewer kernels: GELU and
# its bias, a residual sum and its LayerNorm, a scale and its product.
_OPSET = 20
_IR_VERSION = 10
# Bytes: arrays that stay in the graph have fewer; what is mapped into memory begins with a page.
_SMALL, _PAGE = 1024, 4096


class Graph:
    """A graph of the standard's own operators, so that any runtime computes it."""

    def __init__(self):
        self._nodes, self._inputs, self._outputs = [], [], []
        self._scope = ""  # Before the names of weights.
        self._constants: dict[str, onnx.TensorProto] = {}
        self._known: dict[tuple, str] = {}
        # All nodes are functions of their inputs: what was added once is there.
        self._added: dict[tuple, list[str]] = {}

    def input(self, name: str, axes: tuple) -> str:
        """An int32 input; an axis of any size is a name."""
        self._inputs.append(helper.make_tensor_value_info(name, onnx.TensorProto.INT32, axes))
        return name

    def output(self, name: str, value: str, axes: tuple) -> None:
        """Make a value a float32 output of this name."""
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, axes))

    @contextlib.contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Within the block weights are those of a model in the model: others of theirs have the
        same names."""
        before, self._scope = self._scope, f"{self._scope}{name}/"
        try:
            yield
        finally:
            self._scope = before

    def weight(self, array: np.ndarray, name: str) -> str:
        """An array with a name of its own; the same one again is the same value."""
        name = self._scope + name
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.asarray(array, np.float32), name)
        return name

    def constant(self, value: object, dtype: str = "float32") -> str:
        """A small array; equal ones are one value."""
        array = np.asarray(value, dtype)
        key = (array.tobytes(), array.shape, dtype)
        if key not in self._known:
            self._known[key] = name = f"constant_{len(self._known)}"
            self._constants[name] = numpy_helper.from_array(array, name)
        return self._known[key]

    def axes(self, *numbers: int) -> str:
        """Numbers of axes, or a shape."""
        return self.constant(numbers, "int64")

    def add(self, operator: str, *inputs: str, **attributes) -> str:
        """Add a node, and return its (first) output."""
        return self.split(operator, *inputs, outputs=1, **attributes)[0]

    def split(self, operator: str, *inputs: str, outputs: int, **attributes) -> list[str]:
        """Add a node of several outputs."""
        key = (operator, inputs, outputs, str(attributes))
        if key in self._added:
            return self._added[key]
        number = len(self._nodes)
        names = [f"{operator}_{number}"]
        names += [f"{operator}_{number}_{index}" for index in range(1, outputs)]
        self._nodes.append(helper.make_node(operator, inputs, names, names[0], **attributes))
        self._added[key] = names
        return names

    def cast(self, value: str, dtype: str) -> str:
        """The value as float32, int32, int64 or bool."""
        return self.add("Cast", value, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def save(self, path: str | os.PathLike, name: str) -> None:
        """Write the model, after the checker of the standard has passed it. As `save_model`."""
        graph = helper.make_graph(
            self._nodes, name, self._inputs, self._outputs, list(self._constants.values())
        )
        opset = [helper.make_opsetid("", _OPSET)]
        model = helper.make_model(
            graph, opset_imports=opset, ir_version=_IR_VERSION, producer_name="kbert"
        )
        onnx.checker.check_model(model)
        save_model(model, path)


def save_model(model: onnx.ModelProto, path: str | os.PathLike) -> None:
    """Write the graph under the path, and its weights into a file beside it, PATH.data, which ONNX
    Runtime maps into memory instead of reading it. The model loses its weights.

    Written here, since onnx gives its file of weights to its owner alone, and says of a full disk
    that the model is not valid.
    """
    data = Path(f"{path}.data")
    with open(data, "wb") as file:
        for array in model.graph.initializer:
            values = array.raw_data
            if len(values) < _SMALL:
                continue
            file.write(bytes(-file.tell() % _PAGE))
            set_external_data(array, data.name, offset=file.tell(), length=len(values))
            file.write(values)
            array.ClearField("raw_data")
    onnx.save(model, path)
