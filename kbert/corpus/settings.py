"""What `kbert vocabulary` and `kbert prepare` are told."""

import dataclasses

from kbert.corpus.documents import DOCUMENT_RULES
from kbert.corpus.marks import WORD_RULES, WORDS_OF_PIECES
from kbert.corpus.merges import MAX_SIZE
from kbert.errors import DataError
from kbert.settings import Settings, setting
from kbert.text.sentences import SENTENCE_RULES
from kbert.text.vocabulary import SPECIAL_TOKENS

_FILTERS = "filters"
_FIELD = "field of a .jsonl line that holds the text"

# "portable": any that Beam's --job_endpoint leads to.
RUNNERS = ("direct", "flink", "spark", "dataflow", "portable")
_GROUP = "many machines (docs/many-machines.md)"


@dataclasses.dataclass(frozen=True)
class VocabularySettings(Settings):
    """How a vocabulary is learned."""

    size: int = setting(
        30_000, "number of pieces", at_least=len(SPECIAL_TOKENS) + 2, at_most=MAX_SIZE
    )
    min_frequency: int = setting(2, "what is rarer becomes no piece", at_least=1)
    coverage: float = setting(0.9999, "share of characters that get a piece", above=0, at_most=1)
    field: str = setting("text", _FIELD)
    workers: int | None = setting(
        None, "processes that count", unset="one for each processor", at_least=1
    )


@dataclasses.dataclass(frozen=True)
class ExtensionSettings(Settings):
    """How a trained model gets more pieces, counted as for a new vocabulary."""

    add: int = setting(
        1000,
        "pieces to add, at most",
        group="more pieces for a trained model",
        at_least=1,
        at_most=MAX_SIZE,
    )


@dataclasses.dataclass(frozen=True)
class Recipe(Settings):
    """How text becomes tokens; one for the whole store.

    `lowercase`, `strip_accents` and `split_chinese` are those of WordPieceTokenizer. Held-out
    documents are chosen by their text.
    """

    lowercase: bool = True
    strip_accents: bool | None = None
    split_chinese: bool = True
    sentences: str = setting(
        "punctuation",
        "what ends a sentence, besides the end of a line; wrapped: punctuation, over the ends of "
        "lines, and a blank line",
        choices=SENTENCE_RULES,
    )
    words: str = setting(
        WORDS_OF_PIECES,
        "where words begin, for kbert pretrain to mask them whole; jieba: Chinese words, too",
        choices=WORD_RULES,
    )
    validation_share: float = setting(
        0.01, "share of the documents to hold out", at_least=0, below=1
    )

    deduplicate: bool = setting(
        False,
        "leave out documents that were read before, but for capitals and white space",
        group=_FILTERS,
    )
    min_characters: int = setting(
        0, "leave out documents with fewer characters", group=_FILTERS, at_least=0
    )
    min_letters: float = setting(
        0.0,
        "leave out documents with a smaller share of letters among their characters",
        group=_FILTERS,
        at_least=0,
        at_most=1,
    )
    max_repetition: float = setting(
        1.0,
        "leave out documents with a larger share of their text in lines that they repeat",
        group=_FILTERS,
        at_least=0,
        at_most=1,
    )

    @property
    def tokenizer_options(self) -> dict:
        """Keyword arguments of WordPieceTokenizer."""
        names = ("lowercase", "strip_accents", "split_chinese")
        return {name: getattr(self, name) for name in names}


@dataclasses.dataclass(frozen=True)
class PreparationSettings(Settings):
    """Where documents begin and end, and how many processes read them."""

    document: str = setting(
        "blank-line", "what ends a document in .txt and .md", choices=DOCUMENT_RULES
    )
    field: str = setting("text", _FIELD)
    processes: int | None = setting(
        None, "workers", unset="as many as cores, but no more than the text keeps busy", at_least=1
    )


@dataclasses.dataclass(frozen=True)
class RunnerSettings(Settings):
    """Beam's runner and what it is told; `options` are Beam's own, as its commands take them."""

    runner: str | None = setting(
        None,
        "Apache Beam's, which other options are passed on to",
        unset="none, this machine works alone",
        choices=RUNNERS,
        group=_GROUP,
    )
    shared: str | None = setting(
        None,
        "folder or URL to which all workers can write",
        unset="the output's",
        group=_GROUP,
        metavar="FOLDER",
    )
    options: tuple[str, ...] = ()

    def __post_init__(self):
        super().__post_init__()
        if self.runner is None and self.options:
            raise DataError(
                f"unrecognized arguments: {' '.join(self.options)}. Beam's own need a --runner."
            )
        if self.runner is None and self.shared is not None:
            raise DataError("--shared is for what Beam's workers make: it needs a --runner.")

    def check_alone(self, option: str, processes: int | None) -> None:
        """Raise `DataError` for a number of this machine's processes beside a runner."""
        if self.runner is not None and processes is not None:
            raise DataError(
                f"{option} is for work on this machine alone; with --runner Beam's own options "
                f"say how many workers there are. Received: {option} {processes}."
            )
