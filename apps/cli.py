"""The `kbert` command: `kbert COMMAND ...` runs apps/COMMAND.py.

`python -m apps.COMMAND ...` does the same. A command file has a docstring (its help),
`add_arguments(parser)` and `run(args)`. Heavy imports belong inside `run`, so that `--help` answers
at once.
"""

import argparse
import importlib
import sys

COMMANDS = {
    "vocabulary": "train a WordPiece vocabulary from text files",
    "prepare": "turn text files into a token store",
    "pretrain": "pre-train BERT on a token store",
    "inspect": "print a checkpoint's configuration and parameters",
    "convert": "between kbert, Hugging Face, Google and keras-hub",
    "embed": "vectors of texts",
    "similarity": "how alike two texts are",
    "fill-mask": "predict the words behind [MASK]",
    "finetune": "fine-tune a checkpoint on a task",
    "sweep": "fine-tune with every combination of settings, keep the best",
    "evaluate": "score a fine-tuned checkpoint on a file",
    "score": "score predictions by the official rules of SQuAD, CoNLL, GLUE",
    "judge": "score minimal pairs of sentences, as BLiMP has them",
    "predict": "answer files or standard input with a fine-tuned checkpoint",
    "export": "write a SavedModel that takes raw text",
    "serve": "answer HTTP requests from a SavedModel",
}
WITHOUT_TENSORFLOW = ("vocabulary", "score")


def module_of(command: str):
    return importlib.import_module("apps." + command.replace("-", "_"))


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns its exit code: 0, 1 for data, 2 for usage, 128 + a signal."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] in COMMANDS:
        return run_command(argv[0], argv[1:])
    parser = argparse.ArgumentParser(
        prog="kbert",
        description="BERT in Keras 3: from a folder of text to an answer over HTTP.",
        epilog="commands:\n" + "\n".join(f"  {name:<12}{text}" for name, text in COMMANDS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"kbert {version()}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="see below")
    parser.parse_args(argv[:1])  # Exits: no known command stands first.
    return 2


def version() -> str:
    from kbert import __version__

    return __version__


def run_command(name: str, argv: list[str]) -> int:
    """Parse the arguments of one command, run it, turn errors into sentences and exit codes."""
    from kbert.errors import DataError, Stopped, TrainingError, UsageError
    from kbert.tensorflow_start import import_tensorflow_quietly

    module = module_of(name)
    parser = argparse.ArgumentParser(
        prog=f"kbert {name}", description=module.__doc__, formatter_class=HelpFormatter
    )
    module.add_arguments(parser)
    args = parser.parse_args(argv)
    try:
        if name not in WITHOUT_TENSORFLOW:
            import_tensorflow_quietly()
        module.run(args)
    except UsageError as error:
        parser.error(str(error))
    except (DataError, TrainingError, OSError) as error:
        print(f"kbert {name}: error: {sentence(error)}", file=sys.stderr)
        return 1
    except Stopped as stop:
        print(f"kbert {name}: {stop}", file=sys.stderr)
        return 128 + stop.signal
    except KeyboardInterrupt:
        print(f"kbert {name}: interrupted.", file=sys.stderr)
        return 130
    return 0


def sentence(error: Exception) -> str:
    """An error as a sentence: an OSError's own text hides the file behind its number."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.strerror}: {error.filename}"
    return str(error)


def add_batch_arguments(parser, what: str) -> None:
    """The options of the commands that only compute: how much at once, in which precision."""
    parser.add_argument("--batch-size", type=int, default=64, help=f"{what} computed together")
    parser.add_argument(
        "--precision",
        choices=["float32", "bfloat16"],
        default="float32",
        help="bfloat16: weights too; faster where the processor multiplies in it, three digits",
    )


def print_bad_rows(summary: dict) -> None:
    """What `--skip-bad` counted; nothing without that option."""
    if "rows_bad" in summary:
        print(f"{summary['rows_bad']} bad rows")
        for message in summary["problems"]:
            print(f"  {message}")


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows real defaults, and keeps the lines of a command's docstring."""

    def _get_help_string(self, action):
        # No "(default: None)" or "(default: False)": they say nothing.
        if action.default in (None, False, argparse.SUPPRESS):
            return action.help
        return super()._get_help_string(action)


if __name__ == "__main__":
    sys.exit(main())
