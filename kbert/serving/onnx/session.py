"""An ONNX export, ready to compute: ONNX Runtime, without TensorFlow and Keras."""

import pathlib
from collections.abc import Mapping

import numpy as np

from kbert.errors import DataError
from kbert.inference.fill_mask import FillMask, best_pieces
from kbert.inference.forward import Forward
from kbert.serving.exported import Exported, read_description
from kbert.serving.versions import ONNX_MODEL, ONNX_NEEDS
from kbert.text.python_tokenizer import PythonTokenizer


def load_onnx(folder: pathlib.Path, threads: int | None = None) -> Exported:
    """What the ONNX export in a version's folder computes with.

    Args:
        threads: that compute one batch; None for all cores.

    Raises `DataError` where ONNX Runtime is not installed, and for a file that it cannot read.
    """
    model, names = load_session(folder, threads)
    task, tokenizer_options, _ = read_description(folder)
    tokenizer = PythonTokenizer(folder / "assets" / "vocab.txt", **tokenizer_options)
    if isinstance(task, FillMask):
        logits = model.run
        model = best_pieces(lambda inputs: logits(inputs)["masked_lm"], tokenizer, task.top)
    return Exported(task, model, tokenizer, names)


def load_session(
    folder: pathlib.Path, threads: int | None = None
) -> tuple[Forward, tuple[str, ...]]:
    """The forward pass of the graph in a folder, and the names of its outputs.

    `threads` as of `load_onnx`. Raises `DataError` as `load_onnx`.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise DataError(
            f"{folder} is an ONNX export, which needs ONNX Runtime: {ONNX_NEEDS}."
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # Errors; its warnings are of no use to who answers texts.
    options.intra_op_num_threads = threads or 0  # 0: one for each core.
    try:
        session = onnxruntime.InferenceSession(
            folder / ONNX_MODEL, options, providers=["CPUExecutionProvider"]
        )
    # Its errors have no common class of their own.
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"{folder / ONNX_MODEL} is no ONNX file that can be loaded: {reason}"
        ) from error
    names = tuple(output.name for output in session.get_outputs())

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        arrays = {name: np.asarray(values, np.int32) for name, values in inputs.items()}
        return dict(zip(names, session.run(names, arrays), strict=True))

    return Forward(run), names
