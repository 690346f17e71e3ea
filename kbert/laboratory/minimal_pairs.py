"""Minimal pairs: does a language model find the grammatical sentence likelier than its neighbour?

The score of a sentence is its log-likelihood, a masked LM's pseudo-log-likelihood
(kbert/inference/likelihood.py). A pair is right if the good sentence scores higher; a tie is wrong.
Where the two differ in length a sum favours the shorter one: ZhoBLiMP's authors divide it by the
square root of the number of tokens, which is a `length_exponent` of 0.5.
BLiMP (arXiv 1912.00582) and ZhoBLiMP (arXiv 2411.06096) are such pairs, grouped by paradigm and by
phenomenon.
"""

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from kbert.checkpoints.directory import Checkpoint
from kbert.corpus.compression import DAMAGE, decompressed
from kbert.errors import DataError
from kbert.inference.likelihood import log_likelihoods
from kbert.laboratory.settings import JudgeSettings
from kbert.tasks.readers.objects import parse_object

# Of a score: twice the precision of float32, in which scores are added up.
_ROUNDING = 1e-6


class Pair(NamedTuple):
    """Two sentences that differ in one point of grammar; `good` is the grammatical one."""

    good: str
    bad: str
    paradigm: str = "all"
    phenomenon: str = "all"


def read_pairs(path: str | os.PathLike, limit: int | None = None) -> list[Pair]:
    """The pairs in a file of JSON lines, plain or .gz, .xz or .zst; so many, evenly over all.

    A line is an object with `good` and `bad`, or `sentence_good` and `sentence_bad` as BLiMP has
    them; `paradigm` or `UID`, and `term` or `linguistics_term`, may say what it is about. Raises
    `DataError` with file and line for anything else.
    """
    pairs = []
    for number, line in enumerate(_lines(path), 1):
        if line.strip():
            where = f"{path}, line {number}"
            pairs.append(_pair(parse_object(line, where), where))
    if not pairs:
        raise DataError(f"{path}: expected pairs of sentences, found none.")
    if limit is None or limit >= len(pairs):
        return pairs
    return [pairs[int(number)] for number in np.linspace(0, len(pairs) - 1, limit)]


def judge(
    checkpoint: Checkpoint,
    pairs: Sequence[Pair],
    length_exponent: float = JudgeSettings.length_exponent,
    progress: bool = False,
) -> dict:
    """How many pairs a pre-training model gets right, ready for JSON.

    A sentence's score is divided by its number of tokens to the power of `length_exponent`.

    Returns "pairs" and "accuracy" (0 to 1) of all, and of each paradigm and phenomenon under
    "paradigms" and "phenomena". Raises `DataError` for a checkpoint that is no language model
    and for a sentence that is longer than it takes.
    """
    right = is_right(checkpoint, pairs, length_exponent, progress)
    return {
        "pairs": len(right),
        "accuracy": float(right.mean()),
        "phenomena": shares_by([pair.phenomenon for pair in pairs], right),
        "paradigms": shares_by([pair.paradigm for pair in pairs], right),
    }


def is_right(
    checkpoint: Checkpoint,
    pairs: Sequence[Pair],
    length_exponent: float = JudgeSettings.length_exponent,
    progress: bool = False,
) -> np.ndarray:
    """Whether the good sentence of each pair scores higher, (pairs,). Raises as `judge` does.

    By more than rounding: a model that knows no order gives two orders of the same words one score,
    but for the order in which it adds up.
    """
    # Each once; those of a pair beside each other, since they share rows.
    sentences = list(dict.fromkeys(text for pair in pairs for text in (pair.good, pair.bad)))
    scores = log_likelihoods(checkpoint, sentences, "judge" if progress else None)
    _check_pieces(
        checkpoint, [text for text, own in zip(sentences, scores, strict=True) if own == 0]
    )
    if length_exponent:  # The sentences are tokenized once more for it.
        lengths = checkpoint.tokenizer.tokenize(sentences).row_lengths()
        scores = scores / np.maximum(lengths, 1.0) ** length_exponent
    score_of = dict(zip(sentences, scores, strict=True))
    good = np.array([score_of[pair.good] for pair in pairs])
    bad = np.array([score_of[pair.bad] for pair in pairs])
    return good - bad > _ROUNDING * np.abs(bad)


def _check_pieces(checkpoint: Checkpoint, sentences: Sequence[str]) -> None:
    """That sentences whose score is 0 have it from the model, not for want of a piece."""
    for text, pieces in zip(sentences, checkpoint.tokenizer.tokenize(sentences), strict=True):
        if not len(pieces):
            raise DataError(f"A sentence must have a piece at least. Received: {text!r}.")


def shares_by(names: Sequence[str], right: np.ndarray) -> dict[str, dict]:
    """ "pairs" and "accuracy" of the pairs of each name."""
    names = np.array(names)
    return {
        str(name): {"pairs": int(own.sum()), "accuracy": float(right[own].mean())}
        for name, own in ((name, names == name) for name in np.unique(names))
    }


def format_judgement(report: dict) -> str:
    """What `judge` returns as a table of phenomena, for a person."""
    rows = [("phenomenon", "pairs", "right")]
    rows += [
        (name, f"{part['pairs']:,}", f"{part['accuracy']:.1%}")
        for name, part in sorted(report["phenomena"].items())
    ]
    rows.append(("all", f"{report['pairs']:,}", f"{report['accuracy']:.1%}"))
    width = max(len(name) for name, _, _ in rows)
    return "\n".join(f"{name:<{width}}  {pairs:>8}  {right:>6}" for name, pairs, right in rows)


def _lines(path) -> Iterator[str]:
    with open(path, "rb") as raw:
        try:
            for line in decompressed(raw, str(path)):
                yield line.decode("utf-8-sig")
        except (*DAMAGE, UnicodeDecodeError) as error:
            raise DataError(f"{path} must be whole, and UTF-8: {error}.") from error


def _pair(values: dict, where: str) -> Pair:
    names = (
        ("good", "sentence_good"),
        ("bad", "sentence_bad"),
        ("paradigm", "UID"),
        ("term", "linguistics_term"),
    )
    found = [values.get(ours, values.get(theirs)) for ours, theirs in names]
    if not all(isinstance(text, str) and text.strip() for text in found[:2]):
        raise DataError(f"{where}: expected texts under `good` and `bad`. Received: {values}.")
    return Pair(*found[:2], *(str(name or "all") for name in found[2:]))
