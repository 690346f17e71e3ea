"""Score a fine-tuned checkpoint on a labelled file.

    kbert evaluate CHECKPOINT test.tsv --output metrics.json

Prints the task's scores (for classification accuracy, F1, Matthews correlation and the confusion
matrix) and, with --output, writes them as JSON. Columns are those of the training file unless
others are given.
"""

import sys

from apps.cli import print_skipped, run_command


def add_arguments(parser):
    from kbert.tasks.glue import GLUE, add_argument
    from kbert.tasks.tables import add_column_arguments

    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="what `kbert finetune` wrote")
    parser.add_argument("file", metavar="FILE", help="labelled rows")
    parser.add_argument("--output", metavar="FILE", help="where to write the scores as JSON")
    parser.add_argument("--batch-size", type=int, default=64, help="rows computed together")
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave out rows that do not fit, and count them"
    )
    add_column_arguments(parser)
    add_argument(parser, list(GLUE), "labelled")


def run(args):
    import json
    import pathlib

    from kbert.tasks.tables import column_options
    from kbert.training.finetuning import evaluate, load_finetuned

    if args.output is not None:
        # Before the work, not after it: an output that cannot be written raises here.
        pathlib.Path(args.output).touch()
    checkpoint = load_finetuned(args.checkpoint)
    task = checkpoint.task.with_options(**column_options(args))
    scores = evaluate(task, checkpoint, args.file, args.batch_size, args.skip_bad)
    print(f"{scores['rows']} rows, {scores['rows_cut']} of them cut")
    print_skipped(scores)
    print(task.report(scores))
    if args.output is not None:
        text = json.dumps(scores, indent=2, ensure_ascii=False)
        pathlib.Path(args.output).write_text(text + "\n", encoding="utf-8")
        print(f"wrote {args.output}")


if __name__ == "__main__":
    sys.exit(run_command("evaluate", sys.argv[1:]))
