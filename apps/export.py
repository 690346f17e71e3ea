"""Write a SavedModel that takes raw text, for `kbert serve` or TensorFlow Serving.

    kbert export CHECKPOINT --output saved_models/topics

Prints

    saved_models/topics/1: text -> label, probabilities, score
    Serve it: kbert serve saved_models/topics

Of a checkpoint that is only pre-trained the encoder is exported.
"""

import sys
from argparse import Namespace

from .cli import run_command
from .parsing import Parser


def add_arguments(parser: Parser) -> None:
    """Add what the command is given."""
    from kbert.serving.settings import ExportSettings
    from kbert.settings import add_options

    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a checkpoint directory")
    parser.add_argument(
        "--output", required=True, metavar="FOLDER", help="the version becomes a folder in it"
    )
    add_options(parser, ExportSettings)


def run(args: Namespace) -> None:
    """Do what the arguments say."""
    from kbert.checkpoints.formats import load_any
    from kbert.serving.export import check_version, export_saved_model
    from kbert.serving.predictor import Predictor
    from kbert.serving.settings import ExportSettings
    from kbert.settings import from_options

    version = from_options(ExportSettings, args).version
    # Before the model is loaded, which takes seconds.
    check_version(args.output, version)
    folder = export_saved_model(args.output, load_any(args.checkpoint), version)
    predictor = Predictor(folder)
    outputs = ", ".join(predictor.outputs)
    print(f"{folder}: {', '.join(predictor.fields)} -> {outputs}")
    print(f"Serve it: kbert serve {args.output}")


if __name__ == "__main__":
    sys.exit(run_command("export", sys.argv[1:]))
