"""The options of `kbert finetune` that all tasks share. No Keras: `--help` answers at once."""

import argparse
from collections.abc import Sequence

from kbert.finetuning.settings import FinetuningSettings
from kbert.settings import add_fields, from_fields
from kbert.tasks.readers import bad_rows

# Options under the names that they have as arguments of `finetune`.
SAME_NAMES = (
    "validation_share",
    "metric",
    "patience",
    "limit",
    "from_random",
    "overwrite",
    "skip_bad",
)


def add_arguments(parser: argparse.ArgumentParser, metric_names: Sequence[str]) -> None:
    """Add them; `metric_names` are those of a task."""
    files = parser.add_argument_group("files")
    files.add_argument(
        "--from", dest="checkpoint", required=True, metavar="CHECKPOINT", help="where to start"
    )
    files.add_argument("--train", required=True, metavar="FILE", help="labelled rows")
    files.add_argument("--validation", metavar="FILE", help="labelled rows to choose the epoch by")
    files.add_argument("--output", required=True, metavar="DIRECTORY", help="what to write")
    files.add_argument("--overwrite", action="store_true", help="the output may exist")
    bad_rows.add_argument(files)
    files.add_argument(
        "--validation-share",
        type=float,
        default=0.1,
        help="share of the training rows to hold out where there is no --validation; 0 for none",
    )
    files.add_argument("--limit", type=int, metavar="N", help="train on N rows, drawn by the seed")
    parser.add_argument(
        "--metric",
        choices=metric_names,
        default=metric_names[0],
        help="the best epoch has the best",
    )
    parser.add_argument(
        "--patience", type=int, metavar="N", help="stop after N epochs without a better one"
    )
    parser.add_argument(
        "--from-random",
        action="store_true",
        help="random weights; the checkpoint gives configuration and vocabulary (to compare)",
    )
    add_fields(parser, FinetuningSettings)


def settings(args: argparse.Namespace) -> FinetuningSettings:
    """The options that say how to train."""
    return from_fields(FinetuningSettings, args)


def keywords(args: argparse.Namespace) -> dict:
    """The other options as keyword arguments of `finetune`."""
    return {name: getattr(args, name) for name in SAME_NAMES} | {
        "validation_path": args.validation,
        # Only tasks with `features` have these.
        "feature_cache": getattr(args, "feature_cache", None),
        "feature_type": getattr(args, "feature_type", "float32"),
    }
