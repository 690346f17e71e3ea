"""Every `kbert` command on a page, or in a docstring of a file, is one that its parser takes.

Whether it also runs is what the quickstart, the tutorial and the tests of commands show. Lines with
"..." or `TASK` in them are patterns, not commands.
"""

import ast
import functools
import re
import shlex

import pytest

from apps.cli import COMMANDS, module_of
from apps.parsing import Parser
from tests.conftest import ROOT

PAGES = [
    path
    for pattern in ("*.md", "docs/**/*.md", "saved_models/**/*.md", "apps/*.py", "kbert/**/*.py")
    for path in sorted(ROOT.glob(pattern))
]


def commands_of(path):
    """The arguments of each command in a block of code."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        text = "\n" + (ast.get_docstring(ast.parse(text)) or "")
    text = text.replace("\\\n", " ")
    for line in re.findall(r"^(?:    |\$ ).*$", text, re.MULTILINE):
        for command in re.findall(r"(?:^ {4}|^\$ |\$ |\| )kbert ((?:[^|#]|(?<=\S)#)+)", line):
            yield command.split(" > ")[0].split(" && ")[0].strip()


FOUND = [
    pytest.param(path, command, id=f"{path.relative_to(ROOT)}: {command[:60]}")
    for path in PAGES
    for command in commands_of(path)
    if "..." not in command and not re.search(r"\b(TASK|COMMAND)\b", command)
]


@functools.cache
def parser_of(name):
    parser = Parser(prog=f"kbert {name}")
    module_of(name).add_arguments(parser)
    return parser


@pytest.mark.parametrize(("path", "command"), FOUND)
def test_a_command_is_one_that_its_parser_takes(path, command, capsys):
    name, *arguments = shlex.split(command)
    assert name in (*COMMANDS, "help"), f"{path}: no command {name}"
    if name == "help":
        return
    try:
        parser_of(name).parse_args(arguments)
    except SystemExit as end:
        assert end.code == 0, f"{path}: kbert {command}\n{capsys.readouterr().err}"


def test_commands_are_found():
    names = {parameters.values[1].split()[0] for parameters in FOUND}
    assert names == set(COMMANDS)
