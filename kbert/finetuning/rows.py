"""What a fine-tuning run learns from and is scored on: read, checked, split and encoded once."""

import hashlib
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kbert.checkpoints.directory import Checkpoint
from kbert.errors import DataError
from kbert.finetuning.feature_cache import Cache
from kbert.finetuning.settings import FeatureSettings, FinetuningSettings, RowSettings
from kbert.settings import as_options
from kbert.tasks.base import Example, Task
from kbert.tasks.features import Feature
from kbert.tasks.readers.bad_rows import BadRows, BadRowSettings
from kbert.text.piece_ids import PieceIds

# A labelled file, or several that are read one after another.
TrainFiles = str | pathlib.Path | Sequence[str | pathlib.Path]


class FinetuningRows(NamedTuple):
    """The task, completed by its training examples, and the examples with their features;
    `options` are those of the command that reads the same for the same task."""

    task: Task
    train_path: str
    train: list[Example]
    train_features: list[Feature]
    validation: list[Example]
    validation_features: list[Feature]
    bad: BadRows
    cache: Cache
    options: list[str]

    def summary(self) -> dict:
        """Counts, ready for JSON."""
        train, held_out = self.train_features, self.validation_features
        return {
            "train": self.train_path,
            "train_rows": len(self.train),
            "train_rows_cut": count_cut(train),
            "train_counts": self.task.counts(self.train, train),
            "validation_rows": len(self.validation),
            "validation_rows_cut": count_cut(held_out),
            "validation_counts": self.task.counts(self.validation, held_out),
            **(self.bad.report() if self.bad.skip else {}),
            "sequence_length": self.task.sequence_length,
        }

    def trivial_score(self) -> float | None:
        """What the best answers that ignore the text score; None without held-out rows."""
        return self.task.trivial_score(self.validation) if self.validation else None

    def digest(self) -> str:
        """Of all that is learned from and scored on."""
        found = hashlib.sha256()
        for feature in (*self.train_features, *self.validation_features):
            for part in (feature.inputs, feature.targets, feature.weights):
                for name in sorted(part):
                    found.update(np.ascontiguousarray(part[name]))
        return found.hexdigest()[:32]


def read_rows(
    task: Task,
    start: Checkpoint,
    train_path: TrainFiles,
    *,
    validation_path: str | pathlib.Path | None = None,
    validation_share: float = RowSettings.validation_share,
    limit: int | None = RowSettings.limit,
    seed: int = FinetuningSettings.seed,
    skip_bad: bool = BadRowSettings.skip_bad,
    feature_cache: str | pathlib.Path | None = FeatureSettings.feature_cache,
    feature_type: str = FeatureSettings.feature_type,
) -> FinetuningRows:
    """All rows of a run, encoded with the checkpoint's tokenizer. Arguments: see `finetune`.

    Raises DataError for input that does not fit.
    """
    # They check their values.
    chosen = [RowSettings(validation_share, limit), FeatureSettings(feature_cache, feature_type)]
    chosen.append(BadRowSettings(skip_bad))
    if validation_path is not None and validation_share:
        chosen[0].check_unset("validation_share", needs="training rows without a validation file")
    if task.features is None:
        needs = "`features` of a frozen encoder"
        chosen[1].check_unset("feature_cache", "feature_type", needs=needs)
    cache = Cache(None if feature_cache is None else pathlib.Path(feature_cache), feature_type)
    bad = BadRows(skip_bad)
    names = names_of(train_path)
    examples = [example for name in names for example in task.read_examples(name, bad=bad)]
    where = ", ".join(names)
    asked, task = task, task.prepare(examples, where)
    train, validation = split_rows(examples, limit, validation_path, validation_share, seed)
    if validation_path is not None:
        validation = task.read_examples(validation_path, bad=bad)
    if validation:
        task.check_held_out(validation)
    longest = start.config.max_sequence_length
    if task.sequence_length > longest:
        raise DataError(
            f"The checkpoint knows {longest} positions. "
            f"Received: a sequence length of {task.sequence_length}."
        )
    features = encode(task, train, start.tokenizer, bad)
    held_out = encode(task, validation, start.tokenizer, bad)
    options = ["--train", *names]
    if validation_path is not None:
        options += ["--validation", str(validation_path)]
    options += [word for settings in (*chosen, asked) for word in as_options(settings)]
    return FinetuningRows(task, where, train, features, validation, held_out, bad, cache, options)


def names_of(train_path: TrainFiles) -> list[str]:
    """The files one by one."""
    several = isinstance(train_path, Sequence) and not isinstance(train_path, str)
    return [str(name) for name in (train_path if several else [train_path])]


def encode(
    task: Task, examples: Sequence[Example], tokenizer: PieceIds, bad: BadRows
) -> list[Feature]:
    """The features of labelled examples; one from which nothing can be learned is a bad row."""
    features = task.encode(examples, tokenizer)
    for error in task.feature_errors(examples, features):
        bad.add(error)
    return features


def split_rows(
    examples: Sequence[Example],
    limit: int | None,
    validation_path: str | pathlib.Path | None,
    validation_share: float,
    seed: int,
) -> tuple[list[Example], list[Example]]:
    """Training rows and held-out rows, drawn by `seed`. Raises DataError if one would be empty."""
    if limit is not None and limit > len(examples):
        raise DataError(f"limit must be at most the {len(examples)} rows. Received: {limit}.")
    order = np.random.default_rng(seed).permutation(len(examples))[:limit]
    held_out = 0
    if validation_path is None and validation_share > 0:
        held_out = max(1, round(validation_share * len(order)))
        if held_out == len(order):
            raise DataError(f"{len(order)} rows are too few to hold out {validation_share:.0%}.")
    rows = [examples[i] for i in order]
    return rows[held_out:], rows[:held_out]


def count_cut(features: Sequence[Feature]) -> int:
    """How many texts lost their end."""
    return sum(feature.cut for feature in features)
