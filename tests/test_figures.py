"""Pictures: files that are refused before they are drawn, labels in Chinese, bytes that repeat."""

import io
import sys
import warnings

import pytest

from kbert.errors import DataError
from kbert.figures import can_draw, check_picture, drawing, png_of, save_picture


def test_what_is_refused(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="must end in .png, .svg, .pdf"):
        check_picture(tmp_path / "a.jpg")
    with pytest.raises(DataError):
        check_picture(tmp_path / "none" / "a.png")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert not can_draw()
    with pytest.raises(DataError, match="needs matplotlib"):
        check_picture(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_a_drawing_gives_the_same_bytes_and_no_warning_of_chinese(tmp_path, suffix):
    pytest.importorskip("matplotlib")
    found = []
    for name in "ab":
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with drawing(2, 1) as figure:
                figure.subplots().set_title("neutral, 中性")
                save_picture(tmp_path / f"{name}{suffix}", figure)
        found.append((tmp_path / f"{name}{suffix}").read_bytes())
    assert len(found[0]) > 1000 and found[0] == found[1]


def test_the_size_of_a_png():
    image = pytest.importorskip("matplotlib.image")
    with drawing(2, 1.5) as figure:
        found = png_of(figure)
    assert image.imread(io.BytesIO(found.data)).shape[:2] == (found.height, found.width)
