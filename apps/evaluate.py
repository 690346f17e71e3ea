"""Score a fine-tuned checkpoint on a labelled file.

    kbert evaluate CHECKPOINT test.tsv --output metrics.json

Prints the task's scores (for classification accuracy, F1, Matthews correlation and the confusion
matrix) and, with --output, writes them as JSON. Columns are those of the training file unless
others are given.
"""

import sys

from apps.cli import add_batch_arguments, print_bad_rows, run_command


def add_arguments(parser):
    from kbert.tasks.readers import bad_rows, glue
    from kbert.tasks.readers.tables import add_column_arguments

    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="what `kbert finetune` wrote")
    parser.add_argument("file", metavar="FILE", help="labelled rows")
    parser.add_argument("--output", metavar="FILE", help="where to write the scores as JSON")
    add_batch_arguments(parser, "rows")
    bad_rows.add_argument(parser)
    add_column_arguments(parser)
    glue.add_argument(parser, list(glue.GLUE), "labelled")
    questions = parser.add_argument_group("question answering")
    questions.add_argument("--rules", metavar="RULES", help="squad or cmrc, instead of training's")


def run(args):
    import keras

    from kbert.checkpoints.directory import load_finetuned
    from kbert.files import check_writable, write_json
    from kbert.finetuning.evaluate import evaluate
    from kbert.tasks.readers.tables import column_options

    if args.output is not None:
        check_writable(args.output)  # Before minutes of work.
    keras.config.set_dtype_policy(args.precision)
    checkpoint = load_finetuned(args.checkpoint)
    task = checkpoint.task.with_options(**column_options(args), rules=args.rules)
    scores = evaluate(task, checkpoint, args.file, args.batch_size, args.skip_bad, progress=True)
    print(f"{scores['rows']} rows, {scores['rows_cut']} of them cut")
    print_bad_rows(scores)
    print(task.report(scores))
    if args.output is not None:
        write_json(args.output, scores)
        print(f"wrote {args.output}")


if __name__ == "__main__":
    sys.exit(run_command("evaluate", sys.argv[1:]))
