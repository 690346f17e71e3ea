"""How predictions are scored where the official scripts leave a choice."""

import dataclasses

from kbert.errors import DataError
from kbert.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class NullOddsSettings(Settings):
    """Of SQuAD 2.0: when a question counts as answered by none."""

    threshold: float = setting(
        1.0,
        "null odds above it count as no answer; the official script's is for probabilities",
    )


@dataclasses.dataclass(frozen=True)
class ConllSettings(Settings):
    """Of files with a word a line."""

    delimiter: str | None = setting(None, "between columns", unset="blanks and tabs")
    bioes: bool = setting(False, "read S and E as BIOES has them; conlleval does not")

    def __post_init__(self):
        super().__post_init__()
        if self.delimiter == "":
            raise DataError("delimiter must be a character or more. Received: nothing.")
