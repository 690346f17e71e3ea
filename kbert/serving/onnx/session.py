"""An ONNX export, ready to compute: ONNX Runtime, without TensorFlow and Keras."""

import pathlib
from collections.abc import Mapping

import numpy as np

from kbert.errors import DataError
from kbert.inference.forward import Forward

FILE = "model.onnx"


def load_session(folder: pathlib.Path) -> Forward:
    """The forward pass of the export in a folder, on all cores.

    Raises `DataError` where ONNX Runtime is not installed, and for a file that it cannot read.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise DataError(
            f'{folder} is an ONNX export, which needs ONNX Runtime: pip install "kbert[onnx]".'
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # Errors; its warnings are of no use to who answers texts.
    try:
        session = onnxruntime.InferenceSession(
            folder / FILE, options, providers=["CPUExecutionProvider"]
        )
    # Its errors have no common class of their own.
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{folder / FILE} cannot be loaded by ONNX Runtime: {reason}") from error
    names = [output.name for output in session.get_outputs()]

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        arrays = {name: np.asarray(values, np.int32) for name, values in inputs.items()}
        return dict(zip(names, session.run(names, arrays), strict=True))

    return Forward(run)
