"""Score a fine-tuned checkpoint on a labelled file.

    kbert evaluate CHECKPOINT test.tsv --output metrics.json

Prints the task's scores (for classification accuracy, F1, Matthews correlation and the confusion
matrix) and, with --output, writes them as JSON; --plot draws the confusion matrix, a reliability
diagram and precision against recall. Columns are those of the training file unless
others are given.
"""

import sys
from argparse import Namespace

from .cli import run_command
from .parsing import Parser


def add_arguments(parser: Parser) -> None:
    """Add what the command is given."""
    from kbert.inference.settings import ComputeSettings
    from kbert.settings import add_options
    from kbert.tasks import reading_fields
    from kbert.tasks.readers.bad_rows import BadRowSettings
    from kbert.tasks.readers.glue import GlueFile

    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="what `kbert finetune` wrote")
    parser.add_argument("file", metavar="FILE", help="labelled rows")
    parser.add_argument("--output", metavar="FILE", help="where to write the scores as JSON")
    parser.add_argument(
        "--plot", metavar="FILE", help="where to draw a classifier's answers: .png, .svg or .pdf"
    )
    for settings in (ComputeSettings, BadRowSettings, GlueFile):
        add_options(parser, settings)
    add_options(parser, reading_fields(), unset="as in training")


def run(args: Namespace) -> None:
    """Do what the arguments say."""
    import keras

    from kbert.checkpoints.formats import load_finetuned
    from kbert.files import check_writable, write_json
    from kbert.finetuning.evaluate import evaluate
    from kbert.inference.settings import ComputeSettings
    from kbert.settings import from_options, given_options
    from kbert.tasks import reading_fields
    from kbert.tasks.readers.bad_rows import BadRowSettings, report_lines
    from kbert.tasks.readers.glue import GlueFile

    compute = from_options(ComputeSettings, args)
    columns = from_options(GlueFile, args).columns("labelled")
    columns |= given_options(reading_fields(), args)
    if args.output is not None:
        check_writable(args.output, inputs=[args.file])  # Before minutes of work.
    keras.config.set_dtype_policy(compute.precision)
    checkpoint = load_finetuned(args.checkpoint)
    task = checkpoint.task.with_options(**columns)
    skip_bad = from_options(BadRowSettings, args).skip_bad
    scores = evaluate(task, checkpoint, args.file, compute.batch_size, skip_bad, True, args.plot)
    print(f"{scores['rows']} rows, {scores['rows_cut']} of them cut")
    print(*report_lines(scores), task.report(scores), sep="\n")
    if args.output is not None:
        write_json(args.output, scores)
        print(f"wrote {args.output}")
    if args.plot is not None:
        print(f"wrote {args.plot}")


if __name__ == "__main__":
    sys.exit(run_command("evaluate", sys.argv[1:]))
