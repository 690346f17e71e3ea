"""The loss of every choice between classes: words, labels, tags, spans."""

from keras import ops


def weighted_cross_entropy(logits, targets, weights):
    """Weighted sums of the cross-entropy in nats, and of 1 where the highest logit is right.

    Args:
        logits: (..., classes), any float type.
        targets: integers (...).
        weights: float32 (...).
    """
    logits = ops.cast(logits, "float32")
    losses = ops.sparse_categorical_crossentropy(targets, logits, from_logits=True)
    right = ops.equal(ops.cast(ops.argmax(logits, axis=-1), "int32"), ops.cast(targets, "int32"))
    return ops.sum(losses * weights), ops.sum(ops.cast(right, "float32") * weights)
