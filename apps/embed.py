"""Vectors of texts from an encoder.

    kbert embed CHECKPOINT texts.txt --output vectors.npy
    kbert embed CHECKPOINT reviews.tsv --text-column review --output vectors.jsonl
    kbert embed CHECKPOINT texts.txt --output projector     # tensorboard --logdir projector

A .txt file holds a text on each line; TSV, CSV and JSON lines have a text column. CHECKPOINT may
also be a folder of Hugging Face, sentence-transformers, Google or keras-hub. What the folder says
of pooling is the default, else the mean of the last layer.
"""

import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from .cli import run_command
from .parsing import Parser

if TYPE_CHECKING:
    from kbert.inference.text_encoder import TextEncoder


def add_arguments(parser: Parser) -> None:
    """Add what the command is given."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="any model with an encoder")
    parser.add_argument("file", metavar="FILE", help="the texts")
    parser.add_argument(
        "--output", required=True, help="NAME.npy, NAME.jsonl, or a folder for the projector"
    )
    parser.add_argument("--text-column", default="text", help="of a file that is not .txt")
    add_encoder_options(parser)


def add_encoder_options(parser: Parser) -> None:
    """The options of `kbert embed` and `kbert similarity`."""
    from kbert.inference.settings import ComputeSettings, VectorSettings
    from kbert.settings import add_options

    for settings in (VectorSettings, ComputeSettings):
        add_options(parser, settings)


def text_encoder(args: Namespace) -> "TextEncoder":
    """The encoder that the options describe."""
    from kbert.inference.settings import ComputeSettings, VectorSettings
    from kbert.inference.text_encoder import load_text_encoder
    from kbert.settings import from_options

    vectors, compute = from_options(VectorSettings, args), from_options(ComputeSettings, args)
    return load_text_encoder(args.checkpoint, vectors, compute)


def run(args: Namespace) -> None:
    """Do what the arguments say."""
    import time

    from kbert.inference.vectors import read_texts, vectors_writer

    write = vectors_writer(args.output, inputs=[args.file])
    texts = read_texts(args.file, args.text_column)
    encoder = text_encoder(args)
    began = time.monotonic()
    vectors = encoder.encode(texts, progress=True)
    rate = len(texts) / (time.monotonic() - began)
    write(texts, vectors)
    count, width = vectors.shape
    print(f"{args.output}: {count:,} vectors of {width} numbers, {rate:,.0f} texts a second")


if __name__ == "__main__":
    sys.exit(run_command("embed", sys.argv[1:]))
