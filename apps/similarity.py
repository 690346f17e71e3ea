"""How alike two texts are: the cosine of their vectors.

    kbert similarity CHECKPOINT "A man plays the guitar." "Someone is making music."

Prints the cosine, from -1 to 1. The options are those of `kbert embed`.
"""

import sys
from argparse import Namespace

from .cli import run_command
from .parsing import Parser


def add_arguments(parser: Parser) -> None:
    """Add what the command is given."""
    from .embed import add_encoder_options

    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="any model with an encoder")
    parser.add_argument("first", metavar="A", help="a text")
    parser.add_argument("second", metavar="B", help="another")
    add_encoder_options(parser)


def run(args: Namespace) -> None:
    """Do what the arguments say."""
    import numpy as np

    from .embed import text_encoder

    first, second = text_encoder(args).encode([args.first, args.second])
    cosine = first @ second / (np.linalg.norm(first) * np.linalg.norm(second))
    print(f"{cosine:.4f}")


if __name__ == "__main__":
    sys.exit(run_command("similarity", sys.argv[1:]))
