"""How a tokenizer reads text, as checkpoints, stores and exports state it. No TensorFlow."""

import dataclasses
from typing import NamedTuple

from kbert.settings import Settings
from kbert.text.words import strips_accents


class TokenizerDescription(NamedTuple):
    """What a checkpoint keeps of a tokenizer; the tokenizer itself needs TensorFlow."""

    vocabulary: list[str]
    options: dict


@dataclasses.dataclass(frozen=True)
class TokenizerOptions(Settings):
    """Arguments of `WordPieceTokenizer` besides its vocabulary, which says what they mean."""

    lowercase: bool = True
    strip_accents: bool | None = None
    split_chinese: bool = True
    added_tokens: tuple[str, ...] = ()

    def reads_as(self, other: "TokenizerOptions") -> bool:
        """Whether both turn every text into the same pieces of one vocabulary."""
        first, second = (
            dataclasses.replace(
                each, strip_accents=strips_accents(each.lowercase, each.strip_accents)
            )
            for each in (self, other)
        )
        return first == second

    def arguments(self) -> dict:
        """These by name, ready for JSON; added tokens where there are some."""
        values = self.to_json()
        added = list(values.pop("added_tokens"))
        return {**values, "added_tokens": added} if added else values
