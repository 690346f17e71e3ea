"""What commands import, as they do, and nothing computed: a process may be forked behind it."""

import kbert  # noqa: F401
from kbert.tensorflow_start import start_backend

start_backend()

import keras  # noqa: E402, F401
import tensorflow_text  # noqa: E402, F401

import apps.cli  # noqa: E402, F401
import kbert.checkpoints.formats  # noqa: E402, F401
import kbert.finetuning.several_runs  # noqa: E402, F401
import kbert.inference.answering  # noqa: E402, F401
import kbert.pretraining.run  # noqa: E402, F401
import kbert.serving.export_any  # noqa: E402, F401
