"""One picture of a checkpoint's weights: where they are, and what training made of them."""

import collections
import math
import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from kbert.config import BertConfig
from kbert.figures import drawing, save_picture

Weights = Mapping[str, np.ndarray]
_BLOCK = re.compile(r"block_(\d+)/(.+)")
_TOKENS, _POSITIONS = "embedding/token_table", "embedding/position_table"
# Of a normal distribution that is cut at two deviations, as the initializer's is.
_CUT = 0.8796
_FEED_FORWARD = ("intermediate", "output")
_COLUMNS = 3
# Curves in one panel that can be told apart.
_MOST_CURVES = 10
# From below, as a block computes them.
_ORDER = ("query", "key", "value", "output projection", "intermediate", "output")
# Points of a cloud that do not make a file of megabytes.
_MOST_POINTS = 20_000
_SMALL = {"fontsize": 8}


def plot_weights(path: str | os.PathLike, config: BertConfig, weights: Weights) -> None:
    """Draw a panel for each of these that the model has:

    - the parameters of each part;
    - the standard deviation of the kernels of each block, beside that of the initializer: a block
      that training has not moved lies on the line;
    - their largest weight in standard deviations: what rounding to 8 bits costs;
    - the gains of each block's LayerNorms, mean and deviation;
    - the length of each token's vector by its id: those of unused tokens stand apart;
    - the cosine of each two position vectors.
    """
    kernels = _by_block(weights, "kernel")
    panels = [(_draw_sizes, weights), (_draw_deviations, kernels, config.initializer_stddev)]
    panels.append((_draw_largest, kernels))
    if gains := _by_block(weights, "gamma"):
        panels.append((_draw_gains, gains))
    panels.append((_draw_tokens, weights[_TOKENS]))
    if _POSITIONS in weights:
        panels.append((_draw_positions, weights[_POSITIONS]))
    rows = math.ceil(len(panels) / _COLUMNS)
    with drawing(4.4 * _COLUMNS, 3.6 * rows) as figure:
        axes = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
        for axis, (draw, *what) in zip(axes, panels, strict=False):
            draw(axis, *what)
        for axis in axes[len(panels) :]:
            axis.set_axis_off()
        save_picture(path, figure)


def _by_block(weights: Weights, kind: str) -> dict[str, dict[int, np.ndarray]]:
    """Name of a layer -> number of a block -> its weight of that kind.

    The kernel of queries, keys and values is three.
    """
    found: dict[str, dict[int, np.ndarray]] = collections.defaultdict(dict)
    for name, weight in weights.items():
        block = _BLOCK.fullmatch(name)
        if block is None or not name.endswith(f"/{kind}"):
            continue
        number, layer = int(block[1]), block[2].removesuffix(f"/{kind}").replace("_", " ")
        layer = layer.removeprefix("attention/")
        parts = {layer: weight}
        if layer == "query key value":
            parts = dict(zip(layer.split(), np.split(weight, 3, axis=-1), strict=True))
        for part, values in parts.items():
            found[part][number] = np.asarray(values, "float32")
    known = [name for name in _ORDER if name in found]
    others = [name for name in found if name not in known]
    return {name: found[name] for name in [*known, *others][:_MOST_CURVES]}


def _part(name: str) -> str:
    block = _BLOCK.fullmatch(name)
    if name == _TOKENS:
        return "token table"
    if block is None:
        first = name.split("/")[0].replace("_", " ")
        return "positions, segments" if first == "embedding" else first
    layer = block[2].split("/")[0]
    if layer.startswith("attention"):
        return "attention"
    return "feed-forward" if layer.startswith(_FEED_FORWARD) else "blocks"


def _draw_sizes(axis: Any, weights: Weights) -> None:
    sizes: collections.Counter = collections.Counter()
    for name, weight in weights.items():
        sizes[_part(name)] += weight.size
    total, largest_first = sum(sizes.values()), dict(sizes.most_common())
    places = range(len(sizes))
    axis.barh(places, [size / 1e6 for size in largest_first.values()])
    axis.set_yticks(places, largest_first)
    axis.invert_yaxis()
    for place, size in zip(places, largest_first.values(), strict=True):
        axis.text(size / 1e6, place, f" {size / total:.1%}", va="center", **_SMALL)
    axis.margins(x=0.2)
    _titled(axis, f"{total / 1e6:,.1f} million parameters", "millions")


def _draw_deviations(axis: Any, kernels: Mapping, start: float) -> None:
    axis.axhline(_CUT * start, color="grey", linestyle="--", linewidth=0.8, label="initializer")
    _draw_curves(axis, {name: _each(own, np.std) for name, own in kernels.items()})
    axis.legend(**_SMALL, ncols=2)
    axis.set_ylim(bottom=0)
    _titled(axis, "Standard deviation of the kernels", "block")


def _draw_largest(axis: Any, kernels: Mapping) -> None:
    def largest(weight):
        return np.abs(weight).max() / max(weight.std(), 1e-12)

    _draw_curves(axis, {name: _each(own, largest) for name, own in kernels.items()})
    axis.set_ylim(bottom=0)
    _titled(axis, "Largest weight, in standard deviations (same colours)", "block")


def _draw_gains(axis: Any, gains: Mapping) -> None:
    for name, own in gains.items():
        means, deviations = _each(own, np.mean), _each(own, np.std)
        axis.errorbar(list(own), means.values(), deviations.values(), marker=".", label=name)
    axis.legend(**_SMALL)
    axis.xaxis.get_major_locator().set_params(integer=True)
    _titled(axis, "Gains of the LayerNorms", "block")


def _draw_tokens(axis: Any, table: np.ndarray) -> None:
    lengths = np.linalg.norm(np.asarray(table, "float32"), axis=1)
    shown = np.unique(np.linspace(0, len(lengths) - 1, _MOST_POINTS).astype(int))
    axis.plot(shown, lengths[shown], ",", color="C0")
    axis.set_ylim(bottom=0)
    _titled(axis, "Length of each token's vector", "token id")


def _draw_positions(axis: Any, table: np.ndarray) -> None:
    vectors = np.asarray(table, "float32")
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    image = axis.imshow(vectors @ vectors.T, cmap="RdBu_r", vmin=-1, vmax=1)
    axis.figure.colorbar(image, ax=axis)
    _titled(axis, "Cosine of each two positions", "position")


def _each(own: Mapping[int, np.ndarray], measure) -> dict[int, float]:
    return {number: float(measure(weight)) for number, weight in sorted(own.items())}


def _draw_curves(axis: Any, curves: Mapping[str, Mapping[int, float]]) -> None:
    for name, points in curves.items():
        axis.plot(list(points), list(points.values()), marker=".", label=name)
    axis.xaxis.get_major_locator().set_params(integer=True)


def _titled(axis: Any, title: str, below: str) -> None:
    axis.set_title(title, size=10)
    axis.set_xlabel(below)
