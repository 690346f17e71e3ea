"""Masked language modelling (arXiv 1810.04805, section 3.1 and appendix A.1)."""

from typing import NamedTuple

import numpy as np

MASKED_SHARE, RANDOM_SHARE = 0.8, 0.1  # of the chosen tokens; the rest stays as it is


class Masked(NamedTuple):
    """Rows with their predictions; unused slots hold position 0, target 0 and weight 0.

    Shapes: token_ids (batch, sequence); the others (batch, predictions), sorted by position.
    """

    token_ids: np.ndarray
    positions: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


def max_predictions(sequence_length: int, masking_rate: float) -> int:
    """How many slots a row needs so that no chosen token is lost."""
    return max(1, int(np.ceil(sequence_length * masking_rate)))


def num_draws(sequence_length: int, masking_rate: float) -> int:
    """How many uniform numbers `mask_tokens` takes for a row."""
    return sequence_length + 2 * max_predictions(sequence_length, masking_rate)


def mask_tokens(token_ids, candidates, draws, *, masking_rate, mask_id, ordinary_ids) -> Masked:
    """Choose tokens of each row and hide them: 80 % [MASK], 10 % a random piece, 10 % unchanged.

    Args:
        token_ids: (batch, sequence).
        candidates: booleans (batch, sequence), the tokens that may be chosen.
        draws: uniform numbers in [0, 1), (batch, `num_draws(sequence, masking_rate)`).
        masking_rate: share of the candidates of a row that are chosen, at least one.
        mask_id: of [MASK].
        ordinary_ids: the pieces that a random one is drawn from, so without special tokens.
    """
    sequence = token_ids.shape[1]
    slots = max_predictions(sequence, masking_rate)
    order, action, replacement = np.split(draws, [sequence, sequence + slots], axis=1)
    available = candidates.sum(axis=1)
    wanted = np.maximum(1, np.rint(available * masking_rate)).astype(np.int64)
    count = np.minimum(np.minimum(wanted, available), slots)
    # The first `count` candidates of a random order; what is no candidate comes last.
    chosen = np.argsort(np.where(candidates, order, 2.0), axis=1)[:, :slots]
    used = np.arange(slots) < count[:, None]
    positions = np.sort(np.where(used, chosen, sequence), axis=1)
    positions = np.where(used, positions, 0)
    targets = np.where(used, np.take_along_axis(token_ids, positions, axis=1), 0)
    random_ids = ordinary_ids[(replacement * len(ordinary_ids)).astype(np.int64)]
    hidden = np.where(action < MASKED_SHARE + RANDOM_SHARE, random_ids, targets)
    hidden = np.where(action < MASKED_SHARE, mask_id, hidden)
    masked = token_ids.copy()
    rows, columns = np.nonzero(used)
    masked[rows, positions[rows, columns]] = hidden[rows, columns]
    return Masked(masked, positions, targets, used.astype(np.float32))
