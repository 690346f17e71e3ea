"""The loss of every choice between classes: words, labels, tags, spans."""

from keras import ops

from kbert.layers import IMPOSSIBLE, Tensor
from kbert.layers.kernels import cross_entropy


def weighted_cross_entropy(
    logits: Tensor, targets: Tensor, weights: Tensor, smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Weighted sums of the cross-entropy in nats, and of 1 where `is_right`.

    Args:
        logits: (..., classes), any float type; `IMPOSSIBLE` for a class that a row does not have.
        targets: integers (...).
        weights: float32 (...).
        smoothing: share of the right class that is given to all possible ones alike, itself among
            them (arXiv 1512.00567, section 7).
    """
    # Two axes, or XLA writes a tensor of the vocabulary's width once for each shape it is used in.
    logits = ops.reshape(ops.cast(logits, "float32"), (-1, ops.shape(logits)[-1]))
    targets, weights = ops.reshape(ops.cast(targets, "int32"), (-1, 1)), ops.reshape(weights, (-1,))
    losses = cross_entropy(logits, targets)
    if smoothing:
        losses = (1 - smoothing) * losses + smoothing * _uniform_cross_entropy(logits)
    right = ops.cast(is_right(logits, targets[:, 0]), "float32")
    return ops.sum(losses * weights), ops.sum(right * weights)


def relative_entropy(target: Tensor, log_probabilities: Tensor) -> Tensor:
    """target x log(target / probability), element by element; 0 where the target is 0."""
    known = ops.where(target > 0, target, 1.0)
    return target * (ops.log(known) - log_probabilities)


def divergence(logits: Tensor, target: Tensor, temperature: float) -> Tensor:
    """T^2 KL(target || softmax(logits / T)), float32 (...): what a student is from its teacher, in
    nats (arXiv 1503.02531, section 2; T^2 keeps the size of the gradient).

    Args:
        logits: (..., classes), any float type.
        target: probabilities (..., classes), at the temperature T.
    """
    found = ops.log_softmax(ops.cast(logits, "float32") / temperature)
    return temperature**2 * ops.sum(relative_entropy(target, found), axis=-1)


def cosine_distance(one: Tensor, other: Tensor) -> Tensor:
    """1 - the cosine of vectors (..., width): float32 (...)."""
    one, other = (ops.normalize(ops.cast(x, "float32"), axis=-1) for x in (one, other))
    return 1 - ops.sum(one * other, axis=-1)


def is_right(logits: Tensor, targets: Tensor) -> Tensor:
    """Whether the target's logit is the highest, and no other is as high: booleans (...).

    A model that says the same of all classes has not found the right one.

    Args:
        logits: (..., classes).
        targets: integers (...).
    """
    logits = ops.stop_gradient(logits)
    chosen = ops.take_along_axis(logits, ops.cast(targets, "int32")[..., None], axis=-1)
    # Counting passes over the logits once; finding the place of the highest takes longer.
    return ops.equal(ops.sum(ops.cast(logits >= chosen, "int32"), axis=-1), 1)


def _uniform_cross_entropy(logits):
    """Against a target that gives all possible classes the same share: (..., classes) -> (...)."""
    possible = ops.cast(logits > IMPOSSIBLE / 2, "float32")
    losses = ops.sum(-ops.log_softmax(logits) * possible, axis=-1)
    # A row that fills up a batch has no class: 0 and not 0 / 0, which no weight makes a number.
    return losses / ops.maximum(ops.sum(possible, axis=-1), 1.0)
