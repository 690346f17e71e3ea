"""Answer HTTP requests from what `kbert export` wrote, as TensorFlow Serving would.

    kbert serve saved_models/topics

Prints where it listens and a request to try, then a line for each request, until Ctrl-C:

    topics, version 1: http://127.0.0.1:8501/v1/models/topics
    Try: curl -d '{"instances": [{"text": "..."}]}' http://127.0.0.1:8501/v1/models/topics:predict

The newest version in the folder is served.
"""

import sys

from kbert.errors import DataError

MAX_PORT = 65535


def add_arguments(parser):
    parser.add_argument("directory", metavar="DIRECTORY", help="what `kbert export` wrote")
    parser.add_argument("--host", default="127.0.0.1", help="address; 0.0.0.0 for all of them")
    parser.add_argument("--port", type=int, default=8501, help="0 takes a free one")
    parser.add_argument("--name", help="of the model in the paths (default: the folder's name)")


def run(args):
    if not 0 <= args.port <= MAX_PORT:
        raise DataError(f"--port must be 0 to {MAX_PORT}. Received: {args.port}.")
    name = model_name(args.directory) if args.name is None else args.name
    if not name or set(name) & set("/:"):
        raise DataError(f"--name must be a name without / and : in it. Received: {name!r}.")
    from kbert.serving.instances import example_instance
    from kbert.serving.predictor import Predictor
    from kbert.serving.server import PredictionServer

    predictor = Predictor(args.directory)
    # TensorFlow prepares the graph at its first call: a second that no client should wait for.
    example = example_instance(predictor.fields)
    predictor.predict([example])
    with PredictionServer(predictor, name, args.host, args.port) as server:
        print_invitation(server, predictor, example)
        server.serve_forever()


def model_name(directory):
    """NAME of saved_models/NAME and of saved_models/NAME/VERSION."""
    import pathlib

    folder = pathlib.Path(directory).resolve()
    return folder.parent.name if folder.name.isdecimal() else folder.name


def print_invitation(server, predictor, example):
    import json
    import urllib.parse

    name = urllib.parse.quote(server.name)
    url = f"http://{server.server_address[0]}:{server.server_port}/v1/models/{name}"
    body = json.dumps({"instances": [example]})
    print(f"{server.name}, version {predictor.version}: {url}")
    print(f"Try: curl -d '{body}' {url}:predict", flush=True)


if __name__ == "__main__":
    from .cli import run_command

    sys.exit(run_command("serve", sys.argv[1:]))
