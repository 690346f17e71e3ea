"""Pictures where matplotlib is installed: the same drawing gives the same bytes."""

import contextlib
import io
import os
import pathlib
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from kbert.errors import DataError
from kbert.files import check_writable, replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
_DPI = 110
# No date and no version in the file.
_NAMELESS = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
# Matplotlib's own font has no Chinese; of these the first that the machine has.
_CHINESE = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "PingFang SC",
    "Hiragino Sans GB",
    "Heiti TC",
    "Microsoft YaHei",
    "SimHei",
    "Droid Sans Fallback",
    "Arial Unicode MS",
)


class Png(NamedTuple):
    """A picture in memory; width and height in pixels."""

    data: bytes
    width: int
    height: int


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        return False
    return True


def check_picture(path: str | os.PathLike) -> None:
    """Raise `DataError` unless a picture can be drawn, and written there."""
    if pathlib.Path(path).suffix not in FORMATS:
        raise DataError(f"A picture must end in {', '.join(FORMATS)}. Received: {path}.")
    if not can_draw():
        raise DataError('A picture needs matplotlib: pip install "kbert[plots]".')
    check_writable(path)


@contextlib.contextmanager
def drawing(width: float, height: float) -> Iterator["Figure"]:
    """An empty picture of so many inches, to be drawn and saved within the block.

    Chinese labels need a font of the machine; without one they are boxes.
    """
    import matplotlib
    from matplotlib import font_manager
    from matplotlib.figure import Figure

    there = {font.name for font in font_manager.fontManager.ttflist}
    families = ["DejaVu Sans", *[name for name in _CHINESE if name in there][:1]]
    style = {"font.family": families, "svg.hashsalt": "kbert"}
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield Figure((width, height), layout="constrained")


def save_picture(path: str | os.PathLike, figure: "Figure") -> None:
    """Write a picture in the format that the file's name ends in, atomically."""
    suffix = pathlib.Path(path).suffix
    with replacing(path) as file:
        figure.savefig(file, format=suffix[1:], dpi=_DPI, metadata=_NAMELESS[suffix])


def png_of(figure: "Figure") -> Png:
    """The picture as the bytes of a PNG file."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=_DPI, metadata=_NAMELESS[".png"])
    width, height = (round(inches * _DPI) for inches in figure.get_size_inches())
    return Png(stream.getvalue(), width, height)
