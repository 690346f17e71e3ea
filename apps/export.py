"""Write a SavedModel that takes raw text, for `kbert serve` or TensorFlow Serving, or an ONNX file.

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
    from kbert.serving.export_any import export
    from kbert.serving.settings import ExportSettings
    from kbert.settings import from_options

    settings = from_options(ExportSettings, args)
    folder = export(args.output, args.checkpoint, settings)
    _report(folder, args.output, settings)


def _report(folder, output, settings):
    import json

    from kbert.serving.predictor import Predictor

    predictor = Predictor(folder)
    print(f"{folder}: {', '.join(predictor.fields)} -> {', '.join(predictor.outputs)}")
    print(f"Serve it: kbert serve {output}")
    if settings.signature_example:
        from kbert.serving.signature_defs import SIGNATURE, example_request, read_signatures

        print(json.dumps(example_request(read_signatures(folder)[SIGNATURE])))


if __name__ == "__main__":
    sys.exit(run_command("export", sys.argv[1:]))
