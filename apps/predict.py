"""Answer files or standard input with a fine-tuned model: one JSON object a line.

    kbert predict CHECKPOINT texts.txt
    tail -f log.txt | kbert predict CHECKPOINT
    kbert predict CHECKPOINT rows.csv --text-column review

Standard input and .txt files hold a text on each line (a pair: two texts with a tab between). Other
files, and .txt files whose first line is that of a file to fine-tune on, hold rows, whose columns
are those of the training file unless others are given. Prints

    {"label": "sports", "score": 0.98, "probabilities": {"sports": 0.98, "weather": 0.02}}

for each text, in order, as soon as it is known, for an empty one too. --output writes it to a file
instead; stopped at any moment, the same command goes on then, from OUTPUT.unfinished. With
--skip-bad a line that does not fit has {"error": ...} in its place; rows of other files that do not
fit are left out. A model for questions takes SQuAD's JSON, or lines of a question and its text with
a tab between, and prints

    {"id": "q1", "text": "in Oslo", "score": 0.9, "start": 12, "end": 19, "nbest": [...]}

which `kbert score squad` takes in a .jsonl file. With --glue NAME the file is GLUE's test.tsv, and
the output what the benchmark's server takes:

    kbert predict CHECKPOINT CoLA/test.tsv --glue CoLA --output CoLA.tsv

What `kbert export` wrote gives the same answers.
"""

import sys
from argparse import Namespace

from .cli import run_command
from .parsing import Parser

# Options that say where the right answers are, or how they are scored.
OF_LABELS = ("label_column", "tag_column", "rules")


def add_arguments(parser: Parser) -> None:
    """Add what the command is given."""
    from kbert.inference.settings import AnswerSettings, ComputeSettings
    from kbert.settings import add_options
    from kbert.tasks import reading_fields
    from kbert.tasks.readers.bad_rows import BadRowSettings
    from kbert.tasks.readers.glue import GlueFile

    parser.add_argument(
        "model", metavar="CHECKPOINT", help="what `kbert finetune` or `kbert export` wrote"
    )
    parser.add_argument("files", metavar="FILE", nargs="*", help="none or - for standard input")
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="where to write instead of printing: JSON lines, or a table as .tsv or .csv",
    )
    for settings in (AnswerSettings, ComputeSettings, BadRowSettings, GlueFile):
        add_options(parser, settings)
    add_options(parser, reading_fields(), without=OF_LABELS, unset="as in training")


def run(args: Namespace) -> None:
    """Do what the arguments say."""
    from kbert.inference.answer_files import AnswerJob, answer_files
    from kbert.inference.settings import AnswerSettings, ComputeSettings
    from kbert.serving.checkpoint_or_export import load_answerer
    from kbert.settings import from_options, given_options
    from kbert.tasks import reading_fields
    from kbert.tasks.readers.bad_rows import BadRowSettings
    from kbert.tasks.readers.glue import GlueFile

    compute, glue = from_options(ComputeSettings, args), from_options(GlueFile, args)
    options = glue.columns("unlabelled") | given_options(reading_fields(), args)
    columns = {name for name in options if name.endswith("_column") or name == "header"}
    skip_bad = from_options(BadRowSettings, args).skip_bad
    job = AnswerJob(args.model, args.files, compute, columns, glue.glue, skip_bad)
    job.check(args.output)
    answerer = load_answerer(args.model, compute.batch_size, compute.precision)
    answerer.task = answerer.task.with_options(**options)
    answerer.with_input = from_options(AnswerSettings, args).with_input
    summary = answer_files(answerer, job, args.output)
    _print_summary(args.output, summary, answerer.task.sequence_length)


def _print_summary(output, summary, length):
    """What was written, and what a reader of the answers should know; beside them, not among."""
    from kbert.tasks.readers.bad_rows import report_lines

    if output is not None:
        print(f"wrote {summary['answers']:,} answers to {output}")
    notes = report_lines(summary)
    if summary["texts_cut"]:
        notes.insert(0, f"{summary['texts_cut']:,} texts were cut to {length} tokens")
    for note in notes:
        print(note, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(run_command("predict", sys.argv[1:]))
