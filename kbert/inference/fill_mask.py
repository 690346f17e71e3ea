"""What a pre-trained model puts in the place of [MASK] (arXiv 1810.04805, section 3.1)."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from kbert.errors import DataError
from kbert.inference.answerer import Answerer
from kbert.inference.forward import Arrays, Forward
from kbert.inference.settings import FillMaskSettings
from kbert.settings import Settings
from kbert.tasks.base import Task
from kbert.tasks.features import Feature
from kbert.tasks.texts import parse_texts, tokenize

if TYPE_CHECKING:
    # An export is answered without Keras, which takes seconds to import.
    import keras

    from kbert.checkpoints.directory import Checkpoint

MASK = "[MASK]"
# Texts computed together: their scores over the vocabulary shall not fill the memory.
BATCH_SIZE = 32
# In a text of a request: each has scores over the whole vocabulary, and candidates with the text.
MOST_MASKS = 16


@dataclasses.dataclass(frozen=True)
class FillMask(Settings):
    """In the place of a task, for a model with the masked-LM head.

    Its model has the outputs `token`, pieces in UTF-8, and `score`, their probabilities, both
    (batch, masks, top), the likeliest first: for each mask of a text that the model sees.

    Args:
        sequence_length: tokens at most; a longer text is cut.
        top: pieces for a mask.
    """

    sequence_length: int
    top: int = FillMaskSettings.top
    decode_all = Task.decode_all
    name = "fill-mask"
    instance_fields = ("text",)
    takes_pairs = False
    takes_choices = False

    def parse(self, instance: str | Mapping, where: str) -> str:
        """The text of an instance. Raises `DataError` for anything else, and without a mask."""
        text = parse_texts(instance, self.instance_fields, where)["text"]
        if MASK not in text:
            raise DataError(f"{where}: expected a text with {MASK} in it. Received: {text[:80]!r}.")
        if (masks := text.count(MASK)) > MOST_MASKS:
            raise DataError(f"{where}: expected at most {MOST_MASKS} {MASK}. Received: {masks}.")
        return text

    def encode(self, examples: Sequence[str], tokenizer) -> list[Feature]:
        """The texts as the model sees them; `context` is the number of masks among the tokens."""
        rows, cut = tokenize(tokenizer, examples, None, self.sequence_length, special_tokens=True)
        return [
            Feature(row, number, {}, {}, bool(cut[number]), _count_masks(row, tokenizer))
            for number, row in enumerate(rows)
        ]

    def decode(self, outputs: Sequence[Mapping], example: str, features: Sequence[Feature]) -> dict:
        """{"masks": for each mask of the text `fill_mask`'s candidates}; none for one that is cut
        off."""
        tokens, scores = outputs[0]["token"], outputs[0]["score"]
        masks: list[list[dict]] = [[] for _ in range(example.count(MASK))]
        for number in range(features[0].context):
            pieces = [token.decode("utf-8") for token in tokens[number].tolist()]
            masks[number] = _candidates(example, number, pieces, scores[number])
        return {"masks": masks}


def _count_masks(row: Mapping[str, np.ndarray], tokenizer) -> int:
    return int((row["token_ids"] == tokenizer.mask_id).sum())


def fill_mask(
    checkpoint: "Checkpoint", texts: Sequence[str], top: int = FillMaskSettings.top
) -> list[list[list[dict]]]:
    """The likeliest pieces for every [MASK] of every text.

    The masks of one text are filled each by itself, while the others stay.

    Args:
        checkpoint: of a pre-training model.
        texts: each with one "[MASK]" or more.
        top: how many pieces, the likeliest first.

    Returns:
        For each text, for each of its masks: `top` times {"token": the piece, "score": its
        probability among all pieces, "text": the text with the piece in the mask's place}.

    Raises `DataError` for a checkpoint without the masked-LM head, a text without a mask, a text
    so long that a mask is cut off, and a `top` that is no number of pieces.
    """
    return fill_masks(mask_filler(checkpoint, top), texts, top)


def fill_masks(
    answerer: Answerer, texts: Sequence[str], top: int = FillMaskSettings.top
) -> list[list[list[dict]]]:
    """`fill_mask` with what answers `FillMask`: `mask_filler`'s, or an export.

    Raises `DataError` as `fill_mask`, and for more pieces than that gives.
    """
    task = answerer.task
    if not isinstance(task, FillMask):
        raise DataError(f"The model answers {task.name}: expected one that fills masks.")
    check_top(top, task.top)
    filled = [answer["masks"] for answer in answerer.answer(texts)]
    for text, masks in zip(texts, filled, strict=True):
        _check_masks(text, sum(map(bool, masks)), task.sequence_length)
    return [[candidates[:top] for candidates in masks] for masks in filled]


def mask_filler(checkpoint: "Checkpoint", top: int = FillMaskSettings.top) -> Answerer:
    """What fills masks with a checkpoint. Raises `DataError` as `fill_mask`."""
    check_head(checkpoint)
    model, tokenizer, config, _ = checkpoint
    check_top(top, tokenizer.vocabulary_size)

    task = FillMask(config.max_sequence_length, top)
    forward = best_pieces(functools.partial(mask_logits, model), tokenizer, top)
    return Answerer(task, tokenizer, forward, BATCH_SIZE)


def mask_logits(model: "keras.Model", inputs: Arrays) -> np.ndarray:
    """What a masked LM says of every piece at `mask_positions`, float32 (batch, masks,
    vocabulary)."""
    from keras import ops

    given = {**inputs, "cls_positions": np.zeros((len(inputs["token_ids"]), 1), "int32")}
    outputs = model({name: given[name] for name in model.input}, training=False)
    return ops.convert_to_numpy(outputs["masked_lm"]).astype("float32")


def mask_positions(is_mask: np.ndarray) -> np.ndarray:
    """Where the masks of each row stand, int32 (batch, masks of the row with most, one at least).

    They come in their order; rows with fewer are filled up with positions of other tokens, whose
    scores are not looked at.
    """
    most = max(1, int(is_mask.sum(axis=1).max()))
    return np.argsort(~is_mask, axis=1, kind="stable")[:, :most].astype("int32")


def best_pieces(logits: Callable[[Arrays], np.ndarray], tokenizer, top: int) -> Forward:
    """What `FillMask` decodes, from a model's logits.

    Args:
        logits: from the inputs, `mask_positions` (batch, masks) among them, to (batch, masks,
            vocabulary).
        top: pieces for a mask.
    """
    from scipy.special import softmax  # It takes a second to import.

    vocabulary = np.array([piece.encode("utf-8") for piece in tokenizer.vocabulary], object)

    def run(inputs: Arrays) -> dict[str, np.ndarray]:
        masks = mask_positions(inputs["token_ids"] == tokenizer.mask_id)
        scores = softmax(logits({**inputs, "mask_positions": masks}), axis=-1)
        best = np.argsort(-scores, axis=-1, kind="stable")[:, :, :top]
        return {"token": vocabulary[best], "score": np.take_along_axis(scores, best, axis=-1)}

    return Forward(run)


def check_head(checkpoint: "Checkpoint") -> None:
    """Raise `DataError` for a model without the masked-LM head."""
    if "masked_lm" not in checkpoint.model.output:
        raise DataError(
            "Only a masked LM fills masks: expected what `kbert pretrain` wrote, with an objective "
            f"of masked LM. Received: the outputs {', '.join(checkpoint.model.output)}."
        )


def check_top(top: int, most: int) -> None:
    """Raise `DataError` for a number of pieces that there is not."""
    if not 1 <= top <= most:
        raise DataError(f"Expected 1 to {most} pieces for a mask. Received: {top}.")


def _check_masks(text: str, found: int, limit: int) -> None:
    """Raise `DataError` unless all masks of a text, one at least, are among its tokens."""
    expected = text.count(MASK)
    if not expected:
        raise DataError(f"Expected a text with {MASK} in it. Received: {text[:80]!r}.")
    if found < expected:
        raise DataError(
            f"The model takes {limit} tokens; {expected - found} of {expected} {MASK} stand behind "
            f"them in the text {text[:40]!r} ..."
        )


def _candidates(text: str, number: int, pieces: Sequence[str], scores: np.ndarray) -> list[dict]:
    """The pieces for one mask of a text, with their probabilities: `fill_mask`'s dictionaries."""
    return [
        {"token": piece, "score": float(score), "text": _filled_text(text, number, piece)}
        for piece, score in zip(pieces, scores, strict=True)
    ]


def _filled_text(text: str, number: int, piece: str) -> str:
    """The text with a piece for its mask of that number; "##s" joins the word before it."""
    parts = text.split(MASK)
    before = MASK.join(parts[: number + 1])
    after = MASK.join(parts[number + 1 :])
    if piece.startswith("##") and len(piece) > 2:
        return before.rstrip() + piece[2:] + after
    return before + piece + after
