"""Answer files or standard input with a fine-tuned model: one JSON object a line.

    kbert predict CHECKPOINT texts.txt
    tail -f log.txt | kbert predict CHECKPOINT
    kbert predict CHECKPOINT rows.csv --text-column review

Standard input and .txt files hold a text on each line (a pair: two texts with a tab between).
Other files hold rows, whose columns are those of the training file unless others are given. Prints

    {"label": "sports", "score": 0.98, "probabilities": {"sports": 0.98, "weather": 0.02}}

for each text, in order, as soon as it is known; --output writes it to a file instead. A model for
questions takes SQuAD's JSON, or lines of a question and its text with a tab between, and prints

    {"id": "q1", "text": "in Oslo", "score": 0.9, "start": 12, "end": 19, "nbest": [...]}

which `kbert score squad` takes in a .jsonl file. With --glue NAME the file is GLUE's test.tsv, and
the output what the benchmark's server takes:

    kbert predict CHECKPOINT CoLA/test.tsv --glue CoLA --output CoLA.tsv

What `kbert export` wrote answers too, in the words of the server: "probabilities" is then a list,
in the order of the labels.
"""

import sys
from argparse import Namespace

from .cli import run_command
from .parsing import Parser

# Options that say where the right answers are, or how they are scored.
OF_LABELS = ("label_column", "tag_column", "rules")


def add_arguments(parser: Parser) -> None:
    """Add what the command is given."""
    from kbert.inference.settings import ComputeSettings
    from kbert.settings import add_options
    from kbert.tasks import reading_fields
    from kbert.tasks.readers.glue import GlueFile

    parser.add_argument(
        "model", metavar="CHECKPOINT", help="what `kbert finetune` or `kbert export` wrote"
    )
    parser.add_argument("files", metavar="FILE", nargs="*", help="none for standard input")
    parser.add_argument("--output", metavar="FILE", help="where to write instead of printing")
    for settings in (ComputeSettings, GlueFile):
        add_options(parser, settings)
    add_options(parser, reading_fields(), without=OF_LABELS, unset="as in training")


def run(args: Namespace) -> None:
    """Do what the arguments say."""
    import contextlib
    import os

    from tqdm import tqdm

    from kbert.files import replacing
    from kbert.inference.settings import ComputeSettings
    from kbert.serving.opening import open_model
    from kbert.settings import from_options, given_options
    from kbert.tasks import reading_fields
    from kbert.tasks.readers.glue import GlueFile, check_model

    compute = from_options(ComputeSettings, args)
    glue = from_options(GlueFile, args)
    columns = glue.columns("unlabelled") | given_options(reading_fields(), args)

    for name in args.files:
        # A wrong name is an error at once, not after the files before it are answered.
        open(name, "rb").close()
    # Not between answers on a terminal.
    hidden = True if args.output is None and sys.stdout.isatty() else None
    progress = tqdm(desc="predict", unit=" rows", disable=hidden)
    task, answer = open_model(args.model, compute.batch_size, compute.precision, progress)
    if glue.glue is not None:
        check_model(glue.glue, task)
    found = answers(task, answer, args.files, columns, progress)
    with contextlib.ExitStack() as stack:
        stack.callback(progress.close)
        file = None
        if args.output is not None:
            # Takes the name when it is whole: it may be that of a file to answer.
            path = stack.enter_context(replacing(args.output))
            file = stack.enter_context(open(path, "w", encoding="utf-8"))
        try:
            for line in lines(found, glue.glue):
                print(line, file=file, flush=file is None)
        except BrokenPipeError:
            # The reader has had enough (`| head`): no error. Python would flush once more at its
            # exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def lines(answers, glue):
    """What is written for the answers."""
    from kbert.files import as_json
    from kbert.tasks.readers.glue_files import submission

    if glue is not None:
        return submission(glue, answers)
    return map(as_json, answers)


def answers(task, answer, files, columns, progress):
    from kbert.inference.prediction import answer_in_pieces, answer_lines

    task = task.with_options(**columns)
    if not files:
        yield from answer_lines(task, answer, sys.stdin.buffer, "standard input")
    for name in files:
        if name.endswith(".txt") and not columns:
            with open(name, "rb") as file:
                yield from answer_lines(task, answer, file, name)
        else:
            examples = task.read_examples(name, labelled=False)
            if len(files) == 1:
                progress.reset(total=len(examples))
            yield from answer_in_pieces(answer, examples)


if __name__ == "__main__":
    sys.exit(run_command("predict", sys.argv[1:]))
