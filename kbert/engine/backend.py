"""What trains under which Keras backend: TensorFlow, or JAX on a machine without TensorFlow."""

import importlib
import types

import keras

_ENGINES = {
    "tensorflow": "kbert.engine.tensorflow",
    "jax": "kbert.engine.jax",
}


def engine() -> types.ModuleType:
    """The module with the backend's `TrainingModel`, `Adam`, `as_dataset`, `devices`,
    `compile_whole_step`, `xla_clusters`, `gradients_forgotten`, `sum_over_workers` and
    `WORKER_LOST`; each means the same under both."""
    return importlib.import_module(_ENGINES[keras.backend.backend()])
