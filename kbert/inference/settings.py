"""How a model computes answers and vectors: how much at once, in which precision, which vectors."""

import dataclasses

from kbert.settings import Settings, setting

LONG = ("refuse", "cut", "window")
_FOLDERS = "as the folder says, else"


@dataclasses.dataclass(frozen=True)
class PrecisionSettings(Settings):
    """In which numbers an answer is computed."""

    precision: str = setting(
        "float32",
        "bfloat16: weights too; faster where the processor multiplies in it, three digits",
        choices=("float32", "bfloat16"),
    )


@dataclasses.dataclass(frozen=True)
class ComputeSettings(PrecisionSettings):
    """What changes the speed of an answer, and hardly its value."""

    batch_size: int = setting(64, "rows or texts computed together", at_least=1)


@dataclasses.dataclass(frozen=True)
class AnswerSettings(Settings):
    """What stands beside an answer."""

    with_input: bool = setting(False, "put what was asked beside each answer")


@dataclasses.dataclass(frozen=True)
class VectorSettings(Settings):
    """Which vector of an encoder stands for a text; None for what the encoder's folder says."""

    pooling: str | None = setting(
        None,
        "of the tokens' vectors: mean, cls, max, mean_sqrt_length, weighted_mean or last; several "
        "are concatenated",
        unset=f"{_FOLDERS} mean",
        metavar="MODE[+MODE...]",
    )
    layers: tuple[int, ...] | None = setting(
        None,
        "hidden states: 0 is the embedding, -1 the last layer; several are combined",
        unset=f"{_FOLDERS} -1",
    )
    combination: str | None = setting(
        None, "of several layers: concatenate or sum", unset=f"{_FOLDERS} concatenate"
    )
    normalize: bool | None = setting(None, "make every vector of length 1", unset=f"{_FOLDERS} off")
    long: str = setting(
        "refuse",
        "what to do with a text that has more tokens than the encoder takes",
        choices=LONG,
    )
    sequence_length: int | None = setting(None, "tokens to take at once", unset="all", at_least=3)


@dataclasses.dataclass(frozen=True)
class GenerationSettings(Settings):
    """How `kbert generate` goes on with a text."""

    tokens: int = setting(
        50, "pieces to add, at most; fewer where the model takes no more", at_least=1
    )
    temperature: float = setting(
        1.0, "the scores are divided by it; 0: always the likeliest piece (greedy)", at_least=0
    )
    top_k: int | None = setting(
        None, "draw among the N likeliest pieces", unset="all", metavar="N", at_least=1
    )
    top_p: float | None = setting(
        None,
        "draw among the fewest pieces whose probabilities add up to P (arXiv 1904.09751)",
        unset="all",
        metavar="P",
        above=0,
        at_most=1,
    )
    seed: int = setting(0, "of the draws", at_least=0, at_most=2**32 - 1)
    beams: int = setting(
        1,
        "draw nothing, but keep the N likeliest texts at every piece, and give the likeliest of "
        "them (beam search)",
        metavar="N",
        at_least=1,
    )
    stop: tuple[str, ...] | None = setting(
        None, "end behind one of these pieces", unset="none", metavar="PIECE"
    )

    def __post_init__(self):
        super().__post_init__()
        if self.beams > 1:
            self.check_unset("temperature", "top_k", "top_p", "seed", needs="draws, of one beam")
        elif self.temperature == 0:
            self.check_unset("top_k", "top_p", needs="draws, at a temperature above 0")


@dataclasses.dataclass(frozen=True)
class PerplexitySettings(PrecisionSettings):
    """How `kbert perplexity` reads texts."""

    sequence_length: int | None = setting(
        None,
        "tokens to read at once; beyond the rows that a model was trained on, positions mean "
        "nothing to it",
        unset="all that the model takes",
        at_least=3,
    )


@dataclasses.dataclass(frozen=True)
class FillMaskSettings(Settings):
    """What `kbert fill-mask` shows."""

    top: int = setting(5, "pieces for each [MASK]", at_least=1)
