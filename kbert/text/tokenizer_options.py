"""How a tokenizer reads text, as checkpoints, stores and exports state it. No TensorFlow."""

import dataclasses

from kbert.settings import Settings


@dataclasses.dataclass(frozen=True)
class TokenizerOptions(Settings):
    """Arguments of `WordPieceTokenizer` besides its vocabulary, which says what they mean."""

    lowercase: bool = True
    strip_accents: bool | None = None
    split_chinese: bool = True
