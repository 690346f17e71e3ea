"""Write a SavedModel that takes raw text, for `kbert serve` or TensorFlow Serving.

    kbert export CHECKPOINT --output saved_models/topics

Prints

    saved_models/topics/1: text -> label, probabilities, score
    Serve it: kbert serve saved_models/topics

A checkpoint that is only pre-trained answers the likeliest pieces for each [MASK] (--top), or with
--answers embedding the vectors of texts; an encoder always these, pooled as its folder says.
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
    import json

    import keras

    from kbert.checkpoints.formats import load_any, pooling_of
    from kbert.serving.export import check_version, export_saved_model
    from kbert.serving.predictor import SIGNATURE, Predictor
    from kbert.serving.settings import ExportSettings
    from kbert.serving.signature_defs import example_request, read_signatures
    from kbert.settings import from_options

    settings = from_options(ExportSettings, args)
    # Before the model is loaded, which takes seconds.
    check_version(args.output, settings.version)
    # Weights have the type that they are computed in: nothing is cast at a call.
    keras.config.set_dtype_policy(settings.dtype)
    folder = export_saved_model(
        args.output,
        load_any(args.checkpoint),
        settings.version,
        settings.answers,
        settings.top,
        pooling_of(args.checkpoint),
    )
    predictor = Predictor(folder)
    outputs = ", ".join(predictor.outputs)
    print(f"{folder}: {', '.join(predictor.fields)} -> {outputs}")
    print(f"Serve it: kbert serve {args.output}")
    if settings.signature_example:
        print(json.dumps(example_request(read_signatures(folder)[SIGNATURE])))


if __name__ == "__main__":
    sys.exit(run_command("export", sys.argv[1:]))
