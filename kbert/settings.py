"""Settings: dataclass fields that say once what a value is: its type, default, bounds and meaning.

The only place that makes of a field an option of a command, a key in JSON and a row of the
documentation.

    @dataclasses.dataclass(frozen=True)
    class Recipe(Settings):
        epochs: int = setting(3, "times through the training rows", at_least=1)

    Recipe(epochs=0)                               DataError: epochs must be at least 1. ...
    Recipe.from_json({"epochs": "3"}, "run.json")  DataError: run.json: epochs must be a whole ...
    add_options(parser, Recipe)                    --epochs N; argparse exits with 2 for --epochs 0
    from_options(Recipe, parser.parse_args())      what the options say, else the fields' defaults

The annotation is the type: bool, int, float, str, `tuple[int, ...]`, `Mapping[str, float]`, and
several with `|` between them. A field without `setting` is checked and is in JSON, but no option.
"""

import argparse
import collections.abc
import dataclasses
import math
import numbers
import os
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from kbert.errors import DataError, UsageError

MISSING = dataclasses.MISSING
_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    os.PathLike: "a path",
    type(None): "null",
}


class _Bounds(NamedTuple):
    """Of a number; None for an end that is open."""

    at_least: float | None
    above: float | None
    at_most: float | None
    below: float | None

    def hold(self, number: float) -> bool:
        return (
            (self.at_least is None or number >= self.at_least)
            and (self.above is None or number > self.above)
            and (self.at_most is None or number <= self.at_most)
            and (self.below is None or number < self.below)
        )

    def __str__(self):
        low = self.at_least if self.above is None else self.above
        high = self.at_most if self.below is None else self.below
        if high is None:
            return f"at least {low}" if self.above is None else f"above {low}"
        if low is None:
            return f"at most {high}" if self.below is None else f"below {high}"
        ends = "[" if self.above is None else "(", "]" if self.below is None else ")"
        return f"in {ends[0]}{low}, {high}{ends[1]}"


def setting(
    default: Any,
    text: str,
    *,
    unset: str | None = None,
    choices: Collection[str] | None = None,
    group: str | None = None,
    metavar: str | None = None,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
) -> Any:
    """A field that is an option of a command.

    Args:
        default: in Python and for the command alike; `MISSING` for one that must be given.
        text: what it means, for `--help` and the documentation.
        unset: what the default stands for, in words, where its value does not say that.
        choices: the texts that are allowed.
        group: title under which `--help` lists it.
        metavar: what stands for the value in `--help`.
        at_least, above, at_most, below: bounds of a number, or of each number of a tuple.
    """
    metadata = {
        "help": text,
        "unset": unset,
        "choices": None if choices is None else tuple(choices),
        "group": group,
        "metavar": metavar,
        "bounds": _Bounds(at_least, above, at_most, below),
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Base of dataclasses of settings: every value is checked, however it comes in.

    Raises `DataError`, which names the field, for a value of another type, out of bounds or none of
    the choices. A subclass with a `__post_init__` for what relates several fields calls this one.
    """

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            wanted = _wanted(field, value)
            if wanted is not None:
                raise DataError(f"{field.name} must be {wanted}. Received: {value!r}.")

    def check_unset(self, *names: str, needs: str) -> None:
        """Raise `DataError` for one of these fields that is not as by default: without what it
        needs, nothing reads it."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in names and value != field.default:
                raise DataError(f"{field.name} needs {needs}. Received: {value!r} without.")

    def to_json(self) -> dict:
        """What `from_json` reads, with lists for tuples as in a file."""
        values = dataclasses.asdict(self).items()
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values}

    @classmethod
    def from_json(cls, values: Mapping, where: str) -> typing.Self:
        """The settings in a JSON object; what it lacks is the field's default.

        Raises `DataError`, which begins with `where` and names the key, for a key that no field
        has, and for a value that the field does not take.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - set(fields))
        if unknown:
            raise DataError(
                f"{where}: unknown settings {', '.join(unknown)}. Expected: {', '.join(fields)}."
            )
        lacking = [f.name for f in fields.values() if f.default is MISSING and f.name not in values]
        if lacking:
            raise DataError(f"{where}: expected settings {', '.join(lacking)}. There are none.")
        try:
            return cls(**{name: _from_json(value, fields[name]) for name, value in values.items()})
        except DataError as error:
            raise DataError(f"{where}: {error}") from error


Source = type[Settings] | Iterable[dataclasses.Field]
_Settings = typing.TypeVar("_Settings", bound=Settings)


def add_options(
    parser: argparse.ArgumentParser,
    source: Source,
    *,
    without: Collection[str] = (),
    choices: Mapping[str, Sequence[str]] | None = None,
    unset: str | None = None,
) -> None:
    """Add an option for each field, in the groups that the fields name.

    What is not given does not appear in argparse's namespace: the fields' defaults count.

    Args:
        source: a class of settings, or fields.
        without: names of fields that are no options here.
        choices: name of a field -> those of its choices that are allowed here.
        unset: what stands for the values that are not given, in words, instead of the defaults.
    """
    groups = {group.title: group for group in parser._action_groups}
    for field in _options(source):
        if field.name in without:
            continue
        title = field.metadata["group"]
        if title is not None and title not in groups:
            groups[title] = parser.add_argument_group(title)
        own = (choices or {}).get(field.name)
        group = parser if title is None else groups[title]
        group.add_argument(option_name(field.name), **_argument(field, own, unset))


def given_options(source: Source, args: argparse.Namespace) -> dict[str, Any]:
    """Name of a field -> its value, of the options that were given."""
    names = [field.name for field in _options(source)]
    found = {name: getattr(args, name) for name in names if hasattr(args, name)}
    return {name: tuple(v) if isinstance(v, list) else v for name, v in found.items()}


def from_options(
    settings: type[_Settings],
    args: argparse.Namespace,
    defaults: Mapping[str, Any] | None = None,
    **known,
) -> _Settings:
    """The settings that the options describe.

    Args:
        defaults: what counts, of the names that are fields, where an option is not given.
        known: values that are not asked of the options.

    Raises `UsageError` for options that do not go together.
    """
    names = {field.name for field in dataclasses.fields(settings)}
    values = {name: value for name, value in (defaults or {}).items() if name in names}
    try:
        return settings(**(values | given_options(settings, args) | known))
    except DataError as error:
        raise UsageError(str(error)) from error


def as_options(settings: "Settings") -> list[str]:
    """The options that make these settings: of the values that are no defaults."""
    words: list[str] = []
    for field in _options(type(settings)):
        value = getattr(settings, field.name)
        if value == field.default or value is None:
            continue
        name = option_name(field.name)
        if isinstance(value, bool):
            words.append(name if value else f"--no-{name[2:]}")
        else:
            words += [name, *map(str, value if isinstance(value, tuple) else (value,))]
    return words


def option_name(field_name: str) -> str:
    """`batch_size` -> `--batch-size`."""
    return "--" + field_name.replace("_", "-")


def options_table(source: Source) -> str:
    """The options as a Markdown table: name, default, meaning."""
    lines = ["| option | default | meaning |", "| --- | --- | --- |"]
    for field in _options(source):
        text = field.metadata["help"]
        if field.metadata["choices"] is not None:
            text += f" ({', '.join(field.metadata['choices'])})"
        lines.append(f"| `{option_name(field.name)}` | {_shown_default(field)} | {text} |")
    return "\n".join(lines)


def _options(source: Source) -> list[dataclasses.Field]:
    """The fields that are options."""
    fields = dataclasses.fields(source) if isinstance(source, type) else source
    return [field for field in fields if "help" in field.metadata]


def _argument(
    field: dataclasses.Field, choices: Sequence[str] | None, unset: str | None
) -> dict[str, Any]:
    """What argparse is told of a field."""
    metadata, default = field.metadata, field.default
    shown = unset
    if shown is None and default is not MISSING:
        shown = _shown_default(field)
    text = metadata["help"] + ("" if shown is None else f" (default: {shown})")
    argument = {"help": text.replace("%", "%%"), "default": argparse.SUPPRESS}
    if default is MISSING:
        argument["required"] = True
    kind, several = _option_type(field.type)
    if kind is bool:
        both = default is not False or unset is not None
        return argument | {"action": argparse.BooleanOptionalAction if both else "store_true"}
    choices = choices or metadata["choices"]
    argument["type"] = _parse(field, kind, several, choices)
    argument["metavar"] = metadata["metavar"] or ("TEXT" if kind is str else "N")
    if choices is not None:
        argument["metavar"] = "{" + ",".join(choices) + "}"
    return argument | ({"nargs": "+"} if several else {})


def _parse(
    field: dataclasses.Field, kind: type, several: bool, choices: Sequence[str] | None
) -> Callable[[str], Any]:
    """From the text of an option to its value, for argparse, which exits with 2 at its error."""

    def parse(text: str) -> Any:
        try:
            value = kind(text)
            wanted = _wanted(field, (value,) if several else value)
            if choices is not None and value not in choices:
                wanted = f"one of {', '.join(choices)}"
        except ValueError:
            wanted = _WORDS[kind]
        if wanted is not None:
            raise argparse.ArgumentTypeError(f"must be {wanted}. Received: {text}.")
        return value

    return parse


def _option_type(hint: Any) -> tuple[type, bool]:
    """The type of an option's text, and whether there are several: of `tuple[int, ...]`, int."""
    alternatives = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for alternative in alternatives:
        if typing.get_origin(alternative) is tuple:
            return typing.get_args(alternative)[0], True
        if alternative in (bool, int, float, str):
            return alternative, False
    raise TypeError(f"No option can be of type {hint}.")


def _shown_default(field: dataclasses.Field) -> str:
    if field.metadata["unset"] is not None:
        return field.metadata["unset"]
    if isinstance(field.default, bool):
        return "on" if field.default else "off"
    if isinstance(field.default, tuple):
        return " ".join(map(str, field.default))
    return str(field.default)


def _wanted(field: dataclasses.Field, value: Any) -> str | None:
    """What the value should be and is not, in words; None for a value that is right."""
    if not _is(value, field.type):
        return _in_words(field.type)
    for item in value if isinstance(value, tuple) else (value,):
        if isinstance(item, numbers.Real) and not isinstance(item, bool):
            if not _is_finite(item):
                return "a finite number"
            bounds = field.metadata.get("bounds")
            if bounds is not None and not bounds.hold(item):
                return str(bounds)
        choices = field.metadata.get("choices")
        if choices is not None and isinstance(item, str) and item not in choices:
            return f"one of {', '.join(choices)}"
    return None


def _is(value: Any, hint: Any) -> bool:
    """Whether a value is of the type that an annotation says."""
    if isinstance(hint, types.UnionType):
        return any(_is(value, alternative) for alternative in typing.get_args(hint))
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return isinstance(value, tuple) and all(_is(item, arguments[0]) for item in value)
    if origin is collections.abc.Mapping:
        return isinstance(value, Mapping) and all(
            _is(key, arguments[0]) and _is(item, arguments[1]) for key, item in value.items()
        )
    # A bool is an int in Python, and an int a float in all but name.
    number = {int: numbers.Integral, float: numbers.Real}.get(hint)
    if number is not None:
        return isinstance(value, number) and not isinstance(value, bool)
    return isinstance(value, hint)


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # A whole number of hundreds of digits, as JSON may have.
        return False


def _in_words(hint: Any) -> str:
    if isinstance(hint, types.UnionType):
        return " or ".join(map(_in_words, typing.get_args(hint)))
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return f"a list, each {_in_words(arguments[0])}"
    if origin is collections.abc.Mapping:
        return f"an object, each value {_in_words(arguments[1])}"
    return _WORDS[hint]


def _from_json(value: Any, field: dataclasses.Field) -> Any:
    """A value of JSON, which has no tuples, and writes 1.0 as 1 at times."""
    kinds = (
        typing.get_args(field.type) if isinstance(field.type, types.UnionType) else (field.type,)
    )
    if isinstance(value, list):
        return tuple(value)
    if type(value) is int and float in kinds and int not in kinds and _is_finite(value):
        return float(value)
    return value
