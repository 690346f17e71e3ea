"""Answer files or standard input with a fine-tuned checkpoint: one JSON object a line.

    kbert predict CHECKPOINT texts.txt
    tail -f log.txt | kbert predict CHECKPOINT
    kbert predict CHECKPOINT rows.csv --text-column review

Standard input and .txt files hold a text on each line (a pair: two texts with a tab between).
Other files hold rows, whose columns are those of the training file unless others are given. Prints

    {"label": "sports", "score": 0.98, "probabilities": {"sports": 0.98, "weather": 0.02}}

for each text, in order, as soon as it is known.
"""

import sys

from apps.cli import run_command


def add_arguments(parser):
    from kbert.tasks.tables import add_column_arguments

    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="what `kbert finetune` wrote")
    parser.add_argument("files", metavar="FILE", nargs="*", help="none for standard input")
    parser.add_argument("--batch-size", type=int, default=64, help="rows computed together")
    add_column_arguments(parser, label=False)


def run(args):
    import json
    import os

    from kbert.tasks.tables import column_options
    from kbert.training.finetuning import load_finetuned

    for name in args.files:
        # A wrong name is an error at once, not after the files before it are answered.
        open(name, "rb").close()
    checkpoint = load_finetuned(args.checkpoint)
    try:
        for answer in answers(checkpoint, args.files, column_options(args), args.batch_size):
            print(json.dumps(answer, ensure_ascii=False), flush=True)
    except BrokenPipeError:
        # The reader has had enough (`| head`): no error. Python would flush once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def answers(checkpoint, files, columns, batch_size):
    from kbert.inference.prediction import answer_in_pieces, answer_lines

    task = checkpoint.task.with_options(**columns)
    if not files:
        yield from answer_lines(task, checkpoint, sys.stdin.buffer, "standard input", batch_size)
    for name in files:
        if name.endswith(".txt") and not columns:
            with open(name, "rb") as file:
                yield from answer_lines(task, checkpoint, file, name, batch_size)
        else:
            rows = task.read_examples(name, labelled=False)
            yield from answer_in_pieces(task, checkpoint, rows, batch_size)


if __name__ == "__main__":
    sys.exit(run_command("predict", sys.argv[1:]))
