"""Answer files or standard input with a fine-tuned model: one JSON object a line.

    kbert predict CHECKPOINT texts.txt
    tail -f log.txt | kbert predict CHECKPOINT
    kbert predict CHECKPOINT rows.csv --text-column review

Standard input and .txt files hold a text on each line (a pair: two texts with a tab between). Other
files, and .txt files whose first line is that of a file to fine-tune on, hold rows, whose columns
are those of the training file unless others are given. Prints

    {"label": "sports", "score": 0.98, "probabilities": {"sports": 0.98, "weather": 0.02}}

for each text, in order, as soon as it is known, for an empty one too; --output writes it to a file
instead. With --skip-bad a line that does not fit has {"error": ...} in its place; rows of other
files that do not fit are left out. A model for questions takes SQuAD's JSON, or lines of a question
and its text with a tab between, and prints

    {"id": "q1", "text": "in Oslo", "score": 0.9, "start": 12, "end": 19, "nbest": [...]}

which `kbert score squad` takes in a .jsonl file. With --glue NAME the file is GLUE's test.tsv, and
the output what the benchmark's server takes:

    kbert predict CHECKPOINT CoLA/test.tsv --glue CoLA --output CoLA.tsv

What `kbert export` wrote gives the same answers.
"""

import sys
from argparse import Namespace

from .cli import print_bad_rows, run_command
from .parsing import Parser

STANDARD_INPUT = "-"
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
    import contextlib

    from tqdm import tqdm

    from kbert.files import check_writable, replacing
    from kbert.inference.answer_files import answer_rows
    from kbert.settings import from_options
    from kbert.tasks.readers.bad_rows import BadRows, BadRowSettings
    from kbert.tasks.readers.glue import GlueFile
    from kbert.tasks.readers.glue_files import submission

    _check_inputs(args.files)
    if args.output is not None:
        check_writable(args.output, inputs=args.files)
    answerer, columns = _load(args)
    glue = from_options(GlueFile, args).glue
    bad = BadRows(from_options(BadRowSettings, args).skip_bad)
    # Not between answers on a terminal.
    hidden = True if args.output is None and sys.stdout.isatty() else None
    count = 0
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(tqdm(desc="predict", unit=" rows", disable=hidden))
        found = _answers(answerer, args.files, columns, bad, progress)
        if glue is None:
            lines = answer_rows(found, args.output, bad.skip)
        else:
            lines = submission(glue, found)
        file = None
        if args.output is not None:
            path = stack.enter_context(replacing(args.output))
            file = stack.enter_context(open(path, "w", encoding="utf-8"))
        for line in lines:
            print(line, file=file, flush=file is None)
            count += 1
    _report(args.output, count, answerer, bad)


def _check_inputs(files):
    """A wrong name is an error at once, not after the files before it are answered."""
    import os

    for name in files:
        if name != STANDARD_INPUT and not os.path.isdir(name):
            open(name, "rb").close()


def _load(args):
    """What answers, by the options, and the columns where they are not as in training."""
    from kbert.inference.settings import AnswerSettings, ComputeSettings
    from kbert.serving.checkpoint_or_export import load_answerer
    from kbert.settings import from_options, given_options
    from kbert.tasks import reading_fields
    from kbert.tasks.readers.glue import GlueFile, check_model

    compute = from_options(ComputeSettings, args)
    glue = from_options(GlueFile, args)
    options = glue.columns("unlabelled") | given_options(reading_fields(), args)
    answerer = load_answerer(args.model, compute.batch_size, compute.precision)
    if glue.glue is not None:
        check_model(glue.glue, answerer.task)
    answerer.task = answerer.task.with_options(**options)
    answerer.with_input = from_options(AnswerSettings, args).with_input
    return answerer, {name for name in options if name.endswith("_column") or name == "header"}


def _answers(answerer, files, columns, bad, progress):
    """The answer to each row of the files, or of standard input, in order."""
    import pathlib

    for name in files or [STANDARD_INPUT]:
        if name == STANDARD_INPUT:
            if sys.stdin.buffer.isatty():
                print("A text on each line; Ctrl-D ends.", file=sys.stderr)
            yield from answerer.answer_lines(sys.stdin.buffer, "standard input", bad, progress)
        elif not columns and answerer.task.holds_lines(pathlib.Path(name)):
            with open(name, "rb") as file:
                yield from answerer.answer_lines(file, name, bad, progress)
        else:
            examples = answerer.task.read_examples(name, labelled=False, bad=bad)
            if len(files) == 1:
                progress.reset(total=len(examples))
            yield from answerer.answer_in_pieces(examples, progress)


def _report(output, count, answerer, bad):
    """What was written, and what a reader of the answers should know; beside them, not among."""
    if output is not None:
        print(f"wrote {count:,} answers to {output}")
    if answerer.cut:
        length = answerer.task.sequence_length
        print(f"{answerer.cut:,} texts were cut to {length} tokens", file=sys.stderr)
    if bad.messages:
        print_bad_rows(bad.report(), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(run_command("predict", sys.argv[1:]))
