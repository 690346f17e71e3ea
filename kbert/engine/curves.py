"""The curves of a run as one picture, drawn from its logs where matplotlib is installed."""

import collections
import math
import pathlib

from kbert.engine.workers import by_chief
from kbert.figures import can_draw, drawing, save_picture

NAME = "curves.png"
_COLUMNS = 3


@by_chief
def draw_curves(logs: pathlib.Path) -> bool:
    """Draw logs/curves.png: a panel for each quantity, train and held out in one.

    Returns whether there is a picture: not without matplotlib, nor without a curve of two points.
    """
    if not can_draw():
        return False
    panels: dict[str, dict] = collections.defaultdict(dict)
    for name, points in _read(logs).items():
        part, _, quantity = name.rpartition("/")
        if len(points) > 1:
            panels[quantity][part] = points
    if not panels:
        return False
    rows, columns = math.ceil(len(panels) / _COLUMNS), min(len(panels), _COLUMNS)
    with drawing(4 * columns, 2.8 * rows) as figure:
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis in axes[len(panels) :]:
            axis.set_axis_off()
        for axis, (quantity, curves) in zip(axes, panels.items(), strict=False):
            _draw_panel(axis, quantity, curves)
        save_picture(logs / NAME, figure)
    return True


def _draw_panel(axis, quantity, curves):
    for part, points in curves.items():
        # Of few points, epochs say, each is shown.
        axis.plot(*zip(*points, strict=True), marker="." if len(points) < 30 else "", label=part)
    axis.set_title(quantity.replace("_", " "), size=10)
    axis.set_xlabel("step")
    if len(curves) > 1:
        axis.legend(fontsize=8)


def _read(logs: pathlib.Path) -> dict[str, list[tuple[int, float]]]:
    """Name of a scalar -> (step, value) of each point; of a step written twice, the last."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.scalar import metadata
    from tensorboard.util.tensor_util import make_ndarray

    events = EventAccumulator(str(logs), size_guidance={"tensors": 0}).Reload()
    found = {}
    for name in events.PluginTagToContent(metadata.PLUGIN_NAME):
        values = {
            event.step: float(make_ndarray(event.tensor_proto)) for event in events.Tensors(name)
        }
        found[name] = sorted(values.items())
    return found
