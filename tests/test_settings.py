"""One field: checked in Python, as an option, in JSON; shown in help and in the documentation."""

import argparse
import dataclasses
import json
import os
from collections.abc import Mapping

import pytest

from kbert.errors import DataError, UsageError
from kbert.settings import (
    MISSING,
    Settings,
    add_options,
    from_options,
    given_options,
    options_table,
    setting,
)


@dataclasses.dataclass(frozen=True)
class Recipe(Settings):
    steps: int = setting(3, "how many", at_least=1)
    rate: float = setting(0.5, "how fast", above=0, at_most=1)
    share: float = setting(0.1, "how much (100 % is all)", at_least=0, below=1)
    layers: tuple[int, ...] = setting((-1,), "which", group="several")
    limit: int | None = setting(None, "of rows", unset="all", at_least=1)
    kind: str = setting("plain", "what", choices=("plain", "fancy"))
    folder: str | os.PathLike | None = setting(None, "where", unset="nowhere", metavar="FOLDER")
    fast: bool = setting(False, "hurry")
    tidy: bool = setting(True, "clean up")
    weights: str | Mapping[str, float] | None = setting(
        None, "of labels", unset="all 1", choices=("balanced",)
    )
    labels: tuple[str, ...] = ()

    def __post_init__(self):
        super().__post_init__()
        if self.fast and self.limit is not None:
            raise DataError("fast must have no limit.")


WRONG = [
    ("steps", 0, "at least 1"),
    ("steps", "3", "a whole number"),
    ("steps", True, "a whole number"),
    ("steps", 1.5, "a whole number"),
    ("steps", 10**400, "a finite number"),
    ("steps", None, "a whole number"),
    ("rate", 0, r"in \(0, 1\]"),
    ("rate", 1.5, r"in \(0, 1\]"),
    ("rate", float("nan"), "a finite number"),
    ("rate", 10**400, "a finite number"),
    ("share", 1.0, r"in \[0, 1\)"),
    ("share", -0.1, r"in \[0, 1\)"),
    ("layers", ("1",), "a list, each a whole number"),
    ("layers", 1, "a list, each a whole number"),
    ("limit", 0, "at least 1"),
    ("limit", "all", "a whole number or null"),
    ("kind", "odd", "one of plain, fancy"),
    ("kind", ["plain"], "text"),
    ("fast", 1, "true or false"),
    ("weights", {"a": "b"}, "text or an object, each value a number or null"),
    ("weights", "odd", "one of balanced"),
    ("labels", (1, 2), "a list, each text"),
]


@pytest.mark.parametrize(("name", "value", "expected"), WRONG)
def test_a_wrong_value_is_named_in_python_and_in_json(name, value, expected):
    with pytest.raises(DataError, match=f"^{name} must be {expected}. Received: "):
        Recipe(**{name: value})
    with pytest.raises(DataError, match=f"^run.json: {name} must be {expected}. Received: "):
        Recipe.from_json({name: value}, "run.json")


def test_json_and_back():
    recipe = Recipe(layers=(1, 2), weights={"a": 2.0}, labels=("x", "y"), limit=3)
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json())), "run.json") == recipe
    assert Recipe.from_json({}, "run.json") == Recipe()
    one = Recipe.from_json({"rate": 1}, "run.json").rate
    assert (one, type(one)) == (1.0, float)


def test_unknown_and_missing_keys_are_named():
    with pytest.raises(DataError, match="run.json: unknown settings odd, other. Expected: steps, "):
        Recipe.from_json({"steps": 1, "other": 2, "odd": 3}, "run.json")

    @dataclasses.dataclass(frozen=True)
    class Sized(Settings):
        size: int = setting(MISSING, "of all", at_least=1)

    with pytest.raises(DataError, match="run.json: expected settings size. There are none."):
        Sized.from_json({}, "run.json")
    parser = argparse.ArgumentParser()
    add_options(parser, Sized)
    assert from_options(Sized, parser.parse_args(["--size", "2"])) == Sized(2)


def test_what_relates_fields_is_checked_everywhere():
    with pytest.raises(DataError, match="^fast must have no limit.$"):
        Recipe(fast=True, limit=1)
    with pytest.raises(DataError, match="^run.json: fast must have no limit.$"):
        Recipe.from_json({"fast": True, "limit": 1}, "run.json")
    with pytest.raises(UsageError, match="^fast must have no limit.$"):
        parsed("--fast", "--limit", "1")


def parser_of(**options):
    parser = argparse.ArgumentParser(prog="it")
    add_options(parser, Recipe, **options)
    return parser


def parsed(*argv):
    return from_options(Recipe, parser_of().parse_args(argv))


def test_options_are_fields():
    assert parsed() == Recipe()
    given = parsed(
        *("--steps 7 --rate 1 --share 0 --layers 1 -2 --limit 5 --kind fancy").split(),
        *("--folder a/b --no-tidy --weights balanced").split(),
    )
    assert given == Recipe(7, 1.0, 0.0, (1, -2), 5, "fancy", "a/b", False, False, "balanced")


def test_only_what_is_given_counts():
    args = parser_of().parse_args(["--layers", "4"])
    assert given_options(Recipe, args) == {"layers": (4,)}
    assert from_options(Recipe, args, steps=9) == Recipe(steps=9, layers=(4,))


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ("--steps 0", "--steps: must be at least 1. Received: 0."),
        ("--steps x", "--steps: must be a whole number. Received: x."),
        ("--rate nan", "--rate: must be a finite number. Received: nan."),
        ("--share 1", "--share: must be in [0, 1). Received: 1."),
        ("--limit -1", "--limit: must be at least 1. Received: -1."),
        ("--kind odd", "--kind: must be one of plain, fancy. Received: odd."),
        ("--layers 1 x", "--layers: must be a whole number. Received: x."),
    ],
)
def test_a_wrong_option_is_a_wrong_usage(argv, expected, capsys):
    with pytest.raises(SystemExit) as stop:
        parser_of().parse_args(argv.split())
    assert stop.value.code == 2
    assert f"it: error: argument {expected}\n" in capsys.readouterr().err


def test_help_says_every_default():
    text = " ".join(parser_of().format_help().split())
    for line in (
        "--steps N how many (default: 3)",
        "--share N how much (100 % is all) (default: 0.1)",
        "--layers N [N ...] which (default: -1)",
        "--limit N of rows (default: all)",
        "--kind {plain,fancy} what (default: plain)",
        "--folder FOLDER where (default: nowhere)",
        "--fast hurry (default: off)",
        "--tidy, --no-tidy clean up (default: on)",
    ):
        assert line in text
    assert "--labels" not in text and "several: --layers" in text


def test_fewer_choices_and_other_defaults():
    text = parser_of(choices={"folder": ("a", "b")}, without=["steps"]).format_help()
    assert "--folder {a,b}" in text and "--steps" not in text
    text = " ".join(parser_of(unset="training's").format_help().split())
    assert "how many (default: training's)" in text
    assert "--fast, --no-fast" in text


def test_the_documentations_table():
    lines = options_table(Recipe).splitlines()
    assert lines[:3] == [
        "| option | default | meaning |",
        "| --- | --- | --- |",
        "| `--steps` | 3 | how many |",
    ]
    assert "| `--kind` | plain | what (plain, fancy) |" in lines
    assert len(lines) == 2 + len(dataclasses.fields(Recipe)) - 1
