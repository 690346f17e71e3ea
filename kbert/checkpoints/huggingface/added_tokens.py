"""Tokens that are found in a text before it is split into words: BERT's own, and added ones.

Markers around entities are such tokens, [E1] Ann [/E1]. Four files may name them, with ids that
follow on those of the vocabulary, or stand in it.
"""

import dataclasses
import pathlib
from collections.abc import Mapping

from kbert.errors import DataError
from kbert.text.vocabulary import SPECIAL_TOKENS

_KNOWN = {"content", "id", "special", "normalized", "single_word", "lstrip", "rstrip", "__type"}


@dataclasses.dataclass
class AddedTokens:
    """What the files of a folder say of such tokens.

    Args:
        pieces: of the vocabulary.
        lowercase: whether the tokenizer lower-cases.

    Attributes:
        ids: of the tokens besides BERT's own.
    """

    pieces: list[str]
    lowercase: bool
    ids: dict[str, int] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        self._number_of = {piece: number for number, piece in enumerate(self.pieces)}

    def add(self, file: str | pathlib.Path, token: object, number: object) -> None:
        """A token, a text or an object that says how it is found, with its id; None for one that is
        in the vocabulary.

        Raises `DataError` for another id than another file has, and for a token that is found
        otherwise than as it stands.
        """
        described = token if isinstance(token, Mapping) else {"content": token}
        content = described.get("content")
        if not isinstance(content, str) or not content or set(described) - _KNOWN:
            raise DataError(f"{file} must describe a token. Received: {token!r}.")
        known = self._number_of.get(content, self.ids.get(content))
        if number is None:
            number = known
        if type(number) is not int or known not in (None, number):
            wanted = "a number" if known is None else known
            raise DataError(
                f"{file} must have {wanted} as the id of {content}. Received: {number!r}."
            )
        if content in SPECIAL_TOKENS:
            return
        # Of normalised text, so whatever its case.
        folded = described.get("normalized", not described.get("special", True))
        folded = folded and self.lowercase and content.lower() != content.upper()
        if folded or described.get("single_word"):
            raise DataError(
                f"{file} must have tokens that are found as they stand. Received: {content!r}, "
                "which is found in any case or as a word alone."
            )
        self.ids[content] = number

    def whole(self, path: pathlib.Path) -> list[str]:
        """The pieces with those that the tokens add to them.

        Raises `DataError`, naming the folder `path`, for ids with a gap.
        """
        pieces = list(self.pieces)
        for token, number in sorted(self.ids.items(), key=lambda item: item[1]):
            if number == len(pieces):
                pieces.append(token)
            elif number > len(pieces) or pieces[number] != token:
                raise DataError(
                    f"{path} must number its added tokens from {len(pieces)} without a gap. "
                    f"Received: {number} for {token!r}."
                )
        return pieces
