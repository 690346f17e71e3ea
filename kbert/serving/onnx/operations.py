"""Operations of `keras.ops` between the layers of a model, as nodes of an ONNX graph.

Each function takes the graph, Keras's operation and its arguments, values of the graph or numbers.
"""

from kbert.errors import DataError
from kbert.serving.onnx.graph import Graph


def add_operation(graph: Graph, operation, *args, **kwargs) -> str:
    """Add what an operation computes. Raises `DataError` for one that is not known here."""
    kind = type(operation).__name__
    if kind not in _OPERATIONS:
        raise DataError(f"kbert writes no operation {kind} ({operation.name}) to ONNX.")
    return _OPERATIONS[kind](graph, operation, *args, **kwargs)


def _elementwise(operator):
    """Of values that are compared or computed in the type of the first tensor among them."""

    def add(graph, operation, *args):
        tensors = operation.input if isinstance(operation.input, list) else [operation.input]
        dtype = tensors[0].dtype
        return graph.add(operator, *(_value(graph, value, dtype) for value in args))

    return add


def _value(graph, value, dtype):
    return value if isinstance(value, str) else graph.constant(value, dtype)


def _not_equal(graph, operation, *args):
    return graph.add("Not", _elementwise("Equal")(graph, operation, *args))


def _where(graph, operation, condition, x1, x2):
    dtype = operation.output.dtype
    return graph.add("Where", condition, _value(graph, x1, dtype), _value(graph, x2, dtype))


def _cast(graph, operation, x, dtype=None):
    return graph.cast(x, operation.output.dtype)


def _reduce(operator):
    def add(graph, operation, x):
        return graph.add(operator, x, _axes(graph, operation), keepdims=int(operation.keepdims))

    return add


def _any(graph, operation, x):
    return graph.cast(_reduce("ReduceMax")(graph, operation, graph.cast(x, "int32")), "bool")


def _axes(graph, operation):
    axis = operation.axis
    return graph.axes(*axis) if isinstance(axis, (tuple, list)) else graph.axes(axis)


def _cumulative_sum(graph, operation, x):
    return graph.add("CumSum", x, graph.constant(operation.axis, "int64"))


def _variance(graph, operation, x):
    axes = _axes(graph, operation)
    centred = graph.add("Sub", x, graph.add("ReduceMean", x, axes, keepdims=1))
    squared = graph.add("Mul", centred, centred)
    return graph.add("ReduceMean", squared, axes, keepdims=int(operation.keepdims))


def _gelu(graph, operation, x):
    return graph.add("Gelu", x, approximate="tanh" if operation.approximate else "none")


def _concatenate(graph, operation, values):
    return graph.add("Concat", *values, axis=operation.axis)


def _pad(graph, operation, x, constant_values=None):
    before, after = zip(*operation.pad_width, strict=True)
    value = graph.constant(constant_values or 0, operation.output.dtype)
    return graph.add("Pad", x, graph.axes(*before, *after), value)


def _filled_like(number):
    def add(graph, operation, x):
        value = graph.constant(number, operation.output.dtype)
        return graph.add("Expand", value, graph.add("Shape", x))

    return add


def _item(graph, operation, x, key):
    """x[key] of whole axes, parts of axes, numbers and None."""
    keys = key if isinstance(key, tuple) else (key,)
    if not all(item is None or isinstance(item, (int, slice)) for item in keys):
        raise DataError(f"kbert writes no index {key!r} ({operation.name}) to ONNX.")
    axis = 0
    for item in keys:
        if item is None:
            x = graph.add("Unsqueeze", x, graph.axes(axis))
        elif isinstance(item, int):
            x = graph.add("Gather", x, graph.constant(item, "int64"), axis=axis)
            continue  # The axis is gone.
        elif item != slice(None):
            start, end, step = item.start or 0, item.stop, item.step or 1
            end = 2**31 - 1 if end is None else end
            x = graph.add("Slice", x, *map(graph.axes, (start, end, axis, step)))
        axis += 1
    return x


_OPERATIONS = {
    "Add": _elementwise("Add"),
    "Any": _any,
    "Cast": _cast,
    "Concatenate": _concatenate,
    "Cumsum": _cumulative_sum,
    "Divide": _elementwise("Div"),
    "Equal": _elementwise("Equal"),
    "Gelu": _gelu,
    "GetItem": _item,
    "Greater": _elementwise("Greater"),
    "LogicalAnd": _elementwise("And"),
    "Matmul": _elementwise("MatMul"),
    "Max": _reduce("ReduceMax"),
    "Maximum": _elementwise("Max"),
    "Mean": _reduce("ReduceMean"),
    "Multiply": _elementwise("Mul"),
    "Norm": _reduce("ReduceL2"),
    "NotEqual": _not_equal,
    "OnesLike": _filled_like(1),
    "Pad": _pad,
    "Relu": _elementwise("Relu"),
    "Sigmoid": _elementwise("Sigmoid"),
    "Sqrt": _elementwise("Sqrt"),
    "Subtract": _elementwise("Sub"),
    "Sum": _reduce("ReduceSum"),
    "Tanh": _elementwise("Tanh"),
    "TrueDivide": _elementwise("Div"),
    "Var": _variance,
    "Where": _where,
    "ZerosLike": _filled_like(0),
}
