"""The loss of every choice between classes: words, labels, tags, spans."""

from keras import ops

# The logit of a class that a row does not have: nothing beside any other, and still a number.
IMPOSSIBLE = -1e9


def weighted_cross_entropy(logits, targets, weights, smoothing=0.0):
    """Weighted sums of the cross-entropy in nats, and of 1 where the highest logit is right.

    Args:
        logits: (..., classes), any float type.
        targets: integers (...).
        weights: float32 (...).
        smoothing: share of the right class that is given to all possible ones alike, itself among
            them (arXiv 1512.00567, section 7).
    """
    logits = ops.cast(logits, "float32")
    losses = ops.sparse_categorical_crossentropy(targets, logits, from_logits=True)
    if smoothing:
        losses = (1 - smoothing) * losses + smoothing * _uniform_cross_entropy(logits)
    right = ops.equal(ops.cast(ops.argmax(logits, axis=-1), "int32"), ops.cast(targets, "int32"))
    return ops.sum(losses * weights), ops.sum(ops.cast(right, "float32") * weights)


def _uniform_cross_entropy(logits):
    """Against a target that gives all possible classes the same share: (..., classes) -> (...)."""
    possible = ops.cast(logits > IMPOSSIBLE / 2, "float32")
    losses = ops.sum(-ops.log_softmax(logits) * possible, axis=-1)
    return losses / ops.sum(possible, axis=-1)
