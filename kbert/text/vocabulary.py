"""The vocabulary: made from text, and its file, one WordPiece a line; the line number is the id.

Pieces inside a word begin with "##". TensorFlow is not needed here.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from kbert.errors import DataError
from kbert.files import replacing

# What tensorflow-text's FastWordpieceTokenizer can number.
MOST_PIECES = 1 << 22
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def load_vocabulary(
    path: str | os.PathLike, special_tokens: Sequence[str] = SPECIAL_TOKENS
) -> list[str]:
    """Read vocab.txt and check it.

    Args:
        path: a UTF-8 file, one piece a line; every published BERT vocabulary is one.
        special_tokens: the pieces that must be there, at any line.

    Returns:
        The pieces; the index of a piece is its id.

    Raises:
        DataError: not UTF-8, an empty line, a piece twice, or a special token missing.
        OSError: the file cannot be read.
    """
    pieces = read_lines(path, "a vocabulary")
    check_vocabulary(pieces, special_tokens, source=path)
    return pieces


def read_lines(path: str | os.PathLike, what: str) -> list[str]:
    """The lines of a file that is read whole. Raises `DataError` if `what` it is, is not UTF-8."""
    raw = Path(path).read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line}: {what} must be UTF-8 text.") from None
    # Only "\n" ends a line: published vocabularies hold U+2028 and U+0085 inside of pieces' lines.
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


def check_vocabulary(
    pieces: Sequence[str],
    special_tokens: Sequence[str] = SPECIAL_TOKENS,
    source: str | os.PathLike = "the vocabulary",
) -> None:
    """Raise DataError, naming `source` and the line, unless every piece can have one id."""
    if len(pieces) > MOST_PIECES:
        raise DataError(
            f"{source} must have at most {MOST_PIECES:,} pieces. Received: {len(pieces):,}."
        )
    line_of = {}
    for line, piece in enumerate(pieces, start=1):
        if not piece:
            raise DataError(f"{source}, line {line}: expected a piece, received an empty line.")
        if piece in line_of:
            raise DataError(
                f"{source}, line {line}: the piece {piece!r} stands in line {line_of[piece]} too."
            )
        line_of[piece] = line
    missing = [token for token in special_tokens if token not in line_of]
    if missing:
        raise DataError(
            f"{source}: not a BERT vocabulary, {' '.join(missing)} missing "
            f"among its {len(pieces)} pieces."
        )


def save_vocabulary(path: str | os.PathLike, pieces: Iterable[str]) -> None:
    """Write vocab.txt: whole or not at all."""
    with replacing(path) as temporary:
        with open(temporary, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(piece + "\n" for piece in pieces)


def special_token_ids(pieces: Sequence[str]) -> dict[str, int]:
    """The ids of SPECIAL_TOKENS, in that order."""
    return {token: pieces.index(token) for token in SPECIAL_TOKENS}
