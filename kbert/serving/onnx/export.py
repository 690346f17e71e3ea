"""A checkpoint as an ONNX file, with what ONNX Runtime and kbert need to answer texts with it.

    PATH/VERSION/model.onnx         the graph: token_ids, segment_ids, padding_mask int32
                                    (batch, sequence), or (batch, choices, sequence), in; the
                                    model's outputs, float32, out
    PATH/VERSION/model.onnx.data    its weights
    PATH/VERSION/assets/            vocab.txt, task.json, config.json with all files' checksums

A masked LM also takes mask_positions (batch, masks), and gives the logits of the pieces there.
"""

import os
import pathlib
import tempfile
from typing import Any

import keras
from keras import ops

from kbert.checkpoints.directory import Checkpoint
from kbert.checkpoints.sentence_vectors import Pooling
from kbert.files import locked, replacing_folder
from kbert.inference.fill_mask import FillMask
from kbert.serving.assets import check_version, write_assets
from kbert.serving.encoder_outputs import EncoderOutputs
from kbert.serving.exported_task import as_served, exported_encoder, exported_task
from kbert.serving.index import write_index
from kbert.serving.onnx.model import save_onnx
from kbert.serving.onnx.quantization import quantize
from kbert.serving.settings import ExportSettings
from kbert.serving.versions import ONNX_MODEL


def export_onnx(
    path: str | os.PathLike,
    checkpoint: Checkpoint,
    version: int = ExportSettings.version,
    answers: str | None = ExportSettings.answers,
    top: int = ExportSettings.top,
    pooling: Pooling | None = None,
    int8: bool = ExportSettings.int8,
) -> pathlib.Path:
    """Write PATH/VERSION, whole or not at all, and return it.

    Args:
        version, answers, top, pooling: as of `export_saved_model`.
        int8: keep the weights in 8 bits.

    Raises `DataError` as `export_saved_model`.
    """
    target = check_version(path, version)
    checkpoint, pooling = as_served(checkpoint, pooling)
    task = exported_task(checkpoint, answers, top, pooling)
    model = _model_of(checkpoint, task, pooling)
    with locked(target), tempfile.TemporaryDirectory() as folder:
        check_version(path, version)  # Another process may have written it since.
        with replacing_folder(target) as temporary:
            whole = pathlib.Path(folder if int8 else temporary) / ONNX_MODEL
            save_onnx(model, whole)
            if int8:
                quantize(whole, temporary / ONNX_MODEL)
            (temporary / "assets").mkdir()
            write_assets(temporary / "assets", checkpoint, task)
            write_index(temporary)
    return target


def _model_of(checkpoint: Checkpoint, task: Any, pooling: Pooling) -> keras.Model:
    """A functional model with the outputs that the task decodes."""
    model = checkpoint.model
    if isinstance(task, FillMask):
        inputs = {name: x for name, x in model.input.items() if name != "cls_positions"}
        return keras.Model(inputs, {"masked_lm": model.output["masked_lm"]}, name="masked_lm")
    if not isinstance(task, EncoderOutputs):
        return model
    encoder = exported_encoder(checkpoint, pooling)
    pooled = ops.concatenate([encoder.output[mode] for mode in pooling.modes], axis=-1)
    vectors = {name: x for name, x in encoder.output.items() if name not in pooling.modes}
    outputs = vectors | {"embedding": pooling.finish(pooled)}
    return keras.Model(encoder.input, outputs, name="encoder")
