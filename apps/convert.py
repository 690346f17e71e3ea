"""Convert a BERT between kbert, Hugging Face, Google's releases and keras-hub.

    kbert convert bert-base-uncased/ --output checkpoints/base
    kbert convert runs/mini --output mini-hf --to huggingface
    kbert convert hf:google-bert/bert-base-uncased --output checkpoints/base
    kbert convert runs/topics --output topics-hf --to huggingface --push OWNER/topics

The format of the source is seen from its files. Weights are the same numbers in every format; what
a format cannot hold is an error that names it.
"""

import sys
from argparse import Namespace

from .cli import run_command
from .parsing import Parser


def add_arguments(parser: Parser) -> None:
    """Add what the command is given."""
    from kbert.checkpoints.conversion import ConversionSettings
    from kbert.settings import add_options

    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a folder with a BERT, or a name: hf:OWNER/NAME, keras:PRESET, kaggle:HANDLE",
    )
    parser.add_argument("--output", required=True, metavar="FOLDER", help="what to write")
    add_options(parser, ConversionSettings)


def run(args: Namespace) -> None:
    """Do what the arguments say."""
    from kbert.checkpoints.conversion import ConversionSettings, convert
    from kbert.settings import from_options

    settings = from_options(ConversionSettings, args)
    done = convert(args.source, args.output, settings)
    for note in done.notes:
        print(note)
    print(
        f"{args.source} ({done.source}) -> {args.output} ({settings.to}): {done.kind}, "
        f"{done.num_parameters:,} parameters"
    )


if __name__ == "__main__":
    sys.exit(run_command("convert", sys.argv[1:]))
