"""The scores of a fine-tuned checkpoint on a labelled file."""

import os
import pathlib

from tqdm import tqdm

from kbert.checkpoints.directory import Checkpoint
from kbert.errors import DataError
from kbert.figures import check_picture
from kbert.finetuning.rows import count_cut, encode
from kbert.inference.answering import answer_features
from kbert.inference.settings import ComputeSettings
from kbert.metrics.plots import plot_labels
from kbert.tasks.base import Task
from kbert.tasks.readers.bad_rows import BadRows, BadRowSettings


def evaluate(
    task: Task,
    checkpoint: Checkpoint,
    path: str | pathlib.Path,
    batch_size: int = ComputeSettings.batch_size,
    skip_bad: bool = BadRowSettings.skip_bad,
    progress: bool = False,
    plot: str | os.PathLike | None = None,
) -> dict:
    """The task's scores of a fine-tuned checkpoint on a labelled file, ready for JSON.

    Args:
        task: the checkpoint's own, or that with other options for reading files.
        skip_bad: count rows that do not fit, and go on, instead of stopping at the first.
        progress: show a bar on a terminal.
        plot: where to write a picture, .png, .svg or .pdf, of a classifier's answers: confusion
            matrix, reliability diagram, precision and recall.

    Raises DataError for a file that does not fit, for answers that training did not have, and for
    a picture of another task or without matplotlib.
    """
    ComputeSettings(batch_size=batch_size)  # Checks it.
    if plot is not None:
        if not task.has_plot:
            raise DataError(f"The task {task.name} has no picture: expected one of labels.")
        check_picture(plot)
    bad = BadRows(skip_bad)
    examples = task.read_examples(path, bad=bad)
    features = encode(task, examples, checkpoint.tokenizer, bad)
    hidden = None if progress else True  # None: where there is no terminal.
    with tqdm(total=len(examples), desc="evaluate", unit=" rows", disable=hidden) as bar:
        answers = answer_features(task, checkpoint.model, features, examples, batch_size, bar)
    scores = task.metrics(answers, examples)
    if plot is not None:
        plot_labels(plot, task.label_probabilities(answers, examples))
    counts = {"rows": len(examples), "rows_cut": count_cut(features)}
    counted = bad.report() if skip_bad else {}
    return counts | counted | task.counts(examples, features) | scores
