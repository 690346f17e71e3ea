"""Weights of a published format into one of our models and out of it, checked one by one."""

from collections.abc import Iterable
from typing import NamedTuple

import keras
import numpy as np

from kbert.checkpoints.weight_files import Source
from kbert.checkpoints.weights import model_weights
from kbert.errors import DataError
from kbert.models import BERT_OBJECTIVE

# Where our weights begin that are the body of BERT; all others are of heads.
_BODY = ("embedding/", "block_")


class Place(NamedTuple):
    """Where an array of a file belongs: in a weight of ours, or in a third of its last axis.

    `transposed`: the file has the axes of the kernel in the other order.
    """

    name: str
    weight: str
    third: int | None = None
    transposed: bool = False

    def shape(self, weight: keras.Variable) -> tuple[int, ...]:
        shape = tuple(weight.shape)
        if self.third is not None:
            shape = (*shape[:-1], shape[-1] // 3)
        return shape[::-1] if self.transposed else shape


def fill(
    model: keras.Model,
    places: Iterable[Place],
    source: Source,
    known: Iterable[str] = (),
    allow_missing_heads: bool = False,
) -> list[str]:
    """Fill a model's weights from a file.

    Args:
        places: for every weight of the model; others are passed over.
        known: names that the file may hold and the model has no use for.
        allow_missing_heads: leave a head as it was initialised if the file has nothing of it.

    Returns the heads that were left so. Raises `DataError` naming weights that are missing, extra,
    of another shape, NaN or infinite.
    """
    weights = model_weights(model)
    places = list(places)
    wanted = [place for place in places if place.weight in weights]
    absent = _absent_heads(weights, wanted, source) if allow_missing_heads else set()
    wanted = [place for place in wanted if _head(place.weight) not in absent]
    problems = _problems(wanted, weights, source)
    extra = set(source.shapes) - {place.name for place in places} - set(known)
    problems += [f"{name} is no weight of this model" for name in sorted(extra)]
    unfilled = set(weights) - {place.weight for place in wanted}
    missing = [name for name in sorted(unfilled) if _head(name) not in absent]
    problems += [f"nothing gives {name}" for name in missing]
    if problems:
        shown = "; ".join(problems[:5]) + (f"; {len(problems) - 5} more" if problems[5:] else "")
        hint = ""
        if any(_is_head_problem(place, source) for place in wanted):
            hint = " A head that is not in the file can be left out: allow_missing_heads."
        raise DataError(f"The weights in {source.path} do not fit: {shown}.{hint}")
    _assign(wanted, weights, source)
    return sorted(absent)


def objective_in(
    source: Source,
    places: Iterable[Place],
    allow_missing_heads: bool = False,
    masked_lm: bool = False,
) -> str | None:
    """What the model of a file was pre-trained for, by its heads; None of an encoder.

    A masked LM alone has neither a next-sentence head nor the pooler that only this one reads.
    With one it is a masked LM where the file says so (`masked_lm`): older tools wrote a pooler that
    nothing reads. Anything else with heads is BERT's, whole or not.
    """
    found = {_head(place.weight) for place in places if place.name in source.shapes}
    if found <= {None, "pooler"}:
        return None
    if masked_lm:
        found.discard("pooler")
    alone = found == {None, "masked_lm_head", "masked_lm_bias"}
    return "masked-lm" if alone and not allow_missing_heads else BERT_OBJECTIVE


def arrays_of(model: keras.Model, places: Iterable[Place]) -> dict[str, np.ndarray]:
    """The model's weights as a file of that format holds them. Raises `DataError` for a weight
    that it has no place for."""
    weights = model_weights(model)
    arrays, placed = {}, set()
    for place in places:
        if place.weight not in weights:
            continue
        array = keras.ops.convert_to_numpy(weights[place.weight])
        if place.third is not None:
            array = np.split(array, 3, axis=-1)[place.third]
        arrays[place.name] = np.ascontiguousarray(array.T if place.transposed else array)
        placed.add(place.weight)
    unplaced = sorted(set(weights) - placed)
    if unplaced:
        raise DataError(f"The format has no place for the weights {', '.join(unplaced)}.")
    return arrays


def _absent_heads(weights, places, source):
    """The model's heads of which the file has nothing."""
    found = {_head(place.weight) for place in places if place.name in source.shapes}
    return {_head(name) for name in weights} - {None} - found


def _head(weight):
    return None if weight.startswith(_BODY) else weight.split("/")[0]


def _is_head_problem(place, source):
    return place.name not in source.shapes and _head(place.weight) is not None


def _problems(places, weights, source):
    problems = []
    for place in places:
        expected = place.shape(weights[place.weight])
        if place.name not in source.shapes:
            problems.append(f"{place.name} is missing")
        elif tuple(source.shapes[place.name]) != expected:
            received = tuple(source.shapes[place.name])
            problems.append(f"{place.name} must be of shape {expected}, not {received}")
    return problems


def _assign(places, weights, source):
    parts: dict[str, list] = {}
    for place in places:
        array = source.floats(place.name)
        array = array.T if place.transposed else array
        if place.third is None:
            weights[place.weight].assign(array)
            continue
        # Query, key and value come one after another.
        thirds = parts.setdefault(place.weight, [])
        thirds.append(array)
        if len(thirds) == 3:
            weights[place.weight].assign(np.concatenate(parts.pop(place.weight), axis=-1))
