"""Answer HTTP requests from what `kbert export` wrote.

    kbert serve saved_models/topics saved_models/names

Speaks TensorFlow Serving's REST, the Open Inference Protocol and, for encoders, OpenAI's
embeddings. Prints a request to try for each model, then a line for each request, until Ctrl-C or
SIGTERM, which finish what is held:

    topics, version 1: http://127.0.0.1:8501/v1/models/topics
    Try: curl -d '{"instances": [{"text": "..."}]}' http://127.0.0.1:8501/v1/...:predict

The newest version in a folder is served, and a newer one when it appears. A SavedModel is a
program: serve only what you trust.
"""

import sys


def add_arguments(parser):
    from kbert.serving.settings import ServerSettings
    from kbert.settings import add_options

    parser.add_argument(
        "directories", metavar="DIRECTORY", nargs="+", help="what `kbert export` wrote"
    )
    parser.add_argument("--name", help="of a single model in the paths (default: the folder's)")
    parser.add_argument(
        "--token-file", metavar="FILE", help="with the token that clients must send as a bearer"
    )
    add_options(parser, ServerSettings)


def run(args):
    import functools

    import joblib

    from kbert.serving.cores import divide_cores, limit_threads
    from kbert.serving.http.server import listening, serve, url_of
    from kbert.serving.models import Models, served_names
    from kbert.serving.predictor import Predictor
    from kbert.serving.settings import ServerSettings
    from kbert.settings import from_options

    settings = from_options(ServerSettings, args)
    folders = served_names(args.directories) if args.name is None else named(args)
    token = None if args.token_file is None else read_token(args.token_file)
    settings = divide_cores(settings, folders.values(), joblib.cpu_count())
    limit_threads(settings, folders.values())
    with listening(settings) as listener:
        threads = settings.threads_per_batch
        models = Models(folders, functools.partial(Predictor, threads=threads))
        print_invitation(models, url_of(listener), settings.page)
        serve(models, settings, listener, token)


def named(args):
    from kbert.errors import UsageError

    if len(args.directories) > 1 or not args.name or set(args.name) & set("/:"):
        raise UsageError("--name takes a name without / and : in it, for a single folder.")
    return {args.name: args.directories[0]}


def read_token(path):
    from kbert.errors import DataError

    with open(path, "rb") as file:
        words = file.read().split()
    if len(words) != 1 or not words[0].isascii():
        raise DataError(f"{path} must hold one token of ASCII characters.")
    return words[0].decode()


def print_invitation(models, url, page):
    import json
    import urllib.parse

    for name in models.names:
        predictor = models.get(name)
        path = f"{url}/v1/models/{urllib.parse.quote(name)}"
        body = json.dumps({"instances": [predictor.example_instance]})
        print(f"{name}, version {predictor.version}: {path}")
        print(f"Try: curl -d '{body}' {path}:predict", flush=True)
    if page:
        print(f"Page: {url}/", flush=True)


if __name__ == "__main__":
    from .cli import run_command

    sys.exit(run_command("serve", sys.argv[1:]))
