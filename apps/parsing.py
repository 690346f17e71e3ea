"""How the arguments of commands are read, and how their help is laid out."""

import argparse
import os
import re
import sys


def restart_in_utf8() -> None:
    """Begin this process again in Python's UTF-8 mode where the locale knows ASCII alone.

    Otherwise a file could not be opened, nor a text be read, whose name or words are in another
    script (LC_ALL=C with PYTHONUTF8=0).
    """
    if sys.getfilesystemencoding() == "ascii" and os.environ.get("PYTHONUTF8") != "1":
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


# An option for someone else, whose names have no hyphen as ours have; its value would be a file.
_OTHER = re.compile(r"--[a-z]\w*(=.*)?", re.DOTALL)


class Parser(argparse.ArgumentParser):
    """argparse's, of which an option is given once and by its whole name.

    The last of `--train a.tsv --train b.tsv` would win and the first be lost; an abbreviation would
    mean something else as soon as there is another option.
    """

    def __init__(self, **options):
        # Options that a command has not are then `others` of its arguments, for it to pass on.
        self.passes_others_on = False
        super().__init__(formatter_class=_HelpFormatter, allow_abbrev=False, **options)
        self.register("action", None, _StoreOnce)
        self.register("action", "store", _StoreOnce)

    def parse_args(self, args=None, namespace=None):
        """Options may stand before, between and behind the files: argparse's own would take
        `CHECKPOINT --output OUT FILE` for a command without a file."""
        if self._subparsers is not None:
            return super().parse_args(args, namespace)
        if not self.passes_others_on:
            return self.parse_intermixed_args(args, namespace)
        found, others = self.parse_known_intermixed_args(args, namespace)
        if unknown := [text for text in others if not _OTHER.fullmatch(text)]:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        found.others = tuple(others)
        return found


class _StoreOnce(argparse._StoreAction):
    def __call__(self, parser, namespace, values, option_string=None):
        seen = namespace.__dict__.setdefault("_seen", set())
        if option_string is not None and self.dest in seen:
            parser.error(f"argument {option_string}: given twice. Expected it once.")
        seen.add(self.dest)
        super().__call__(parser, namespace, values, option_string)


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows real defaults, and keeps the lines of a command's docstring."""

    def _get_help_string(self, action):
        # No "(default: None)" or "(default: False)": they say nothing.
        if action.default in (None, False, argparse.SUPPRESS):
            return action.help
        return super()._get_help_string(action)
