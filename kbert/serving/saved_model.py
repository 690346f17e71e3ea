"""An exported SavedModel, ready to compute: TensorFlow's graphs and sessions, without the rest of
TensorFlow, Keras and tensorflow-text, whose imports take seconds.

Only what older versions exported needs them (kbert/serving/older_export.py).
"""

import contextlib
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from kbert.errors import DataError
from kbert.inference.forward import Forward
from kbert.serving.exported import Exported, read_description
from kbert.serving.older_export import model_of
from kbert.serving.signature_defs import MODEL_OUTPUTS, SIGNATURE, read_meta_graph
from kbert.tensorflow_start import import_session
from kbert.text.python_tokenizer import PythonTokenizer

import_session()
from tensorflow.core.framework.graph_pb2 import GraphDef  # noqa: E402
from tensorflow.core.framework.node_def_pb2 import NodeDef  # noqa: E402
from tensorflow.core.protobuf.config_pb2 import ConfigProto  # noqa: E402
from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef  # noqa: E402
from tensorflow.python.client.session import Session  # noqa: E402
from tensorflow.python.eager.context import context  # noqa: E402
from tensorflow.python.framework.errors import OpError  # noqa: E402
from tensorflow.python.framework.importer import import_graph_def  # noqa: E402
from tensorflow.python.framework.ops import Graph  # noqa: E402


def load_saved_model(folder: pathlib.Path) -> Exported:
    """What the SavedModel in a version's folder computes with.

    Raises `DataError` where there is none that `kbert export` wrote.
    """
    meta = read_meta_graph(folder)
    is_older = MODEL_OUTPUTS not in meta.signature_def
    weights = _older_weights(folder) if is_older else {}
    task, tokenizer_options, is_encoder = read_description(folder)
    # Faster than TensorFlow's on a text that comes alone: a call of an operation takes longer.
    tokenizer = PythonTokenizer(folder / "assets" / "vocab.txt", **tokenizer_options)
    if is_older:
        model = model_of(folder, weights, None if is_encoder else task)
    else:
        model = _forward(folder, meta)
    # Sorted: TensorFlow gives them in another order in every process.
    outputs = tuple(sorted(meta.signature_def[SIGNATURE].outputs))
    return Exported(task, model, tokenizer, outputs)


def _forward(folder: pathlib.Path, meta: MetaGraphDef) -> Forward:
    """The signature `model_outputs`, in a session of its own, as TensorFlow Serving runs it.

    What `tf.saved_model.load` once loaded never leaves memory whole: TensorFlow keeps its gradients
    and their functions. All of a session goes with it.
    """
    config = ConfigProto(
        # A call is computed in its caller's thread: most operations are shorter than it takes to
        # wake another. Large ones are divided all the same.
        inter_op_parallelism_threads=-1,
        intra_op_parallelism_threads=context().intra_op_parallelism_threads,
    )
    signature = meta.signature_def[MODEL_OUTPUTS]
    inputs, outputs = list(signature.inputs), list(signature.outputs)
    with _loading(folder):
        wanted = [
            info.name for part in (signature.inputs, signature.outputs) for info in part.values()
        ]
        wanted += [meta.saver_def.restore_op_name, meta.saver_def.filename_tensor_name]
        with Graph().as_default() as graph:
            import_graph_def(_part_of(meta.graph_def, wanted), name="")
        session = Session(graph=graph, config=config)
        # What else a SavedModel starts with sets the paths of its assets, which no signature reads.
        weights = {meta.saver_def.filename_tensor_name: str(folder / "variables" / "variables")}
        session.run(meta.saver_def.restore_op_name, weights)
    call = session.make_callable(
        [signature.outputs[name].name for name in outputs],
        feed_list=[signature.inputs[name].name for name in inputs],
    )

    def run(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(outputs, call(*(arrays[name] for name in inputs)), strict=True))

    return Forward(run)


def _part_of(graph: GraphDef, wanted: Iterable[str]) -> GraphDef:
    """What computes some tensors. The rest has the tokenizer's operations, which TensorFlow alone
    does not know.

    Raises `KeyError` for a name that is not in the graph.
    """
    nodes = {node.name: node for node in graph.node}
    functions = {function.signature.name: function for function in graph.library.function}
    kept = _reached(map(_node_of, wanted), lambda name: map(_node_of, nodes[name].input))
    found = GraphDef(node=(nodes[name] for name in kept), versions=graph.versions)
    called = _reached(
        _calls(found.node),
        lambda name: _calls(functions[name].node_def) if name in functions else (),
    )
    found.library.function.extend(functions[name] for name in called if name in functions)
    return found


def _reached(names: Iterable[str], following: Callable[[str], Iterable[str]]) -> Iterable[str]:
    """The names, those that follow them, those that follow these, and so on."""
    found: dict[str, None] = {}  # In order, unlike a set.
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = None
            waiting += following(name)
    return found


def _node_of(tensor: str) -> str:
    """The node in a name such as node:0, or ^node of an input that only has to come before."""
    return tensor.removeprefix("^").split(":")[0]


def _calls(nodes: Iterable[NodeDef]) -> Iterator[str]:
    """Names of the functions that nodes call, among names of operations."""
    for node in nodes:
        yield node.op
        for value in node.attr.values():
            yield from (function.name for function in (value.func, *value.list.func))


def _older_weights(folder: pathlib.Path) -> Mapping:
    import tensorflow as tf

    import kbert.text.tokenizer  # noqa: F401  Its operations, which TensorFlow alone does not know.

    with _loading(folder):
        loaded = tf.saved_model.load(str(folder))
    weights = getattr(loaded, "weights", None)
    if SIGNATURE not in loaded.signatures or not weights:
        raise DataError(
            f"{folder} has no signature {MODEL_OUTPUTS}: expected what `kbert export` writes."
        )
    return weights


@contextlib.contextmanager
def _loading(folder: pathlib.Path) -> Iterator[None]:
    """What TensorFlow finds wrong with a SavedModel is a `DataError`."""
    try:
        yield
    except (OSError, KeyError, ValueError, OpError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{folder} is not a SavedModel that can be loaded: {reason}") from error
