"""The picture of a run's curves: from its logs, over restarts, none where there is nothing."""

import sys

import pytest

from kbert.engine.curves import NAME, _read, draw_curves
from kbert.engine.logs import LogWriter


def test_the_points_of_all_writers_in_order(tmp_path):
    for steps in ((10, 20, 30), (20, 30, 40)):  # Stopped after 30, and gone on from 10.
        with LogWriter(tmp_path) as writer:
            for step in steps:
                writer.scalars(step, {"train/loss": step + steps[0] / 100})
            writer.image(steps[0], "held_out/matrix", b"png", 1, 1)
    points = _read(tmp_path)
    assert list(points) == ["train/loss"]
    found = dict(points["train/loss"])
    assert list(found) == [10, 20, 30, 40]
    assert found[20] == pytest.approx(20.2) and found[10] == pytest.approx(10.1)


def test_a_picture_of_curves_alone(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    with LogWriter(tmp_path) as writer:
        writer.scalars(1, {"train/loss": 2.0, "held_out/loss": 2.0})
    assert not draw_curves(tmp_path) and not (tmp_path / NAME).exists()
    with LogWriter(tmp_path) as writer:
        writer.scalars(2, {"train/loss": 1.0, "held_out/loss": 1.5, "train/rate": 0.1})
    assert draw_curves(tmp_path)
    assert (tmp_path / NAME).read_bytes().startswith(b"\x89PNG")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert not draw_curves(tmp_path)
