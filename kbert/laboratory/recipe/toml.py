"""TOML with places: an error in a table names the file, the line and what was expected."""

import dataclasses
import os
import pathlib
import string
import tomllib
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from kbert.errors import DataError
from kbert.settings import Settings

_Settings = TypeVar("_Settings", bound=Settings)
Keys = tuple[str, ...]
# Name of a value -> the value and where it stands.
Placed = dict[str, tuple[Any, Keys]]


class TomlFile:
    """A file of TOML. Raises `DataError` for one that cannot be read.

    Attributes:
        path: of the file; paths in it are relative to its folder.
        values: what it holds.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)
        try:
            self._text = self.path.read_text(encoding="utf-8-sig")
            self.values = tomllib.loads(self._text)
        except OSError as error:
            raise DataError(f"{path} must be a TOML file: {error.strerror}.") from error
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path} must be a TOML file: {error}.") from error

    def error(self, keys: Keys, message: str) -> DataError:
        """An error about the value under these keys, one in another."""
        return DataError(f"{self.path}, line {self._line(keys)}: {message}")

    def table(self, keys: Keys, allowed: Collection[str] | None = None) -> dict:
        """The table under these keys; an empty one where there is none.

        Raises `DataError` for what is no table, and for a key that is not `allowed`.
        """
        found = _under(self.values, keys)
        if found is None:
            return {}
        if not isinstance(found, dict):
            raise self.error(keys, f"{'.'.join(keys)} must be a table. Received: {found!r}.")
        for name in found:
            if allowed is not None and name not in allowed:
                place = f" in [{'.'.join(keys)}]" if keys else ""
                expected = ", ".join(sorted(allowed))
                raise self.error(
                    (*keys, name), f"unknown key {name!r}{place}. Expected one of: {expected}."
                )
        return found

    def merged(self, *tables: Keys) -> Placed:
        """The values of tables, of which later ones count more."""
        values: Placed = {}
        for keys in tables:
            values |= placed(self.table(keys), keys)
        return values

    def settings(self, kind: type[_Settings], placed: Placed, where: Keys) -> _Settings:
        """The settings in those values that are its fields.

        Args:
            where: of the error where no single value is wrong.
        """
        plain = {name: value for name, (value, _) in placed.items()}
        try:
            return kind.from_json(plain, "")
        except DataError as error:
            message = str(error).removeprefix(": ")
            name = message.split(" ", 1)[0]  # Settings begin with the name of the field.
            raise self.error(placed[name][1] if name in placed else where, message) from error

    def file(self, text: Any, keys: Keys, folder: bool = False) -> pathlib.Path:
        """A path in the file, which must exist.

        $NAME stands for an environment variable; a relative path begins at the file's folder.
        """
        if not isinstance(text, str):
            raise self.error(keys, f"{keys[-1]} must be a path. Received: {text!r}.")
        try:
            expanded = string.Template(text).substitute(os.environ)
        except KeyError as error:
            raise self.error(
                keys, f"{text} needs the environment variable {error.args[0]}, which is not set."
            ) from error
        except ValueError as error:
            raise self.error(keys, f"{text} is no path: {error}.") from error
        try:
            path = self.path.parent / pathlib.Path(expanded).expanduser()
        except RuntimeError as error:  # Of a user whom the system does not know.
            raise self.error(keys, f"{text} is no path: {error}.") from error
        if not (path.is_dir() if folder else path.is_file()):
            raise self.error(keys, f"there is no {'folder' if folder else 'file'} {path}.")
        return path.resolve()

    def _line(self, keys: Keys) -> int:
        """Where the value under these keys begins: tomllib does not say.

        It stands after the longest beginning of the file that is TOML and does not hold it. Of what
        the file does not hold, it is the line of what it would stand in.
        """
        lines, line = self._text.splitlines(), 1
        for number in range(1, len(lines) + 1):
            try:
                found = _under(tomllib.loads("\n".join(lines[:number])), keys)
            except ValueError:  # In the middle of a value of several lines.
                continue
            if found is not None:
                return line
            line = number + 1
        return self._line(keys[:-1]) if keys else 1


def placed(values: Mapping[str, Any], keys: Keys) -> Placed:
    """The values of a table with their places."""
    return {name: (value, (*keys, name)) for name, value in values.items()}


def field_names(settings: type) -> list[str]:
    """Of the values that settings, or another dataclass, are made of."""
    return [field.name for field in dataclasses.fields(settings)]


def those_of(settings: type, values: Placed) -> Placed:
    """The values that are fields of these settings."""
    return {name: values[name] for name in field_names(settings) if name in values}


def _under(values: Any, keys: Keys) -> Any:
    for key in keys:
        values = values.get(key) if isinstance(values, dict) else None
    return values
