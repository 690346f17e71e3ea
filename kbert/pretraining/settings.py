"""What a pre-training run is told, with the defaults of the paper (appendix A.2)."""

import dataclasses
import itertools
import re

from kbert.corpus.marks import WORD_RULES, WORDS_OF_PIECES
from kbert.corpus.store import TokenStore
from kbert.engine.precision import PRECISIONS
from kbert.errors import DataError
from kbert.pretraining.examples.single_sentence import SingleSentences
from kbert.pretraining.masking import MASKINGS
from kbert.pretraining.masking.token import TokenMasking
from kbert.pretraining.objectives import OBJECTIVES
from kbert.pretraining.objectives.base import Objective
from kbert.pretraining.objectives.masked_lm_next_sentence import MaskedLMNextSentence
from kbert.settings import Settings, setting

INITIALIZATIONS = ("bert", "token-vectors", "corpus")
OPTIMIZERS = ("adam", "lamb")
_MOST_WARMUP = 10_000  # of the paper's 1,000,000 steps
_DISTILLATION = "distillation"
_CHANGE = re.compile(r"(\d+):(\d+)x(\d+)")


@dataclasses.dataclass(frozen=True)
class Phase:
    """Steps [first_step, end_step) with batches of one shape.

    Attributes:
        batch_size, sequence_length: the shape; rows and tokens of a row.
        first_row: number of its first row; rows are counted on from phase to phase.
    """

    first_step: int
    end_step: int
    batch_size: int
    sequence_length: int
    first_row: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class ObjectiveSettings(Settings):
    """What a run learns, and which tokens it hides."""

    objective: str = setting(
        MaskedLMNextSentence.name, "what is learned from the text", choices=OBJECTIVES
    )
    masking: str = setting(TokenMasking.name, "which tokens are predicted", choices=MASKINGS)
    words: str = setting(
        WORDS_OF_PIECES,
        "where words begin, for all maskings but token: at every piece without ##, or as kbert "
        "prepare --words jieba has found",
        choices=WORD_RULES,
    )
    masking_rate: float = setting(0.15, "share of the tokens to predict", above=0, below=1)
    final_masking_rate: float | None = setting(
        None,
        "that share in the last step, to which it changes in a line",
        unset="the same",
        above=0,
        below=1,
    )
    masked_share: float = setting(
        0.8, "of the tokens to predict, that become [MASK]", at_least=0, at_most=1
    )
    random_share: float = setting(
        0.1, "that become a random piece; the rest stays as it is", at_least=0, at_most=1
    )
    mask_together: bool | None = setting(
        None,
        "draw once for a whole word, span or entity which of the three its pieces are",
        unset="on for spans",
    )

    def __post_init__(self):
        super().__post_init__()
        if self.masked_share + self.random_share > 1:
            raise DataError(
                "masked_share and random_share must be at most 1 together. "
                f"Received: {self.masked_share} and {self.random_share}."
            )
        if self.masking == TokenMasking.name and self.words != WORDS_OF_PIECES:
            raise DataError(
                f"words {self.words} is for the maskings that choose words. Received: token."
            )
        if self.masking == TokenMasking.name and self.mask_together is not None:
            raise DataError(
                "mask_together is for the maskings that choose several pieces. Received: token."
            )
        if not OBJECTIVES[self.objective].hides:
            self._check_no_masking()

    def _check_no_masking(self):
        for field in dataclasses.fields(ObjectiveSettings):
            if field.name != "objective" and getattr(self, field.name) != field.default:
                raise DataError(
                    f"{field.name} is for a masked LM: the objective {self.objective} predicts "
                    f"every token. Received: {getattr(self, field.name)}."
                )

    def built(self, store: TokenStore) -> Objective:
        """The objective on a store's text. Raises `DataError` for a store without its words."""
        options = {} if self.words == WORDS_OF_PIECES else {"stored_words": True}
        masking = MASKINGS[self.masking].of(
            store,
            rate=self.masking_rate,
            final_rate=self.final_masking_rate,
            masked_share=self.masked_share,
            random_share=self.random_share,
            together=self.mask_together,
            **options,
        )
        return OBJECTIVES[self.objective](masking)


@dataclasses.dataclass(frozen=True)
class PretrainingSettings(ObjectiveSettings):
    """How a run trains; what the model is stands in its BertConfig.

    A run is resumed only with the settings that it was started with.
    """

    num_steps: int = setting(100_000, "optimizer updates", at_least=1)
    batch_size: int = setting(
        256, "rows of an update, over all devices and microbatches", at_least=1
    )
    sequence_length: int = setting(128, "tokens of a row", at_least=1)
    then: str = setting(
        "",
        "batches of another shape from a step on, as 90000:64x512",
        unset="none",
        metavar="STEP:ROWSxTOKENS,...",
    )
    learning_rate: float = setting(1e-4, "at the end of the warm-up; falls to 0 in a line", above=0)
    warmup_steps: int | None = setting(
        None,
        "steps over which the rate rises",
        unset="a tenth of the run, at most the paper's 10,000",
        at_least=0,
    )
    optimizer: str = setting(
        "adam", "lamb is for batches of many thousand rows", choices=OPTIMIZERS
    )
    weight_decay: float = setting(0.01, "of all weights but norms and biases", at_least=0)
    beta_2: float = setting(0.999, "Adam's memory of squared gradients", at_least=0, below=1)
    clip_norm: float = setting(1.0, "longest gradient over all weights", above=0)
    accumulate: int = setting(1, "microbatches of an update, to save memory", at_least=1)
    rematerialize: bool = setting(False, "compute blocks again for gradients, to save memory")
    short_probability: float = setting(
        0.1, "share of the examples of a random smaller length", at_least=0, below=1
    )
    single_sentences: bool = setting(
        False, "an example is one sentence, of an objective that reads single texts"
    )
    packing: bool = setting(True, "several examples in a row, so that little of it is padding")
    precision: str = setting("float32", "of the computation", choices=PRECISIONS)
    initialization: str = setting(
        "bert",
        "token-vectors: begin with counts of what stands beside what; corpus: also with heads that "
        "look at neighbours",
        choices=INITIALIZATIONS,
    )
    seed: int = setting(0, "of the weights, the rows and dropout", at_least=0, at_most=2**32 - 1)
    teacher: str | None = setting(
        None,
        "a trained model of the same vocabulary to learn from, too (arXiv 1910.01108)",
        unset="none",
        group=_DISTILLATION,
        metavar="CHECKPOINT",
    )
    teacher_share: float = setting(
        0.5,
        "of the loss, that compares the scores of the vocabulary",
        group=_DISTILLATION,
        at_least=0,
        at_most=1,
    )
    teacher_temperature: float = setting(
        2.0, "by which both sides' scores are divided", group=_DISTILLATION, above=0
    )
    hidden_share: float = setting(
        0.0,
        "how much the cosine of the last hidden states counts beside it",
        group=_DISTILLATION,
        at_least=0,
    )

    def __post_init__(self):
        super().__post_init__()
        self.phases()
        if self.teacher is None:
            fields = ("teacher_share", "teacher_temperature", "hidden_share")
            self.check_unset(*fields, needs="a teacher")
        if self.single_sentences:
            self.check_unset("short_probability", needs="examples of more than a sentence")
            if OBJECTIVES[self.objective].examples.is_pair:
                raise DataError(f"single_sentences is not for {self.objective}, which reads pairs.")
        if self.warmup() > self.num_steps:
            raise DataError(
                f"warmup_steps must be at most num_steps={self.num_steps}, or the rate never "
                f"reaches learning_rate. Received: {self.warmup_steps}."
            )

    def built(self, store: TokenStore) -> Objective:
        objective = super().built(store)
        if self.single_sentences:
            # Of the rows that are trained on: scores are of the objective's own, and compare.
            objective.examples = SingleSentences()
        return objective

    def warmup(self) -> int:
        """Steps over which the rate rises."""
        if self.warmup_steps is None:
            return min(self.num_steps // 10, _MOST_WARMUP)
        return self.warmup_steps

    def phases(self) -> list[Phase]:
        """The run's phases, one after another; without `then` it is one."""
        shapes = [(0, self.batch_size, self.sequence_length), *self._changes()]
        ends = [step for step, *_ in shapes[1:]] + [self.num_steps]
        phases, row = [], 0
        for (first, rows, tokens), end in zip(shapes, ends, strict=True):
            phases.append(Phase(first, end, rows, tokens, row))
            row += (end - first) * rows
        return phases

    def _changes(self):
        matches = [_CHANGE.fullmatch(part) for part in self.then.split(",") if self.then]
        changes = [tuple(map(int, match.groups())) for match in matches if match]
        steps = [0, *(step for step, *_ in changes), self.num_steps]
        if not all(matches) or any(0 in change for change in changes):
            raise DataError(
                "then must be STEP:ROWSxTOKENS, or several with commas between them, as "
                f"90000:64x512. Received: {self.then}."
            )
        if changes and not all(one < next_ for one, next_ in itertools.pairwise(steps)):
            raise DataError(
                f"The steps of then must rise, from 1 to below num_steps={self.num_steps}. "
                f"Received: {self.then}."
            )
        return changes


@dataclasses.dataclass(frozen=True)
class Schedule(Settings):
    """How often a run reports and saves; it may change when the run is resumed."""

    log_every: int = setting(50, "steps between points of the training curves", at_least=1)
    validate_every: int = setting(1000, "steps between scores on held-out documents", at_least=1)
    validation_batches: int = setting(20, "batches of a held-out score", at_least=1)
    save_every: int = setting(1000, "steps between saves", at_least=1)
    keep: int = setting(3, "saves to keep", at_least=1)
    profile: str | None = setting(
        None,
        "steps from now to profile for TensorBoard",
        unset="none",
        metavar="FIRST,LAST",
    )

    def __post_init__(self):
        super().__post_init__()
        if self.profile is not None:
            found = re.fullmatch(r"([1-9]\d*),([1-9]\d*)", self.profile)
            if found is None or int(found[1]) > int(found[2]):
                raise DataError(
                    "profile must be two numbers, FIRST,LAST, and the last none before the first. "
                    f"Received: {self.profile}."
                )
