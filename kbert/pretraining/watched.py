"""Fixed held-out sentences in TensorBoard at every evaluation: how the model learns to see them.

watched/fill_mask        each with one piece hidden, and what the model expects in its place
watched/attention_1 ...  of each, every head of every layer, where matplotlib is installed
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import keras
import numpy as np
from keras import ops
from scipy.special import softmax

from kbert.corpus.store import Split
from kbert.engine.callbacks import Counter
from kbert.engine.logs import LogWriter
from kbert.figures import Png, can_draw, drawing, png_of
from kbert.models import attention_scores
from kbert.text.joining import join_pieces

_COUNT = 4
# Pieces of a sentence that says something, and whose map can be read.
_SHORTEST, _LONGEST = 6, 22
_TOP = 5
_HIDDEN = "\N{WHITE VERTICAL RECTANGLE}"
_SPECIAL_IN_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~])")


class Watched(NamedTuple):
    """Sentences, each [CLS] pieces [SEP] with one piece hidden; integers.

    Attributes:
        token_ids, padding_mask: (sentences, sequence).
        places: of the hidden piece, (sentences,).
        hidden_ids: the piece that was there, (sentences,).
        vocabulary: of the ids.
    """

    token_ids: np.ndarray
    padding_mask: np.ndarray
    places: np.ndarray
    hidden_ids: np.ndarray
    vocabulary: Sequence[str]

    def inputs(self) -> dict[str, np.ndarray]:
        """Those of every model of pre-training."""
        zeros = np.zeros_like(self.token_ids)
        return {
            "token_ids": self.token_ids,
            "segment_ids": zeros,
            "padding_mask": self.padding_mask,
            "mask_positions": self.places[:, None],
            "cls_positions": zeros[:, :1],
        }


def watched_sentences(split: Split, vocabulary: Sequence[str], longest: int) -> Watched | None:
    """Sentences from all over a split, always the same; None where none has a fitting length.

    Of each the longest piece that is a whole word is hidden, or else the longest.

    Args:
        longest: tokens that a row may have.
    """
    lengths = np.diff(split.sentences)
    fitting = np.flatnonzero((lengths >= _SHORTEST) & (lengths <= min(_LONGEST, longest - 2)))
    if not len(fitting):
        return None
    chosen = fitting[np.unique(np.linspace(0, len(fitting) - 1, _COUNT).astype(int))]
    pad, cls, sep, mask = map(vocabulary.index, ("[PAD]", "[CLS]", "[SEP]", "[MASK]"))
    token_ids = np.full((len(chosen), lengths[chosen].max() + 2), pad, "int32")
    places = np.empty(len(chosen), "int32")
    for row, number in enumerate(chosen):
        ids = split.tokens[slice(*split.sentences[number : number + 2])]
        token_ids[row, : len(ids) + 2] = [cls, *ids, sep]
        places[row] = 1 + _hidden_place([vocabulary[piece] for piece in ids])
    rows = np.arange(len(chosen))
    hidden_ids = token_ids[rows, places]
    padding_mask = (token_ids != pad).astype("int32")
    token_ids[rows, places] = mask
    return Watched(token_ids, padding_mask, places, hidden_ids, vocabulary)


def _hidden_place(pieces: Sequence[str]) -> int:
    goes_on = [piece.startswith("##") for piece in pieces]
    is_word = [not a and not b for a, b in zip(goes_on, [*goes_on[1:], False], strict=True)]
    middle = len(pieces) // 2
    return max(range(len(pieces)), key=lambda n: (is_word[n], len(pieces[n]), -abs(n - middle)))


class WatchSentences(keras.callbacks.Callback):
    """Writes what the model makes of them every so many steps, and at the end.

    Args:
        watched: the sentences.
        writer: of the run's log folder.
        counter: of the run.
        every: steps between.
    """

    def __init__(self, watched: Watched, writer: LogWriter, counter: Counter, every: int):
        super().__init__()
        self.watched = watched
        self.writer = writer
        self.counter = counter
        self.every = every

    def on_train_batch_end(self, batch, logs=None):
        if not self.counter.due(self.every):
            return
        self.model.synchronise()
        step, model = self.counter.step, self.model.model
        given = self.watched.inputs()
        outputs = model({name: given[name] for name in model.input}, training=False)
        found = {name: ops.convert_to_numpy(value) for name, value in outputs.items()}
        self.writer.text(step, "watched/fill_mask", table(self.watched, found))
        if can_draw() and (scores := attention_scores(model, given)):
            layers = [ops.convert_to_numpy(layer) for layer in scores]
            self._draw(step, np.stack(layers, axis=1))

    def _draw(self, step, attention):
        for number, scores in enumerate(attention):
            length = int(self.watched.padding_mask[number].sum())
            picture = _attention_png(number, scores[:, :, :length, :length])
            self.writer.image(step, f"watched/attention_{number + 1}", *picture)


def table(watched: Watched, outputs: Mapping[str, np.ndarray]) -> str:
    """Markdown: the sentences, what was hidden, and the likeliest pieces, with probabilities."""
    rows = np.arange(len(watched.places))
    if "masked_lm" in outputs:
        logits = outputs["masked_lm"][:, 0]
    else:  # What a left-to-right LM expects behind the tokens before.
        logits = outputs["next_token"][rows, watched.places - 1]
    probabilities = softmax(logits.astype("float32"), axis=-1)
    lines = ["| | sentence | hidden | expected |", "| --- | --- | --- | --- |"]
    for row, scores in enumerate(probabilities):
        best = np.argsort(-scores, kind="stable")[:_TOP]
        expected = ", ".join(_scored(watched, piece, scores) for piece in best)
        hidden = _scored(watched, watched.hidden_ids[row], scores)
        lines.append(f"| {row + 1} | {_sentence(watched, row)} | {hidden} | {expected} |")
    return "\n".join(lines)


def _sentence(watched: Watched, row: int) -> str:
    ids = watched.token_ids[row, 1 : watched.padding_mask[row].sum() - 1]
    pieces = [watched.vocabulary[piece] for piece in ids]
    pieces[watched.places[row] - 1] = _HIDDEN
    return _escaped(join_pieces(pieces))


def _scored(watched: Watched, piece: int, scores: np.ndarray) -> str:
    return f"{_escaped(watched.vocabulary[piece])} {scores[piece]:.3f}"


def _escaped(text: str) -> str:
    return _SPECIAL_IN_MARKDOWN.sub(r"\\\1", text)


def _attention_png(number: int, scores: np.ndarray) -> Png:
    """All heads of all layers as maps beside each other; scores (layers, heads, query, key)."""
    layers, heads, length, _ = scores.shape
    # A gap of one cell behind each map.
    maps = np.pad(scores, ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=np.nan)
    side = length + 1
    maps = maps.transpose(0, 2, 1, 3).reshape(layers * side, heads * side)
    with drawing(1 + 0.75 * heads, 1 + 0.75 * layers) as figure:
        axis = figure.subplots()
        # The square root, so that small scores are seen.
        axis.imshow(np.sqrt(maps), cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
        for set_ticks, count in ((axis.set_xticks, heads), (axis.set_yticks, layers)):
            set_ticks(side * np.arange(count) + length / 2 - 0.5, range(1, count + 1))
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        axis.set(xlabel="head", ylabel="layer")
        axis.set_title(f"Sentence {number + 1}: rows look at columns", size=9)
        return png_of(figure)
