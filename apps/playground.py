"""Try models on a page in the browser, straight from their checkpoints.

    kbert playground CHECKPOINT
    kbert playground saved_models/kbert-mini-en/checkpoint saved_models/topics

Takes checkpoints of any format, pre-trained or fine-tuned, and what `kbert export` wrote. Prints
where the page is, until Ctrl-C:

    Page: http://127.0.0.1:8501/

What a model is asked stays on this machine: only programs on it can reach the page, and the page
loads nothing from elsewhere. `kbert serve --page` shows the same page of what was exported.
"""

import sys
from argparse import Namespace

from .cli import run_command
from .parsing import Parser

# Those of a server's options that mean something to one person at one machine.
_OPTIONS = ("port", "log", "timeout_seconds")
# Contributions hold what each of their steps computes: batches of a server would be too large.
_BATCH_TOKENS = 1024


def add_arguments(parser: Parser) -> None:
    """Add what the command is given."""
    import dataclasses

    from kbert.serving.settings import ServerSettings
    from kbert.settings import add_options

    parser.add_argument(
        "models", metavar="MODEL", nargs="+", help="a checkpoint, or what `kbert export` wrote"
    )
    add_options(parser, [f for f in dataclasses.fields(ServerSettings) if f.name in _OPTIONS])


def run(args: Namespace) -> None:
    """Do what the arguments say."""
    from kbert.serving.checkpoint_or_export import load_served
    from kbert.serving.http.server import listening, serve, url_of
    from kbert.serving.models import Models, served_names
    from kbert.serving.settings import ServerSettings
    from kbert.settings import from_options

    settings = from_options(
        ServerSettings, args, page=True, max_batch_tokens=_BATCH_TOKENS, reload_seconds=0.0
    )
    with listening(settings) as listener:
        models = Models(served_names(args.models), load_served)
        print(f"Page: {url_of(listener)}/", flush=True)
        serve(models, settings, listener)


if __name__ == "__main__":
    sys.exit(run_command("playground", sys.argv[1:]))
