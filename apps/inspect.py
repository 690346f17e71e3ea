"""Print a checkpoint's configuration and its parameters, by the formula and exactly.

    kbert inspect CHECKPOINT
    kbert inspect --preset base --vocabulary-size 30522

Prints the configuration, the options of the tokenizer, the task, and a table

    layer               formula            exact
    embedding        23,440,896       23,837,184
    block_0           7,077,888        7,087,872
    ...
    pooler                               590,592
    encoder         108,375,552      109,482,240
    formula: 30,522 x 768 + 12 x 12 x 768^2, -1.0 % beside the exact count
"""

import sys

from kbert.config import PRESETS, BertConfig
from kbert.errors import DataError


def add_arguments(parser):
    parser.add_argument("checkpoint", nargs="?", metavar="CHECKPOINT", help="a directory")
    parser.add_argument("--preset", choices=PRESETS, help="a published size, without a checkpoint")
    parser.add_argument(
        "--vocabulary-size", type=int, metavar="N", help="pieces of the preset's vocabulary"
    )


def run(args):
    if (args.checkpoint is None) == (args.preset is None):
        raise DataError("Expected either a checkpoint or --preset.")
    if (args.preset is None) != (args.vocabulary_size is None):
        raise DataError("--preset and --vocabulary-size belong together.")
    if args.vocabulary_size is not None and args.vocabulary_size < 1:
        raise DataError(f"--vocabulary-size must be at least 1. Received: {args.vocabulary_size}.")
    from kbert.checkpoints import inspection

    if args.preset is not None:
        config, settings = BertConfig.preset(args.preset, args.vocabulary_size), {}
        layers = inspection.count_encoder(config)
    else:
        config, settings, layers = inspection.inspect_checkpoint(args.checkpoint)
    for title, values in {"configuration": config.to_dict(), **settings}.items():
        print_values(title, values)
    print(inspection.format_counts(config, layers))


def print_values(title, values):
    print(title)
    for name, value in values.items():
        print(f"  {name:<22}{value}")
    print()


if __name__ == "__main__":
    from .cli import run_command

    sys.exit(run_command("inspect", sys.argv[1:]))
