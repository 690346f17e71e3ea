"""Predict the words behind [MASK] with a pre-trained checkpoint, or what was exported of it.

    kbert fill-mask CHECKPOINT "Paris is the [MASK] of France."

Prints the likeliest pieces and their probabilities for each [MASK] of each text:

    Paris is the [MASK] of France.
      0.7120  capital         Paris is the capital of France.
      0.0581  centre          Paris is the centre of France.

--json prints a JSON object for each [MASK] instead.
"""

import sys
from argparse import Namespace

from .cli import run_command
from .parsing import Parser


def add_arguments(parser: Parser) -> None:
    """Add what the command is given."""
    from kbert.inference.settings import FillMaskSettings
    from kbert.settings import add_options

    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", help="what `kbert pretrain` wrote, or its export"
    )
    parser.add_argument("texts", metavar="TEXT", nargs="+", help="a text with [MASK] in it")
    add_options(parser, FillMaskSettings)
    parser.add_argument("--json", action="store_true", help="print JSON lines")


def run(args: Namespace) -> None:
    """Do what the arguments say."""
    from kbert.inference.fill_mask import fill_masks
    from kbert.inference.settings import FillMaskSettings
    from kbert.serving.checkpoint_or_export import load_mask_filler
    from kbert.settings import from_options

    top = from_options(FillMaskSettings, args).top
    filled = fill_masks(load_mask_filler(args.checkpoint, top), args.texts, top)
    show = _print_json if args.json else _print_table
    for text, masks in zip(args.texts, filled, strict=True):
        for number, candidates in enumerate(masks, 1):
            show(text, number, len(masks), candidates)


def _print_json(text, number, count, candidates):
    from kbert.files import as_json

    answer = {"text": text, "mask": number, "candidates": candidates}
    print(as_json(answer))


def _print_table(text, number, count, candidates):
    print(text if count == 1 else f"{text}  ([MASK] {number} of {count})")
    for candidate in candidates:
        print(f"  {candidate['score']:.4f}  {candidate['token']:<14}  {candidate['text']}")


if __name__ == "__main__":
    sys.exit(run_command("fill-mask", sys.argv[1:]))
