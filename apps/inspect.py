"""Print a checkpoint's configuration and its parameters, by the formula and exactly.

    kbert inspect CHECKPOINT
    kbert inspect CHECKPOINT --plot weights.png
    kbert inspect EXPORT
    kbert inspect --preset base --vocabulary-size 30522
    kbert inspect --preset tiny --vocabulary-size 30522 --position rotary

Prints the configuration, the options of the tokenizer, the task, and a table

    layer               formula            exact
    embedding        23,440,896       23,837,184
    block_0           7,077,888        7,087,872
    ...
    pooler                               590,592
    encoder         108,375,552      109,482,240
    formula: 30,522 x 768 + 12 x 12 x 768^2, -1.0 % beside the exact count

`--plot` draws what the weights are (pip install "kbert[plots]"): the size of each part, deviations
and largest weights of each block, LayerNorms, the vectors of tokens and positions.

Of what `kbert export` wrote: the signatures, configuration, tokenizer, task, and size.
"""

import sys
from argparse import Namespace

from .cli import run_command
from .parsing import Parser


def add_arguments(parser: Parser) -> None:
    """Add what the command is given."""
    from kbert.model_settings import PublishedSize
    from kbert.settings import add_options

    parser.add_argument(
        "checkpoint", nargs="?", metavar="CHECKPOINT", help="a directory, or an export"
    )
    parser.add_argument(
        "--plot", metavar="FILE", help="draw a checkpoint's weights: .png, .svg or .pdf"
    )
    add_options(parser, PublishedSize)


def run(args: Namespace) -> None:
    """Do what the arguments say."""
    from kbert.checkpoints import inspection
    from kbert.checkpoints.weight_plots import plot_weights
    from kbert.errors import UsageError
    from kbert.figures import check_picture
    from kbert.model_settings import PublishedSize
    from kbert.serving.signature_defs import inspect_export
    from kbert.serving.versions import is_export
    from kbert.settings import from_options

    size = from_options(PublishedSize, args)
    if (args.checkpoint is None) == (size.preset is None):
        raise UsageError("Expected either a checkpoint or --preset.")
    exported = args.checkpoint is not None and is_export(args.checkpoint)
    if args.plot is not None:
        if exported or size.preset is not None:
            raise UsageError("--plot draws the weights of a checkpoint.")
        check_picture(args.plot)
    if exported:
        for title, values in inspect_export(args.checkpoint).items():
            _print_values(title, values)
        return
    if size.preset is not None:
        config, settings = size.config(), {}
        layers = inspection.count_encoder(config)
    else:
        config, settings, layers = inspection.inspect_checkpoint(args.checkpoint)
    for title, values in {"configuration": config.to_dict(), **settings}.items():
        _print_values(title, values)
    print(inspection.format_counts(config, layers))
    if args.plot is not None:
        plot_weights(args.plot, config, inspection.read_weights(args.checkpoint))
        print(f"\n{args.plot} shows the weights.")


def _print_values(title, values):
    print(title)
    for name, value in values.items():
        print(f"  {name:<22}{value}")
    print()


if __name__ == "__main__":
    sys.exit(run_command("inspect", sys.argv[1:]))
