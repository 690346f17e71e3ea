"""What a pre-trained model puts in the place of [MASK] (arXiv 1810.04805, section 3.1)."""

from collections.abc import Sequence

import numpy as np
from keras import ops

from kbert.checkpoints.directory import Checkpoint
from kbert.errors import DataError
from kbert.inference.settings import FillMaskSettings

MASK = "[MASK]"
# Texts computed together: their scores over the vocabulary shall not fill the memory.
BATCH_SIZE = 32


def fill_mask(
    checkpoint: Checkpoint, texts: Sequence[str], top: int = FillMaskSettings.top
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
    pieces = checkpoint.tokenizer.vocabulary
    if "masked_lm" not in checkpoint.model.output:
        raise DataError(
            "Only a masked LM fills masks: expected what `kbert pretrain` wrote, with an objective "
            f"of masked LM. Received: the outputs {', '.join(checkpoint.model.output)}."
        )
    if not 1 <= top <= len(pieces):
        raise DataError(f"Expected 1 to {len(pieces)} pieces for a mask. Received: {top}.")
    filled = []
    for start in range(0, len(texts), BATCH_SIZE):
        some = texts[start : start + BATCH_SIZE]
        for text, scores in zip(some, _mask_scores(checkpoint, some), strict=True):
            filled.append(
                [_candidates(text, number, row, pieces, top) for number, row in enumerate(scores)]
            )
    return filled


def _mask_scores(checkpoint: Checkpoint, texts: Sequence[str]) -> list[np.ndarray]:
    """For each text the probabilities (its masks, vocabulary), float32, of all pieces."""
    limit = checkpoint.config.max_sequence_length
    inputs = checkpoint.tokenizer(texts, sequence_length=limit, special_tokens=True)
    inputs = {name: np.asarray(tensor) for name, tensor in inputs.items()}
    is_mask = inputs["token_ids"] == checkpoint.tokenizer.mask_id  # (batch, sequence)
    counts = is_mask.sum(axis=1)
    for text, found in zip(texts, counts, strict=True):
        _check_masks(text, int(found), limit)
    # The positions of the masks come first, in their order; rows with fewer are filled up with
    # positions of other tokens, whose scores are not looked at.
    positions = np.argsort(~is_mask, axis=1, kind="stable")[:, : counts.max()]
    inputs["mask_positions"] = positions.astype("int32")
    inputs["cls_positions"] = np.zeros((len(texts), 1), "int32")
    wanted = {name: inputs[name] for name in checkpoint.model.input}
    logits = checkpoint.model(wanted, training=False)["masked_lm"]
    probabilities = ops.convert_to_numpy(ops.softmax(logits))  # (batch, predictions, vocabulary)
    return [row[:count] for row, count in zip(probabilities, counts, strict=True)]


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


def _candidates(
    text: str, number: int, probabilities: np.ndarray, pieces: Sequence[str], top: int
) -> list[dict]:
    """The `top` likeliest pieces for one mask of a text: `fill_mask`'s dictionaries."""
    best = np.argsort(-probabilities, kind="stable")[:top]
    return [
        {
            "token": pieces[piece],
            "score": float(probabilities[piece]),
            "text": _filled_text(text, number, pieces[piece]),
        }
        for piece in best
    ]


def _filled_text(text: str, number: int, piece: str) -> str:
    """The text with a piece for its mask of that number; "##s" joins the word before it."""
    parts = text.split(MASK)
    before = MASK.join(parts[: number + 1])
    after = MASK.join(parts[number + 1 :])
    if piece.startswith("##") and len(piece) > 2:
        return before.rstrip() + piece[2:] + after
    return before + piece + after
