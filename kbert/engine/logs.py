"""Scalars, curves, pictures, texts, hyper-parameters for TensorBoard, without TensorFlow.

The records are TensorBoard's own, the file is ours: its writer imports TensorFlow wherever that is
installed, and the writer of tensorboardX waits forever once the disk is full. Here a full disk is
an `OSError`.
"""

import os
import pathlib
import socket
import time
from collections.abc import Mapping

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.image import metadata as image
from tensorboard.plugins.pr_curve import metadata as pr_curve
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.plugins.text import metadata as text
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util.tensor_util import make_tensor_proto

# Of a curve of precision and recall.
_THRESHOLDS = 101


class LogWriter:
    """One run's folder for TensorBoard; each writer adds a file of its own. None keeps nothing.

    A context manager: the file is closed at the block's end.
    """

    def __init__(self, folder: str | os.PathLike | None):
        self._file = open(os.devnull, "wb") if folder is None else _new_file(pathlib.Path(folder))
        self._records = RecordWriter(self._file)
        self._write(Event(file_version="brain.Event:2", wall_time=time.time()))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to the curve of each name."""
        for name, value in values.items():
            self._add(scalar_pb(name, float(value)), step)

    def image(self, step: int, name: str, png: bytes, width: int, height: int) -> None:
        """A picture on the Images page."""
        data = np.array([str(width).encode(), str(height).encode(), png], object)
        self._tensor(step, name, data, image.create_summary_metadata(name, ""))

    def text(self, step: int, name: str, markdown: str) -> None:
        """A text on the Text page."""
        data = np.array(markdown.encode("utf-8"), object)
        self._tensor(step, name, data, text.create_summary_metadata(name, ""))

    def precision_recall(
        self, step: int, name: str, is_right: np.ndarray, probabilities: np.ndarray
    ) -> None:
        """A curve on the PR Curves page.

        Args:
            is_right: whether a label applies, (rows,).
            probabilities: that it does, (rows,).
        """
        thresholds = np.linspace(0, 1, _THRESHOLDS)[:, None]
        found, right = probabilities >= thresholds, np.asarray(is_right, bool)
        hit, false = (found & right).sum(axis=1), (found & ~right).sum(axis=1)
        missed = right.sum() - hit
        rejected = (~right).sum() - false
        precision, recall = hit / np.maximum(hit + false, 1), hit / max(right.sum(), 1)
        # The order of tensorboard.plugins.pr_curve.metadata.
        data = np.stack([hit, false, rejected, missed, precision, recall]).astype("float32")
        self._tensor(step, name, data, pr_curve.create_summary_metadata(name, "", _THRESHOLDS))

    def hyperparameters(self, values: Mapping) -> None:
        """What the HParams page shows of this run; values that are None are left out."""
        known = {
            name: value if isinstance(value, (bool, int, float)) else str(value)
            for name, value in values.items()
            if value is not None
        }
        self._add(hparams_pb(known), 0)

    def flush(self) -> None:
        """Put all points so far into the file, so that they outlive a kill."""
        self._file.flush()

    def close(self) -> None:
        """Flush, and end the file."""
        self._file.close()

    def __enter__(self) -> "LogWriter":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _tensor(self, step, name, data, metadata) -> None:
        summary = Summary()
        summary.value.add(tag=name, metadata=metadata, tensor=make_tensor_proto(data))
        self._add(summary, step)

    def _add(self, summary, step: int) -> None:
        self._write(Event(wall_time=time.time(), step=step, summary=summary))

    def _write(self, event: Event) -> None:
        self._records.write(event.SerializeToString())


def _new_file(folder: pathlib.Path):
    folder.mkdir(parents=True, exist_ok=True)
    # TensorBoard reads the files of a folder in the order of their names.
    name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
    return open(folder / name, "xb")
