"""Learns a WordPiece vocabulary from text files. TensorFlow is not needed here.

The trainer of the `tokenizers` package (0.23.3) is not used, because from the same text it makes
another vocabulary each time, and because it is told how many characters shall have a piece, not
what share of the text. On 20 MB of English Wikipedia, 30,000 pieces, one processor:

|                                              | kbert | `tokenizers` |
| ids of another piece in later runs           | 0     | 1,425, 10,481 |
| seconds of processor time                    | 5.5   | 7.2 |
| pieces a word of 2 MB of other articles      | 1.102 | 1.104 |
| unknown words of these, per cent             | 0.017 | 0.011 |

benchmarks/text.py measures it; docs/tokenizer.md has larger texts and Chinese.
"""

import os
import pathlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from tqdm import tqdm

from kbert.claim import claimed, unfinished
from kbert.corpus.documents import TextReader
from kbert.corpus.merges import Alphabet, PieceLearner, choose_alphabet
from kbert.corpus.problems import Problems
from kbert.corpus.settings import RunnerSettings, VocabularySettings
from kbert.corpus.word_counts import WordCounts, count_words, count_words_by, parts_to_count
from kbert.errors import DataError
from kbert.text.vocabulary import SPECIAL_TOKENS, save_vocabulary
from kbert.text.words import WordTable

# Characters may take this share of the vocabulary; the rest is for merges.
_MAX_ALPHABET_SHARE = 0.8
# With fewer of the text's characters than this a vocabulary is refused as too small.
_MIN_COVERAGE = 0.9


class TrainedVocabulary(NamedTuple):
    """A vocabulary and what is known of the text that it was made from.

    `coverage`: the share of the text's characters that have a piece. `known_words`: the share of
    its words that consist of pieces. `pieces_per_word`: of those words, as they were learned.
    `seconds`: for reading and counting, and for learning. `problems`: what was wrong with files.
    """

    pieces: list[str]
    num_bytes: int
    num_words: int
    num_distinct_words: int
    coverage: float
    known_words: float
    pieces_per_word: float
    counting_seconds: float
    learning_seconds: float
    problems: Problems


def train_vocabulary(
    files: Iterable[str], size: int = VocabularySettings.size, **options
) -> list[str]:
    """The pieces that `learn_vocabulary` makes, with the same arguments."""
    return learn_vocabulary(files, size, **options).pieces


def learn_vocabulary(
    files: Iterable[str],
    size: int = VocabularySettings.size,
    lowercase: bool = True,
    strip_accents: bool | None = None,
    split_chinese: bool = True,
    min_frequency: int = VocabularySettings.min_frequency,
    coverage: float = VocabularySettings.coverage,
    field: str = VocabularySettings.field,
    num_workers: int | None = VocabularySettings.workers,
    progress: bool = True,
    output: str | os.PathLike | None = None,
    runner: RunnerSettings | None = None,
) -> TrainedVocabulary:
    """Learn a WordPiece vocabulary from files, read as a stream.

    The special tokens come first, then characters, then pieces in the order they were merged. The
    same text gives the same vocabulary, on any number of processes.

    Args:
        files: text files or folders (.txt .md .jsonl, plain or compressed).
        size: pieces; there are fewer if the text has no more.
        lowercase, strip_accents, split_chinese: as the tokenizer's that will use the vocabulary.
        min_frequency: what occurs less often becomes no piece.
        coverage: the share of all characters that shall have a piece; the rarest have none.
        field: the field of a .jsonl object that holds the text.
        num_workers: processes that count; None takes one for each core. With more than about
            4 MB of text they are started with "spawn": a script that calls this needs
            `if __name__ == "__main__":`.
        progress: show progress bars on stderr.
        output: where to write the pieces, too; no text even if it lies in a folder. Stopped at any
            moment, the same call then goes on from what it has counted, in OUTPUT.unfinished.
        runner: counts instead of this machine alone, to the same words; needs an `output`.

    Raises:
        DataError: files that cannot be read as text, no words in them, or `size` too small.
    """
    settings = VocabularySettings(size, min_frequency, coverage, field, num_workers)  # Checks them.
    if runner is not None:
        runner.check_alone("--workers", num_workers)
    normalisation = {
        "lowercase": lowercase,
        "strip_accents": strip_accents,
        "split_chinese": split_chinese,
    }
    table = WordTable(**normalisation)
    if output is None:
        reader = TextReader(files, field=field)

        def count():
            return count_words(_chunks(reader, progress), table, num_workers)

        return _learn(reader, count, settings, progress)
    own = [output, unfinished(pathlib.Path(output))]
    reader = TextReader(files, field=field, leave_out=own)
    job = {"files": reader.digest(), "field": field, "chunks": "of groups of files"}
    job |= normalisation
    with claimed(output, {"counted": job}) as folder:

        def count():
            if runner is None or runner.runner is None:
                return count_words(_chunks(reader, progress), table, num_workers, folder)
            return count_words_by(runner, reader, table, folder / "parts", job)

        trained = _learn(reader, count, settings, progress)
        save_vocabulary(output, trained.pieces)
    return trained


def summary_lines(name: str, trained: TrainedVocabulary, lowercase: bool) -> list[str]:
    """What a person is told of a vocabulary; `name` is that of its file."""
    megabytes = trained.num_bytes / 1e6
    return [
        f"{name}: {len(trained.pieces):,} pieces ({'uncased' if lowercase else 'cased'}), "
        f"{trained.coverage:.2%} of characters, {trained.pieces_per_word:.2f} pieces a word",
        f"{megabytes:.1f} MB, {trained.num_words:,} words ({trained.num_distinct_words:,} distinct)"
        f": counted in {trained.counting_seconds:.1f} s "
        f"({megabytes / trained.counting_seconds:.1f} MB/s), "
        f"learned in {trained.learning_seconds:.1f} s",
        *problem_lines(trained.problems),
    ]


def problem_lines(problems: Problems) -> list[str]:
    """What was wrong with files, for a person."""
    return [
        f"note: {found['file']}: {found['problem']} ({found['count']} times)"
        for found in problems.as_dict()["listed"]
    ]


def _learn(
    reader: TextReader,
    count: Callable[[], WordCounts],
    settings: VocabularySettings,
    progress: bool,
) -> TrainedVocabulary:
    started = time.perf_counter()
    words, num_bytes = count()
    counted = time.perf_counter()
    if not words:
        raise DataError(f"There are no words in {', '.join(map(str, reader.files[:3]))}.")
    size, min_frequency = settings.size, settings.min_frequency
    alphabet = _alphabet(words, size, settings.coverage, min_frequency)
    learner = PieceLearner(words, alphabet, SPECIAL_TOKENS, min_frequency)
    start, hidden = len(learner.pieces), None if progress else True
    with tqdm(total=size, initial=start, desc="learning", unit="piece", disable=hidden) as bar:
        for _ in learner.learn(size):
            bar.update()
    num_words = sum(words.values())
    return TrainedVocabulary(
        pieces=learner.pieces,
        num_bytes=num_bytes,
        num_words=num_words,
        num_distinct_words=len(words),
        coverage=alphabet.coverage,
        known_words=learner.num_words() / num_words,
        pieces_per_word=learner.pieces_per_word(),
        counting_seconds=counted - started,
        learning_seconds=time.perf_counter() - counted,
        problems=reader.problems,
    )


def _alphabet(words: Counter, size: int, coverage: float, min_frequency: int) -> Alphabet:
    """The characters of a vocabulary, which must leave room for merges."""
    max_pieces = int(_MAX_ALPHABET_SHARE * (size - len(SPECIAL_TOKENS)))
    alphabet = choose_alphabet(words, coverage, min_frequency, max_pieces)
    if alphabet.coverage < min(_MIN_COVERAGE, coverage):
        raise DataError(
            f"A vocabulary of size {size} is too small for this text: its {len(alphabet.starts)} "
            f"most frequent characters make up {alphabet.coverage:.0%} of it. Give a larger size "
            f"(--size), or a smaller minimum of the frequency ({min_frequency})."
        )
    return alphabet


def _chunks(reader: TextReader, progress: bool) -> Iterator[list[str]]:
    """The texts that are counted together: the parts that a runner's workers have, too."""
    with tqdm(
        total=reader.total_bytes,
        desc="counting",
        unit="B",
        unit_scale=True,
        disable=None if progress else True,
    ) as bar:
        for part in parts_to_count(reader):
            yield part.texts
            bar.update(part.info["bytes_read"] - bar.n)
        bar.update(reader.total_bytes - bar.n)
