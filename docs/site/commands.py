"""A page for each command, from its docstring and its parser."""

import argparse
import pathlib

from apps.cli import COMMANDS, module_of
from apps.parsing import Parser


def write_commands(folder: pathlib.Path) -> None:
    """Write NAME.md for each command, and index.md with a line for each."""
    folder.mkdir(parents=True)
    lines = ["# Commands\n", "| | |", "| --- | --- |"]
    for name, summary in COMMANDS.items():
        (folder / f"{name}.md").write_text(_page(name), encoding="utf-8")
        lines.append(f"| [kbert {name}]({name}.md) | {summary} |")
    lines.append("\n```{toctree}\n:hidden:\n\n" + "\n".join(COMMANDS) + "\n```")
    (folder / "index.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _page(name: str) -> str:
    module = module_of(name)
    parser = Parser(prog=f"kbert {name}")
    module.add_arguments(parser)
    return "\n".join([f"# kbert {name}\n", f"{module.__doc__.strip()}\n", *_arguments(parser, 2)])


def _arguments(parser: argparse.ArgumentParser, level: int) -> list[str]:
    """Tables of a parser's arguments, a heading for each group; then those of its subcommands."""
    lines = []
    for group in parser._action_groups:
        rows = [_row(action) for action in group._group_actions if _is_shown(action)]
        if rows:
            title = group.title[:1].upper() + group.title[1:]
            lines += [f"{'#' * level} {title}\n", "| | |", "| --- | --- |", *rows, ""]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, own in action.choices.items():
                lines += [f"{'#' * level} {parser.prog} {name}\n", f"{own.description}\n"]
                lines += _arguments(own, level + 1)
    return lines


def _is_shown(action: argparse.Action) -> bool:
    return not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)


def _row(action: argparse.Action) -> str:
    words = action.option_strings or [action.metavar or action.dest]
    if action.option_strings and action.nargs != 0:
        metavar = action.metavar or action.dest.upper()
        several = f"{metavar} ..." if action.nargs == "+" else metavar
        words = [f"{word} {several}" for word in words]
    text = (action.help or "").replace("%%", "%")
    default = action.default
    if default not in (None, False, argparse.SUPPRESS) and "default" not in text:
        text += f" (default: {default})"
    name = ", ".join(f"`{word}`" for word in words)
    return f"| {name} | {text} |"
