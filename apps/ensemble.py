"""Make one model of several fine-tuned checkpoints: it answers with the mean of their answers.

    kbert ensemble --output ENSEMBLE first second third
    kbert evaluate ENSEMBLE dev.tsv

The members are of one task, with the same labels and the same vocabulary; they may differ in seed,
size and architecture. ENSEMBLE holds copies of them, and is taken by evaluate, predict, playground
and export as any other checkpoint, and by finetune --teacher.
"""

import sys
from argparse import Namespace

from .cli import run_command
from .parsing import Parser


def add_arguments(parser: Parser) -> None:
    """Add what the command is given."""
    parser.add_argument("members", metavar="CHECKPOINT", nargs="+", help="fine-tuned models")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="what to write")


def run(args: Namespace) -> None:
    """Do what the arguments say."""
    from kbert.checkpoints.ensemble import write_ensemble

    checkpoint = write_ensemble(args.output, args.members)
    print(
        f"wrote {args.output}: {len(args.members)} models of the task {checkpoint.task.name}, "
        f"{checkpoint.model.count_params():,} parameters"
    )


if __name__ == "__main__":
    sys.exit(run_command("ensemble", sys.argv[1:]))
