"""Dataclasses of settings whose fields are the options of a command. No Keras."""

import argparse
import dataclasses
from collections.abc import Sequence


def setting(
    default,
    text: str,
    type: type | None = None,
    choices: Sequence | None = None,
    group: str | None = None,
):
    """A field with its help; where the default is None, of `type`."""
    type = type if default is None else default.__class__
    metadata = {"help": text, "type": type, "choices": choices, "group": group}
    return dataclasses.field(default=default, metadata=metadata)


def add_fields(parser: argparse.ArgumentParser, settings: type) -> None:
    """Add an option for each field, in the groups that they name."""
    groups = {None: parser}
    for field in dataclasses.fields(settings):
        options = dict(field.metadata)
        title = options.pop("group")
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        if options["type"] is bool:
            action = argparse.BooleanOptionalAction if field.default else "store_true"
            options = {"help": options["help"], "action": action}
        elif options["choices"] is None:
            options["metavar"] = "N" if options["type"] in (int, float) else "X"
        name = "--" + field.name.replace("_", "-")
        groups[title].add_argument(name, default=field.default, **options)


def from_fields(settings: type, args: argparse.Namespace):
    """The settings that those options describe. Raises what they raise."""
    return settings(**{f.name: getattr(args, f.name) for f in dataclasses.fields(settings)})
