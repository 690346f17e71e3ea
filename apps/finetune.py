"""Fine-tune a checkpoint on a task.

    kbert finetune classification --from CHECKPOINT --train train.tsv --validation dev.tsv \\
        --output DIRECTORY

Shows a progress bar, scores the validation rows after every epoch and keeps the best epoch in
DIRECTORY, with finetune.json (settings and scores) and TensorBoard logs. `kbert finetune
classification --help` lists the task's options. GLUE's files need no options of columns, and any
others say where theirs are:

    kbert finetune regression ... --train STS-B/train.tsv --glue STS-B
    kbert finetune classification ... --train CoLA/train.tsv \\
        --no-header --text-column 3 --label-column 1 --metric matthews
"""

import sys

from apps.cli import HelpFormatter, print_bad_rows, run_command


def add_arguments(parser):
    from kbert.tasks import TASKS
    from kbert.training import finetuning_options

    tasks = parser.add_subparsers(dest="task", metavar="TASK", required=True, help="one of:")
    for name, task in TASKS.items():
        summary = task.__doc__.splitlines()[0]
        own = tasks.add_parser(
            name, help=summary, description=summary, formatter_class=HelpFormatter
        )
        finetuning_options.add_arguments(own, task.metric_names)
        task.add_arguments(own)


def run(args):
    from kbert.tasks import TASKS
    from kbert.training.finetuning import finetune
    from kbert.training.finetuning_options import keywords

    summary = finetune(
        TASKS[args.task].from_arguments(args),
        args.checkpoint,
        args.train,
        args.output,
        **keywords(args),
        verbose=1 if sys.stdout.isatty() else 2,
    )
    for part in ("train", "validation"):
        counts = "".join(f"; {name}: {n}" for name, n in summary[f"{part}_counts"].items())
        rows, cut = summary[f"{part}_rows"], summary[f"{part}_rows_cut"]
        print(f"{part}: {rows} rows, {cut} of them cut{counts}")
    print_bad_rows(summary)
    scores = ", ".join(
        f"{name} {summary['scores'][name]:.4f}"
        for name in TASKS[args.task].metric_names
        if name in summary["scores"]
    )
    print(f"epoch {summary['best_epoch']} of {args.epochs} kept: {scores or 'not scored'}")
    print(f"{summary['steps']} steps in {summary['seconds']} s; wrote {args.output}")


if __name__ == "__main__":
    sys.exit(run_command("finetune", sys.argv[1:]))
