"""How an encoder's vectors become one vector a text: what belongs to a sentence encoder.

pooling.json in our checkpoints; 1_Pooling/config.json and modules.json in the directories of
sentence-transformers.
"""

import dataclasses
import os
import pathlib

from kbert.errors import DataError
from kbert.files import read_object, write_json

MODES = ("mean", "cls", "max")
COMBINATIONS = ("concatenate", "sum")
_OWN = "pooling.json"
_SENTENCE_TRANSFORMERS = pathlib.Path("1_Pooling", "config.json")
_PREFIX = "pooling_mode_"
_THEIR_MODES = {"mean_tokens": "mean", "cls_token": "cls", "max_tokens": "max"}


@dataclasses.dataclass(frozen=True)
class Pooling:
    """
    Args:
        mode: the mean or the largest values over all tokens, [CLS] and [SEP] among them, or the
            vector at [CLS].
        layers: hidden states by number: 0 is the embedding, -1 the last layer. Several are
            combined before pooling.
        combination: "concatenate" (BERT paper, table 7) or "sum".
        normalize: divide by the length, so that a product of two vectors is their cosine.
    """

    mode: str = "mean"
    layers: tuple[int, ...] = (-1,)
    combination: str = "concatenate"
    normalize: bool = False

    def __post_init__(self):
        for name, allowed in (("mode", MODES), ("combination", COMBINATIONS)):
            if getattr(self, name) not in allowed:
                raise DataError(
                    f"The pooling's {name} must be one of {', '.join(allowed)}. "
                    f"Received: {getattr(self, name)!r}."
                )
        if not self.layers or any(type(layer) is not int for layer in self.layers):
            raise DataError(f"The pooling's layers must be numbers. Received: {self.layers!r}.")


def read_pooling(path: str | os.PathLike) -> Pooling | None:
    """The pooling that a checkpoint or a sentence-transformers directory states, if it does.

    Raises `DataError` for one that we do not compute.
    """
    path = pathlib.Path(path)
    if (path / _OWN).is_file():
        values = read_object(path / _OWN)
        try:
            return Pooling(**{**values, "layers": tuple(values["layers"])})
        except (TypeError, KeyError) as error:
            raise DataError(f"{path / _OWN} must describe a pooling: {error}.") from error
    file = path / _SENTENCE_TRANSFORMERS
    if not file.is_file():
        return None
    fields = read_object(file)
    modes = [name.removeprefix(_PREFIX) for name, on in fields.items() if on is True]
    modes = [mode for mode in modes if mode != "include_prompt"]
    if len(modes) != 1 or modes[0] not in _THEIR_MODES:
        raise DataError(
            f"{file} must choose one of {', '.join(_THEIR_MODES)}. Received: {', '.join(modes)}."
        )
    return Pooling(_THEIR_MODES[modes[0]], normalize=_normalizes(path / "modules.json"))


def write_pooling(path: str | os.PathLike, pooling: Pooling) -> None:
    write_json(pathlib.Path(path, _OWN), dataclasses.asdict(pooling))


def _normalizes(file: pathlib.Path) -> bool:
    if not file.is_file():
        return False
    return '.Normalize"' in file.read_text(encoding="utf-8")
