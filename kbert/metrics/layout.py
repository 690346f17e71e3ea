"""Tables for a terminal, in columns that stand under each other in every script."""

import unicodedata
from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[object]]) -> str:
    """Rows of cells, one a line: the first column to the left, the others to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        row[0]
        + " " * (widths[0] - _width(row[0]))
        + "".join(
            " " * (2 + width - _width(cell)) + cell
            for cell, width in zip(row[1:], widths[1:], strict=True)
        )
        for row in cells
    )


def _width(text: str) -> int:
    """Columns that a text takes: Chinese characters two, combining ones none."""
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )
