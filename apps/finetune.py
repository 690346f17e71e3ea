"""Fine-tune a checkpoint on a task.

    kbert finetune classification --from CHECKPOINT --train train.tsv --validation dev.tsv \\
        --output DIRECTORY

Shows a progress bar, scores the validation rows after every epoch and keeps the best epoch in
DIRECTORY, with finetune.json (settings and scores) and TensorBoard logs. Stopped at any moment, the
same command goes on, from DIRECTORY.unfinished. `kbert finetune
classification --help` lists the task's options. GLUE's files need no options of columns, and any
others say where theirs are:

    kbert finetune regression ... --train STS-B/train.tsv --glue STS-B
    kbert finetune classification ... --train CoLA/train.tsv \\
        --no-header --text-column 3 --label-column 1 --metric matthews

The learning rate follows the encoder's width where none is given; the summary says it. On few rows
luck decides: `--seeds 5` trains five times, prints mean and deviation and keeps the
best run. Stopped at any moment, the same command does the runs that are missing.
"""

import sys
from argparse import Namespace

from .cli import run_command
from .finetuning_options import add_tasks, arguments, keywords
from .parsing import Parser


def add_arguments(parser: Parser) -> None:
    """Add what the command is given."""
    from kbert.finetuning.settings import Restarts
    from kbert.settings import add_options

    for own in add_tasks(parser):
        add_options(own, Restarts)


def run(args: Namespace) -> None:
    """Do what the arguments say."""
    from kbert.finetuning.run import finetune
    from kbert.finetuning.several_runs import finetune_several, seeds
    from kbert.finetuning.summary import best_line, runs_lines, summary_lines

    if not hasattr(args, "seeds"):
        summary = finetune(*arguments(args), **keywords(args))
        lines = [*summary_lines(summary), f"wrote {args.output}"]
    else:
        *what, settings = arguments(args)
        changes = seeds(settings.seed, args.seeds)
        report = finetune_several(*what, settings, changes, **keywords(args))
        lines = [*runs_lines(report), best_line(report, args.output)]
    print(*lines, sep="\n")


if __name__ == "__main__":
    sys.exit(run_command("finetune", sys.argv[1:]))
