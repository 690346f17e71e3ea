"""Perplexity of texts by a pre-trained model, or a masked LM's pseudo-perplexity.

    kbert perplexity CHECKPOINT held_out.txt
    kbert perplexity CHECKPOINT reviews.tsv --text-column review --output scores.json
    kbert perplexity CHECKPOINT chapters.txt --sequence-length 128

A .txt file holds a text on each line; TSV, CSV and JSON lines have a text column. A left-to-right
LM predicts each piece from those before it; a masked LM each from all others, one pass a piece. A
text that is longer than the model takes is cut into parts.
"""

import sys
from argparse import Namespace

from .cli import run_command
from .parsing import Parser


def add_arguments(parser: Parser) -> None:
    """Add what the command is given."""
    from kbert.inference.settings import PerplexitySettings
    from kbert.settings import add_options

    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a pre-trained model")
    parser.add_argument("file", metavar="FILE", help="the texts")
    parser.add_argument("--text-column", default="text", help="of a file that is not .txt")
    parser.add_argument("--output", metavar="FILE", help="where to write the numbers as JSON")
    add_options(parser, PerplexitySettings)


def run(args: Namespace) -> None:
    """Do what the arguments say."""
    import keras

    from kbert.checkpoints.formats import load_any
    from kbert.files import check_writable, write_json
    from kbert.inference.likelihood import perplexity
    from kbert.inference.settings import PerplexitySettings
    from kbert.inference.vectors import read_texts
    from kbert.settings import from_options

    if args.output is not None:
        check_writable(args.output, inputs=[args.file])
    texts = read_texts(args.file, args.text_column)
    settings = from_options(PerplexitySettings, args)
    keras.config.set_dtype_policy(settings.precision)
    found = perplexity(load_any(args.checkpoint), texts, "perplexity", settings.sequence_length)
    print(
        f"{found['measure']} {found['value']:.2f}: {found['loss']:.4f} nats a piece, "
        f"{found['pieces']:,} pieces of {found['texts']:,} texts, "
        f"{found['unknown']:,} [UNK] left out"
    )
    if args.output is not None:
        write_json(args.output, found)
        print(f"wrote {args.output}")


if __name__ == "__main__":
    sys.exit(run_command("perplexity", sys.argv[1:]))
