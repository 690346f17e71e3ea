"""How likely a pre-trained model finds a text.

Of a left-to-right LM: each piece is predicted from those before it, and the log-probabilities add
up to the text's log-likelihood. Of a masked LM: each piece is masked by itself and predicted from
all others, which gives the pseudo-log-likelihood (Salazar et al. 2020, arXiv 1910.14659, equation
2). exp of the mean over the pieces, with the other sign, is the perplexity and the
pseudo-perplexity (equation 3). Only numbers of one kind and one vocabulary compare.
"""

from collections.abc import Iterator, Sequence

import keras
import numpy as np
from keras import ops
from tqdm import tqdm

from kbert.checkpoints.directory import Checkpoint
from kbert.errors import DataError
from kbert.inference.batches import MOST_TOKENS, check_sequence_length
from kbert.inference.forward import forward_of
from kbert.inference.settings import PerplexitySettings
from kbert.models import masked_lm_alone

# Tokens computed together. A left-to-right LM scores the whole vocabulary at each of them.
_MOST_TOKENS = {"masked_lm": MOST_TOKENS, "next_token": MOST_TOKENS // 4}
# Texts tokenized and grouped together: enough to find many of one length, few enough for memory.
_AT_ONCE = 8192
# Token ids that a masked LM's rows hold together, one row a piece: 64 MiB, and a few copies.
_MOST_IDS = 2**23


def log_likelihoods(
    checkpoint: Checkpoint, texts: Sequence[str], progress: str | None = None
) -> np.ndarray:
    """The log-likelihood of each text, a masked LM's pseudo-: nats, float64 (texts,).

    [CLS] and [SEP] stand around a text and are not scored. `progress` is what a bar on a terminal
    is called; None for no bar. Raises `DataError` for a model without a head over the vocabulary,
    and for a text that is longer than it takes.
    """
    scorer, found = _Scorer(checkpoint), np.zeros(len(texts))
    longest = checkpoint.config.max_sequence_length
    with _bar(progress, len(texts)) as bar:
        for start in range(0, len(texts), _AT_ONCE):
            some = texts[start : start + _AT_ONCE]
            pieces = checkpoint.tokenizer.tokenize(some).to_list()
            for text, ids in zip(some, pieces, strict=True):
                if len(ids) + 2 > longest:
                    raise DataError(
                        f"The model takes {longest} tokens, fewer than the sentence {text!r} has."
                    )
            for numbers, scores in scorer.by_length(pieces):
                found[start + numbers] = scores.sum(axis=1, dtype="float64")
                bar.update(len(numbers))
    return found


def perplexity(
    checkpoint: Checkpoint,
    texts: Sequence[str],
    progress: str | None = None,
    sequence_length: int | None = PerplexitySettings.sequence_length,
) -> dict[str, float | int | str]:
    """The perplexity of texts, ready for JSON.

    A text of more than `sequence_length` tokens, [CLS] and [SEP] among them (None: than the model
    takes), is cut into parts that stand by themselves. [UNK] is not counted: no objective predicts
    it.

    Returns "measure" ("perplexity", or "pseudo-perplexity" of a masked LM), "value", "loss" (mean,
    nats a piece), "pieces" (counted), "unknown" and "texts". Raises `DataError` for a model without
    a head over the vocabulary, for a `sequence_length` that it does not take, and for texts without
    a piece.
    """
    scorer, most = _Scorer(checkpoint), checkpoint.config.max_sequence_length
    if sequence_length is None:
        sequence_length = most
    check_sequence_length(sequence_length, most)
    longest = sequence_length - 2
    total, counted, unknown = 0.0, 0, 0
    with _bar(progress, len(texts)) as bar:
        for start in range(0, len(texts), _AT_ONCE):
            some = texts[start : start + _AT_ONCE]
            pieces = [
                ids[at : at + longest]
                for ids in checkpoint.tokenizer.tokenize(some).to_list()
                for at in range(0, len(ids), longest)
            ]
            for numbers, scores in scorer.by_length(pieces):
                known = np.array([pieces[n] for n in numbers]) != checkpoint.tokenizer.unk_id
                total += float(scores[known].sum(dtype="float64"))
                counted += int(known.sum())
                unknown += int((~known).sum())
            bar.update(len(some))
    if not counted:
        raise DataError("There is no piece of the vocabulary in the texts.")
    loss = -total / counted
    return {
        "measure": scorer.measure,
        "value": float(np.exp(loss)),
        "loss": loss,
        "pieces": counted,
        "unknown": unknown,
        "texts": len(texts),
    }


def _bar(name: str | None, count: int) -> tqdm:
    hidden = True if name is None else None  # None: where there is no terminal.
    return tqdm(total=count, desc=name, unit=" texts", disable=hidden)


class _Scorer:
    """Log-probabilities of the pieces of texts."""

    def __init__(self, checkpoint: Checkpoint):
        self._tokenizer = checkpoint.tokenizer
        heads = [head for head in _MOST_TOKENS if head in checkpoint.model.output]
        if not heads:
            raise DataError(
                "Only a pre-training model says how likely a text is: expected what "
                "`kbert pretrain` wrote. "
                f"Received: the outputs {', '.join(checkpoint.model.output)}."
            )
        self._head = heads[0]
        self.measure = "pseudo-perplexity" if self._head == "masked_lm" else "perplexity"
        # Kept here: a compiled forward pass goes with its model.
        self._model = _log_probability_model(checkpoint.model, self._head)
        self._forward = forward_of(self._model).run

    def by_length(self, pieces: Sequence[Sequence[int]]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields the numbers of texts of one length, and float32 (texts, pieces) of these."""
        lengths = np.array([len(ids) for ids in pieces])
        for length in np.unique(lengths[lengths > 0]):
            yield from self._of_length(pieces, np.flatnonzero(lengths == length), length)

    def _of_length(self, pieces, every, length):
        some = max(1, _MOST_IDS // int(length + 2) ** 2)
        for start in range(0, len(every), some):
            numbers = every[start : start + some]
            ids = np.array([pieces[n] for n in numbers])
            ends = ((0, 0), (1, 1))
            values = ((0, 0), (self._tokenizer.cls_id, self._tokenizer.sep_id))
            token_ids = np.pad(ids, ends, constant_values=values)
            scores = self._masked if self._head == "masked_lm" else self._left_to_right
            yield numbers, scores(token_ids)

    def _masked(self, token_ids):
        """One row for each piece, with [MASK] in its place; rows that are the same are one."""
        count, length = token_ids.shape
        inner = length - 2  # Without [CLS] and [SEP].
        copies = np.repeat(token_ids, inner, axis=0)  # (texts x inner, tokens)
        positions = np.tile(np.arange(1, length - 1), count)[:, None]
        pieces = np.take_along_axis(copies, positions, axis=1)
        np.put_along_axis(copies, positions, self._tokenizer.mask_id, axis=1)
        # Texts that differ in one piece are the same once it is masked.
        rows, of = _distinct(np.concatenate([positions, copies], axis=1))
        slot = _numbered(of)
        targets = np.zeros((len(rows), slot.max() + 1), pieces.dtype)
        targets[of, slot] = pieces[:, 0]
        found = self._run(rows[:, 1:], targets, {"mask_positions": rows[:, :1]})
        return found[of, slot].reshape(count, inner)

    def _left_to_right(self, token_ids):
        targets = np.pad(token_ids[:, 1:], ((0, 0), (0, 1)))
        return self._run(token_ids, targets, {})[:, :-2]

    def _run(self, token_ids, targets, others):
        """Log-probabilities of the targets, of the shape of these."""
        length = token_ids.shape[1]
        rows = max(1, _MOST_TOKENS[self._head] // length)
        inputs = {
            "token_ids": token_ids,
            "segment_ids": np.zeros_like(token_ids),
            "padding_mask": np.ones_like(token_ids),
            "targets": targets,
            **others,
        }
        found = []
        for start in range(0, len(token_ids), rows):
            some = {name: a[start : start + rows].astype("int32") for name, a in inputs.items()}
            found.append(self._forward(some)["log_probability"])
        return np.concatenate(found)


def _log_probability_model(model: keras.Model, head: str) -> keras.Model:
    """The half of a model that has this head, with one more input, `targets` (batch, n).

    Its output, float32 and of that shape, is the log-probability of each: at one position a target,
    or of a masked LM all at the only one. A batch's scores of the whole vocabulary never leave the
    graph.
    """
    targets = keras.Input((None,), dtype="int32", name="targets")
    if head == "masked_lm":
        log_probabilities = ops.log_softmax(masked_lm_alone(model))[:, 0]
        chosen = ops.take_along_axis(log_probabilities, targets, axis=-1)
    else:
        log_probabilities = ops.log_softmax(model.output[head])
        chosen = ops.take_along_axis(log_probabilities, targets[..., None], axis=-1)[..., 0]
    names = ("token_ids", "segment_ids", "padding_mask", "mask_positions")
    inputs = {name: model.input[name] for name in names if name in model.input}
    inputs["targets"] = targets
    return keras.Model(inputs, {"log_probability": chosen}, name="scorer")


def _distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each row once, and which of these each row is."""
    whole = np.ascontiguousarray(rows).view(f"V{rows.itemsize * rows.shape[1]}")[:, 0]
    _, first, of = np.unique(whole, return_index=True, return_inverse=True)
    return rows[first], of


def _numbered(of: np.ndarray) -> np.ndarray:
    """Of equal numbers the first gets 0, the second 1, and so on."""
    order = np.argsort(of, kind="stable")
    found = np.empty_like(of)
    found[order] = np.arange(len(of)) - np.searchsorted(of[order], of[order])
    return found
