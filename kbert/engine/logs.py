"""Scalars and hyper-parameters for TensorBoard, written without TensorFlow.

The records are TensorBoard's own, the file is ours: its writer imports TensorFlow wherever that is
installed, and the writer of tensorboardX waits forever once the disk is full. Here a full disk is
an `OSError`.
"""

import os
import pathlib
import socket
import time
from collections.abc import Mapping

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.summary.writer.record_writer import RecordWriter


class LogWriter:
    """One run's folder for TensorBoard; each writer adds a file of its own.

    A context manager: the file is closed at the block's end.
    """

    def __init__(self, folder: str | os.PathLike):
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads the files of a folder in the order of their names.
        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        self._file = open(folder / name, "xb")
        self._records = RecordWriter(self._file)
        self._write(Event(file_version="brain.Event:2", wall_time=time.time()))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to the curve of each name."""
        for name, value in values.items():
            self._add(scalar_pb(name, float(value)), step)

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

    def _add(self, summary, step: int) -> None:
        self._write(Event(wall_time=time.time(), step=step, summary=summary))

    def _write(self, event: Event) -> None:
        self._records.write(event.SerializeToString())
