"""Go on with texts by a left-to-right language model.

    kbert generate CHECKPOINT "The history of the city" --tokens 40 --top-p 0.9 --seed 1
    kbert generate CHECKPOINT "The history of the city" "In 1912" --temperature 0
    kbert generate CHECKPOINT "The history of the city" --beams 4

Prints each text with what the model adds, a piece at a time. CHECKPOINT is what `kbert pretrain
--objective left-to-right` wrote: a masked LM sees both sides of a piece, and can say none without
what follows it.
"""

import sys
from argparse import Namespace

from .cli import run_command
from .parsing import Parser


def add_arguments(parser: Parser) -> None:
    """Add what the command is given."""
    from kbert.inference.settings import GenerationSettings, PrecisionSettings
    from kbert.settings import add_options

    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a left-to-right LM")
    parser.add_argument("texts", metavar="TEXT", nargs="+", help="what to go on with; may be ''")
    add_options(parser, GenerationSettings)
    add_options(parser, PrecisionSettings)
    parser.add_argument("--json", action="store_true", help="print JSON lines")


def run(args: Namespace) -> None:
    """Do what the arguments say."""
    import keras

    from kbert.checkpoints.formats import load_any
    from kbert.files import as_json
    from kbert.inference.generation import generate
    from kbert.inference.settings import GenerationSettings, PrecisionSettings
    from kbert.settings import from_options

    settings = from_options(GenerationSettings, args)
    keras.config.set_dtype_policy(from_options(PrecisionSettings, args).precision)
    found = generate(load_any(args.checkpoint), args.texts, settings)
    for prompt, text in zip(args.texts, found, strict=True):
        print(as_json({"prompt": prompt, "text": text}) if args.json else text)


if __name__ == "__main__":
    sys.exit(run_command("generate", sys.argv[1:]))
