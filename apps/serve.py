"""Answer HTTP requests from what `kbert export` wrote, as TensorFlow Serving would.

    kbert serve saved_models/topics

Prints where it listens and a request to try, then a line for each request, until Ctrl-C:

    topics, version 1: http://127.0.0.1:8501/v1/models/topics
    Try: curl -d '{"instances": [{"text": "..."}]}' http://127.0.0.1:8501/v1/models/topics:predict

The newest version in the folder is served.
"""

import sys
from argparse import Namespace

from .cli import run_command
from .parsing import Parser


def add_arguments(parser: Parser) -> None:
    """Add what the command is given."""
    from kbert.serving.settings import ServingSettings
    from kbert.settings import add_options

    parser.add_argument("directory", metavar="DIRECTORY", help="what `kbert export` wrote")
    add_options(parser, ServingSettings)


def run(args: Namespace) -> None:
    """Do what the arguments say."""
    from kbert.serving.predictor import Predictor
    from kbert.serving.server import PredictionServer
    from kbert.serving.settings import ServingSettings
    from kbert.settings import from_options

    settings = from_options(ServingSettings, args)
    name = model_name(args.directory) if settings.name is None else settings.name
    predictor = Predictor(args.directory)
    # TensorFlow prepares the graph at its first call: a second that no client should wait for.
    example = predictor.example_instance
    predictor.predict([example])
    with PredictionServer(predictor, name, settings.host, settings.port) as server:
        _print_invitation(server, predictor, example)
        server.serve_forever()


def model_name(directory):
    """NAME of saved_models/NAME and of saved_models/NAME/VERSION."""
    import pathlib

    folder = pathlib.Path(directory).resolve()
    return folder.parent.name if folder.name.isdecimal() else folder.name


def _print_invitation(server, predictor, example):
    import json
    import urllib.parse

    name = urllib.parse.quote(server.name)
    url = f"http://{server.server_address[0]}:{server.server_port}/v1/models/{name}"
    body = json.dumps({"instances": [example]})
    print(f"{server.name}, version {predictor.version}: {url}")
    print(f"Try: curl -d '{body}' {url}:predict", flush=True)


if __name__ == "__main__":
    sys.exit(run_command("serve", sys.argv[1:]))
