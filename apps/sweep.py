"""Fine-tune with every combination of settings of a grid, and keep the best.

    kbert sweep classification --from CHECKPOINT --train train.tsv --validation dev.tsv \\
        --output DIRECTORY

The grid is that of the BERT paper (appendix A.3): 16 or 32 rows a batch, 2, 3 or 4 epochs, and
three rates, which for base are 5e-5, 3e-5 and 2e-5 and follow the encoder's width as in `kbert
finetune`. `--batch-size 32 --learning-rate 5e-5 1e-4` makes another. All other options are those of
`kbert finetune`. Stopped at any moment, the same command does the runs that are missing. Prints a
table, the best run first, and keeps that run's checkpoint in DIRECTORY; `tensorboard --logdir
DIRECTORY/runs` has the table under HParams.
"""

import dataclasses
import sys
from argparse import Namespace

from .cli import run_command
from .finetuning_options import add_tasks, arguments, keywords
from .parsing import Parser


def add_arguments(parser: Parser) -> None:
    """Add what the command is given."""
    from kbert.finetuning.settings import Grid
    from kbert.settings import add_options

    names = {field.name for field in dataclasses.fields(Grid)}
    for own in add_tasks(parser, without=names):
        add_options(own, Grid)


def run(args: Namespace) -> None:
    """Do what the arguments say."""
    from kbert.checkpoints.formats import load_any
    from kbert.finetuning.learning_rate import sweep_rates
    from kbert.finetuning.settings import Grid
    from kbert.finetuning.several_runs import finetune_several, grid
    from kbert.finetuning.summary import best_line, sweep_lines
    from kbert.settings import from_options

    values = vars(from_options(Grid, args))
    task, *_ = arguments(args, **{name: own and own[0] for name, own in values.items()})
    if values["learning_rate"] is None:
        values["learning_rate"] = sweep_rates(load_any(args.checkpoint).config, task)
    changes = grid(values)
    first = next(iter(changes.values()))
    report = finetune_several(*arguments(args, **first), changes, **keywords(args))
    print(*sweep_lines(report, list(first)), best_line(report, args.output), sep="\n")


if __name__ == "__main__":
    sys.exit(run_command("sweep", sys.argv[1:]))
