"""Judge minimal pairs: how often a pre-trained model finds the grammatical sentence likelier.

    kbert judge CHECKPOINT blimp.jsonl --output scores.json

PAIRS is a file of JSON lines, plain or .gz, .xz or .zst: {"good": "...", "bad": "..."}, maybe with
"paradigm" and "term"; BLiMP's own names are read too. Prints the share of right pairs by term;
--output has each paradigm's. A sentence's score is its log-likelihood by a left-to-right LM, by a
masked LM its pseudo-log-likelihood; ties are wrong. That favours the shorter of two sentences:
--length-exponent 0.5 divides by the square root of the number of tokens.
"""

import sys
from argparse import Namespace

from .cli import run_command
from .parsing import Parser


def add_arguments(parser: Parser) -> None:
    """Add what the command is given."""
    from kbert.inference.settings import PrecisionSettings
    from kbert.laboratory.settings import JudgeSettings
    from kbert.settings import add_options

    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a pre-trained model")
    parser.add_argument("pairs", metavar="PAIRS", help="the pairs, as JSON lines")
    parser.add_argument("--output", metavar="FILE", help="where to write the scores as JSON")
    add_options(parser, JudgeSettings)
    add_options(parser, PrecisionSettings)


def run(args: Namespace) -> None:
    """Do what the arguments say."""
    import keras

    from kbert.checkpoints.formats import load_any
    from kbert.files import check_writable, write_json
    from kbert.inference.settings import PrecisionSettings
    from kbert.laboratory.minimal_pairs import format_judgement, judge, read_pairs
    from kbert.laboratory.settings import JudgeSettings
    from kbert.settings import from_options

    if args.output is not None:
        check_writable(args.output, inputs=[args.pairs])
    settings = from_options(JudgeSettings, args)
    pairs = read_pairs(args.pairs, settings.limit)
    keras.config.set_dtype_policy(from_options(PrecisionSettings, args).precision)
    report = judge(load_any(args.checkpoint), pairs, settings.length_exponent, progress=True)
    print(format_judgement(report))
    if args.output is not None:
        write_json(args.output, report)
        print(f"wrote {args.output}")


if __name__ == "__main__":
    sys.exit(run_command("judge", sys.argv[1:]))
