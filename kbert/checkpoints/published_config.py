"""Configurations of other tools, read whole: what is not understood is refused by name."""

import dataclasses
import pathlib
from collections.abc import Collection, Mapping

from kbert.config import PUBLISHED_NAMES, BertConfig
from kbert.errors import DataError

# How a field is left out without being absent.
_OFF = (None, False, "", [], {})
# What Google's and Hugging Face's files hold besides, of a pooler that no BERT has.
POOLER_FIELDS = frozenset(
    [
        "directionality",
        "pooler_fc_size",
        "pooler_num_attention_heads",
        "pooler_num_fc_layers",
        "pooler_size_per_head",
        "pooler_type",
    ]
)


def check_understood(
    file: str | pathlib.Path, fields: Mapping, understood: Collection[str]
) -> None:
    """Raise `DataError` for a field that is on and not among those `understood`.

    Args:
        file: what the message names, and the place in it if it is not the whole.
    """
    for name, value in fields.items():
        if name not in understood and value not in _OFF:
            raise DataError(
                f"{file} must hold fields that kbert knows. Received: {name} {_short(value)}. "
                "Remove it if it changes no numbers."
            )


def check_values(
    file: str | pathlib.Path, fields: Mapping, allowed: Mapping[str, Collection]
) -> None:
    """Raise `DataError` for a field that is there with a value that is not `allowed`."""
    for name, values in allowed.items():
        if name in fields and fields[name] not in values:
            expected = " or ".join(map(_short, values))
            raise DataError(
                f"{file} must have {expected} as {name}. Received: {_short(fields[name])}."
            )


def read_config(
    path: pathlib.Path,
    fields: Mapping,
    activations: Mapping[str, str],
    position: str = "learned",
) -> BertConfig:
    """The configuration that `fields`, read from `path` under Google's names, describe.

    Args:
        activations: `hidden_act` -> ours; "gelu" is the default.
        position: of the format, which has one kind.

    Raises `DataError` for a size or an activation that BERT cannot have.
    """
    name = fields.get("hidden_act", "gelu")
    if not isinstance(name, str) or name not in activations:
        raise DataError(
            f"{path} must have one of {', '.join(activations)} as hidden_act. "
            f"Received: {_short(name)}."
        )
    sizes = {ours: fields[name] for name, ours in PUBLISHED_NAMES.items() if name in fields}
    return config_of(path, {**sizes, "activation": activations[name], "position": position})


def config_of(path: pathlib.Path, fields: Mapping) -> BertConfig:
    """The configuration of these fields of `BertConfig`; errors name the file `path`."""
    try:
        return BertConfig.from_dict(dict(fields))
    except (ValueError, TypeError) as error:
        raise DataError(f"{path} is not a BERT configuration: {error}") from error


def check_is_plain(config: BertConfig, format_name: str) -> None:
    """Raise `DataError` for a field in which a model departs from BERT, before it is written."""
    departures = config.changes()
    if config.activation == "geglu":
        departures["activation"] = "geglu"
    for name, value in departures.items():
        raise DataError(f"{format_name} has no place for {name} {value}.")


def published_fields(config: BertConfig) -> dict:
    """The sizes and rates of a configuration under Google's names, which Hugging Face shares."""
    values = dataclasses.asdict(config)
    return {name: values[ours] for name, ours in PUBLISHED_NAMES.items()}


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
