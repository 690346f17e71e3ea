"""The options of `kbert finetune` that all tasks share. No Keras: `--help` answers at once."""

import argparse
from collections.abc import Sequence

from kbert.tasks import bad_rows

# Options under the names that they have as arguments of `finetune`.
SAME_NAMES = (
    "epochs",
    "batch_size",
    "learning_rate",
    "warmup_share",
    "weight_decay",
    "validation_share",
    "metric",
    "patience",
    "limit",
    "from_random",
    "seed",
    "precision",
    "encoder_dropout",
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
    parser.add_argument("--epochs", type=int, default=3, help="times through the training rows")
    parser.add_argument("--batch-size", type=int, default=32, help="rows a step, on all devices")
    parser.add_argument("--learning-rate", type=float, default=5e-5, help="after the warm-up")
    parser.add_argument(
        "--warmup-share", type=float, default=0.1, help="share of the steps in which it rises"
    )
    parser.add_argument(
        "--weight-decay", type=float, default=0.01, help="on all weights but norms and biases"
    )
    parser.add_argument(
        "--original-adam", action="store_true", help="BERT's Adam, without bias correction"
    )
    parser.add_argument(
        "--metric",
        choices=metric_names,
        default=metric_names[0],
        help="the best epoch has the best",
    )
    parser.add_argument(
        "--encoder-dropout", type=float, default=0.1, help="of hidden values and attention"
    )
    parser.add_argument(
        "--patience", type=int, metavar="N", help="stop after N epochs without a better one"
    )
    parser.add_argument(
        "--from-random",
        action="store_true",
        help="random weights; the checkpoint gives configuration and vocabulary (to compare)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and dropout")
    parser.add_argument(
        "--precision",
        choices=["float32", "bfloat16", "float16"],
        default="float32",
        help="of the computation; weights are float32",
    )


def keywords(args: argparse.Namespace) -> dict:
    """The options as keyword arguments of `finetune`."""
    return {name: getattr(args, name) for name in SAME_NAMES} | {
        "validation_path": args.validation,
        "bias_correction": not args.original_adam,
        # Only tasks with `features` have these.
        "feature_cache": getattr(args, "feature_cache", None),
        "feature_type": getattr(args, "feature_type", "float32"),
    }
