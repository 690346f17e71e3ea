"""The `kbert` command: `kbert COMMAND ...` runs apps/COMMAND.py.

`python -m apps.COMMAND ...` does the same. A command file has a docstring (its help),
`add_arguments(parser)` and `run(args)`. Heavy imports belong inside `run`, so that `--help` answers
at once.
"""

import importlib
import sys

from .ending import exit_code
from .parsing import Parser, restart_in_utf8

COMMANDS = {
    "vocabulary": "train a WordPiece vocabulary from text files",
    "prepare": "turn text files into a token store",
    "new": "write an encoder of random weights: a Transformer, LSTMs, convolutions, a bag",
    "plan": "what a pre-training run would take, before it is run",
    "pretrain": "pre-train BERT on a token store",
    "inspect": "print a checkpoint's configuration and parameters",
    "convert": "between kbert, Hugging Face, Google and keras-hub",
    "embed": "vectors of texts",
    "similarity": "how alike two texts are",
    "fill-mask": "predict the words behind [MASK]",
    "finetune": "fine-tune a checkpoint on a task",
    "sweep": "fine-tune with every combination of settings, keep the best",
    "ensemble": "several fine-tuned checkpoints as one, which averages their answers",
    "evaluate": "score a fine-tuned checkpoint on a file",
    "score": "score predictions by the official rules of SQuAD, CoNLL, GLUE",
    "ablate": "compare pre-trained variants on tasks, with intervals",
    "perplexity": "of texts by a language model, a masked LM's pseudo-perplexity",
    "generate": "go on with a text by a left-to-right language model",
    "judge": "score minimal pairs of sentences, as BLiMP has them",
    "predict": "answer files or standard input with a fine-tuned checkpoint",
    "export": "write a SavedModel that takes raw text",
    "serve": "answer HTTP requests from a SavedModel",
    "playground": "try models on a page in the browser",
}
# They compute nothing, or import what a model needs when they know the model.
WITHOUT_KERAS = ("vocabulary", "plan", "score", "predict", "fill-mask", "serve")


def module_of(command: str):
    return importlib.import_module("." + command.replace("-", "_"), __package__)


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns its exit code: 0, 1 for data, 2 for usage, or 128 + a signal."""
    if argv is None:
        restart_in_utf8()
        argv = sys.argv[1:]
    if argv[:1] == ["help"]:
        argv = [*argv[1:], "--help"]
    if argv and argv[0] in COMMANDS:
        return run_command(argv[0], argv[1:])
    parser = Parser(
        prog="kbert",
        description="BERT in Keras 3: from a folder of text to an answer over HTTP.",
        epilog="commands:\n"
        + "\n".join(f"  {name:<12}{text}" for name, text in COMMANDS.items())
        + "\n\nkbert COMMAND --help, or kbert help COMMAND, lists the options of a command.",
    )
    parser.add_argument("--version", action="version", version=f"kbert {version()}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="see below")
    parser.parse_args(argv[:1])  # Exits: no known command stands first.
    return 2


def version() -> str:
    from kbert import __version__

    return __version__


def run_command(name: str, argv: list[str]) -> int:
    """Parse the arguments of one command and run it. Returns its exit code."""
    from kbert.tensorflow_start import start_backend

    module = module_of(name)
    parser = Parser(prog=f"kbert {name}", description=module.__doc__)
    module.add_arguments(parser)
    args = parser.parse_args(argv)

    def run():
        if name not in WITHOUT_KERAS:
            start_backend()
        module.run(args)

    return exit_code(parser, run)


if __name__ == "__main__":
    sys.exit(main())
