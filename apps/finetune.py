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

from apps.cli import HelpFormatter, print_skipped, run_command


def add_arguments(parser):
    from kbert.tasks import TASKS

    tasks = parser.add_subparsers(dest="task", metavar="TASK", required=True, help="one of:")
    for name, task in TASKS.items():
        summary = task.__doc__.splitlines()[0]
        own = tasks.add_parser(
            name, help=summary, description=summary, formatter_class=HelpFormatter
        )
        add_common_arguments(own, task)
        task.add_arguments(own)


def add_common_arguments(parser, task):
    files = parser.add_argument_group("files")
    files.add_argument(
        "--from", dest="checkpoint", required=True, metavar="CHECKPOINT", help="where to start"
    )
    files.add_argument("--train", required=True, metavar="FILE", help="labelled rows")
    files.add_argument("--validation", metavar="FILE", help="labelled rows to choose the epoch by")
    files.add_argument("--output", required=True, metavar="DIRECTORY", help="what to write")
    files.add_argument("--overwrite", action="store_true", help="the output may exist")
    files.add_argument(
        "--skip-bad", action="store_true", help="leave out rows that do not fit, and count them"
    )
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
        choices=task.metric_names,
        default=task.metric_names[0],
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


def run(args):
    from kbert.tasks import TASKS
    from kbert.training.finetuning import finetune

    summary = finetune(
        TASKS[args.task].from_arguments(args),
        args.checkpoint,
        args.train,
        args.output,
        epochs=args.epochs,
        batch_size=args.batch_size,
        learning_rate=args.learning_rate,
        warmup_share=args.warmup_share,
        weight_decay=args.weight_decay,
        bias_correction=not args.original_adam,
        validation_path=args.validation,
        validation_share=args.validation_share,
        metric=args.metric,
        patience=args.patience,
        limit=args.limit,
        from_random=args.from_random,
        seed=args.seed,
        precision=args.precision,
        encoder_dropout=args.encoder_dropout,
        overwrite=args.overwrite,
        skip_bad=args.skip_bad,
        verbose=1 if sys.stdout.isatty() else 2,
    )
    for part in ("train", "validation"):
        print(f"{part}: {summary[f'{part}_rows']} rows, {summary[f'{part}_rows_cut']} of them cut")
    print_skipped(summary)
    scores = ", ".join(
        f"{name} {summary['scores'][name]:.4f}"
        for name in TASKS[args.task].metric_names
        if name in summary["scores"]
    )
    print(f"epoch {summary['best_epoch']} of {args.epochs} kept: {scores or 'not scored'}")
    print(f"{summary['steps']} steps in {summary['seconds']} s; wrote {args.output}")


if __name__ == "__main__":
    sys.exit(run_command("finetune", sys.argv[1:]))
