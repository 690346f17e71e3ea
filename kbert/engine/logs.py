"""Scalars and hyper-parameters for TensorBoard, written without TensorFlow."""

import os
import time

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter


class LogWriter:
    """One run's folder for TensorBoard."""

    def __init__(self, folder: str | os.PathLike):
        self._writer = EventFileWriter(str(folder))

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Add a point to the curve of each name."""
        for name, value in values.items():
            self._add(scalar_pb(name, float(value)), step)

    def hyperparameters(self, values: dict) -> None:
        """What the HParams page shows of this run; values that are None are left out."""
        known = {
            name: value if isinstance(value, (bool, int, float)) else str(value)
            for name, value in values.items()
            if value is not None
        }
        self._add(hparams_pb(known), 0)

    def _add(self, summary, step: int) -> None:
        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))

    def close(self) -> None:
        self._writer.close()
