"""TensorFlow's side of `kbert.training.engine`."""

from kbert.data.pipeline import as_dataset
from kbert.training.devices import compile_whole_step, xla_clusters
from kbert.training.devices import strategy as devices
from kbert.training.fused_adam import FusedBertAdam as Adam
from kbert.training.step import TrainingModel

__all__ = ["Adam", "TrainingModel", "as_dataset", "compile_whole_step", "devices", "xla_clusters"]
