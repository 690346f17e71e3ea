"""Minimal pairs: does a masked LM find the grammatical sentence likelier than its neighbour?

The score of a sentence is its pseudo-log-likelihood (Salazar et al. 2020, arXiv 1910.14659,
equation 2): each token is masked by itself, and the log-probabilities of what was there are added
up. A pair is right if the good sentence scores higher; a tie is wrong. BLiMP (arXiv 1912.00582) and
ZhoBLiMP (arXiv 2411.06096) are such pairs, grouped by paradigm and by phenomenon.
"""

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import keras
import numpy as np
from keras import ops
from tqdm import tqdm

from kbert.checkpoints.directory import Checkpoint
from kbert.corpus.compression import DAMAGE, decompressed
from kbert.errors import DataError
from kbert.inference.forward import forward_of
from kbert.tasks.readers.objects import parse_object

# Tokens computed together: see kbert/inference/answering.py.
_MOST_TOKENS = 4096
# Sentences tokenized together: enough to find many of one length, few enough for the memory.
_AT_ONCE = 8192


class Pair(NamedTuple):
    """Two sentences that differ in one point of grammar; `good` is the grammatical one."""

    good: str
    bad: str
    paradigm: str = "all"
    phenomenon: str = "all"


def read_pairs(path: str | os.PathLike) -> list[Pair]:
    """The pairs in a file of JSON lines, plain or .gz, .xz or .zst.

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
    return pairs


def judge(checkpoint: Checkpoint, pairs: Sequence[Pair], progress: bool = False) -> dict:
    """How many pairs a pre-training model gets right, ready for JSON.

    Returns "pairs" and "accuracy" (0 to 1) of all, and of each paradigm and phenomenon under
    "paradigms" and "phenomena". Raises `DataError` for a checkpoint without the masked-LM head and
    for a sentence that is longer than it takes.
    """
    right = is_right(checkpoint, pairs, progress)
    return {
        "pairs": len(right),
        "accuracy": float(right.mean()),
        "phenomena": shares_by([pair.phenomenon for pair in pairs], right),
        "paradigms": shares_by([pair.paradigm for pair in pairs], right),
    }


def is_right(checkpoint: Checkpoint, pairs: Sequence[Pair], progress: bool = False) -> np.ndarray:
    """Whether the good sentence of each pair scores higher, (pairs,). Raises as `judge` does."""
    sentences = sorted({text for pair in pairs for text in (pair.good, pair.bad)}, key=len)
    scores = pseudo_log_likelihoods(checkpoint, sentences, progress)
    score_of = dict(zip(sentences, scores, strict=True))
    return np.array([score_of[pair.good] > score_of[pair.bad] for pair in pairs])


def shares_by(names: Sequence[str], right: np.ndarray) -> dict[str, dict]:
    """ "pairs" and "accuracy" of the pairs of each name."""
    names = np.array(names)
    return {
        str(name): {"pairs": int(own.sum()), "accuracy": float(right[own].mean())}
        for name, own in ((name, names == name) for name in np.unique(names))
    }


def pseudo_log_likelihoods(
    checkpoint: Checkpoint, sentences: Sequence[str], progress: bool = False
) -> np.ndarray:
    """Sum over the tokens of log p(token | all others), in nats, float64 (sentences,).

    [CLS] and [SEP] stand around the sentence and are not scored. `progress` shows a bar on a
    terminal.
    """
    scorer = _scorer(checkpoint)
    scores = np.zeros(len(sentences))
    hidden = None if progress else True  # None: where there is no terminal.
    with tqdm(total=len(sentences), desc="judge", unit=" sentences", disable=hidden) as bar:
        for start in range(0, len(sentences), _AT_ONCE):
            for numbers, token_ids in _by_length(checkpoint, sentences[start : start + _AT_ONCE]):
                found = _scores_of(scorer, token_ids, checkpoint.tokenizer.mask_id)
                scores[start + numbers] = found
                bar.update(len(numbers))
    return scores


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
    if not all(isinstance(text, str) and text for text in found[:2]):
        raise DataError(f"{where}: expected texts under `good` and `bad`. Received: {values}.")
    return Pair(*found[:2], *(str(name or "all") for name in found[2:]))


def _scorer(checkpoint: Checkpoint) -> keras.Model:
    """The model's masked-LM half with one more input, `targets` (batch, predictions).

    Its output, float32 (batch, predictions), is the log-probability of each target: a batch's
    scores of the whole vocabulary never leave the graph.
    """
    model = checkpoint.model
    if "masked_lm" not in model.output:
        raise DataError(
            "Only a pre-training model judges sentences: expected what `kbert pretrain` wrote. "
            f"Received: the outputs {', '.join(model.output)}."
        )
    targets = keras.Input((None,), dtype="int32", name="targets")
    log_probabilities = ops.log_softmax(model.output["masked_lm"])
    chosen = ops.take_along_axis(log_probabilities, targets[..., None], axis=-1)[..., 0]
    names = ("token_ids", "segment_ids", "padding_mask", "mask_positions")
    inputs = {name: model.input[name] for name in names} | {"targets": targets}
    return keras.Model(inputs, {"log_probability": chosen}, name="scorer")


def _by_length(checkpoint, sentences) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Sentences of the same number of tokens: their numbers, and ids (sentences, tokens)."""
    limit = checkpoint.config.max_sequence_length
    inputs = checkpoint.tokenizer(sentences, sequence_length=limit + 1)
    token_ids, mask = (np.asarray(inputs[name]) for name in ("token_ids", "padding_mask"))
    lengths = mask.sum(axis=1)
    if lengths.max() > limit:
        longest = sentences[int(lengths.argmax())]
        raise DataError(f"The model takes {limit} tokens, fewer than the sentence {longest!r} has.")
    for length in np.unique(lengths):
        numbers = np.flatnonzero(lengths == length)
        yield numbers, token_ids[numbers, :length]


def _scores_of(scorer, token_ids, mask_id) -> np.ndarray:
    """The scores of sentences of one length: (sentences, tokens) -> (sentences,)."""
    count, length = token_ids.shape
    inner = length - 2  # Without [CLS] and [SEP].
    if inner == 0:
        return np.zeros(count)
    copies = np.repeat(token_ids, inner, axis=0)  # (sentences x inner, tokens)
    positions = np.tile(np.arange(1, length - 1), count)
    targets = copies[np.arange(len(copies)), positions]
    copies[np.arange(len(copies)), positions] = mask_id
    forward, rows = forward_of(scorer).run, max(1, _MOST_TOKENS // length)
    found = [
        forward(_inputs(copies[at], positions[at], targets[at]))["log_probability"][:, 0]
        for at in (slice(start, start + rows) for start in range(0, len(copies), rows))
    ]
    return np.concatenate(found).reshape(count, inner).sum(axis=1, dtype="float64")


def _inputs(token_ids, positions, targets) -> dict[str, np.ndarray]:
    return {
        "token_ids": token_ids.astype("int32"),
        "segment_ids": np.zeros_like(token_ids, "int32"),
        "padding_mask": np.ones_like(token_ids, "int32"),
        "mask_positions": positions[:, None].astype("int32"),
        "targets": targets[:, None].astype("int32"),
    }
