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
    # Two axes, or XLA writes a tensor of the vocabulary's width once for each shape it is used in.
    logits = ops.reshape(ops.cast(logits, "float32"), (-1, ops.shape(logits)[-1]))
    targets, weights = ops.reshape(ops.cast(targets, "int32"), (-1, 1)), ops.reshape(weights, (-1,))
    losses = _cross_entropy(targets)(logits)
    if smoothing:
        losses = (1 - smoothing) * losses + smoothing * _uniform_cross_entropy(logits)
    scores = ops.stop_gradient(logits)
    # A largest value is cheaper to find than its place.
    is_right = _chosen(scores, targets) >= ops.max(scores, axis=-1)
    return ops.sum(losses * weights), ops.sum(ops.cast(is_right, "float32") * weights)


def _cross_entropy(targets):
    """A function: logits (..., classes) -> the cross-entropy with targets (..., 1).

    The gradient is written down, because a row of masked LM is as long as the vocabulary: that of
    a lookup would be a scatter, and a softmax kept for it one more table of that size.
    """

    @ops.custom_gradient
    def cross_entropy(logits):
        highest = ops.max(logits, axis=-1, keepdims=True)
        total = highest + ops.log(ops.sum(ops.exp(logits - highest), axis=-1, keepdims=True))

        def gradient(*args, upstream=None):
            upstream = args[0] if upstream is None else upstream
            is_target = ops.equal(ops.arange(ops.shape(logits)[-1], dtype="int32"), targets)
            shares = ops.exp(logits - total) - ops.cast(is_target, "float32")
            return shares * ops.expand_dims(upstream, -1)

        return total[..., 0] - _chosen(logits, targets), gradient

    return cross_entropy


def _chosen(logits, targets):
    return ops.take_along_axis(logits, targets, axis=-1)[..., 0]


def _uniform_cross_entropy(logits):
    """Against a target that gives all possible classes the same share: (..., classes) -> (...)."""
    possible = ops.cast(logits > IMPOSSIBLE / 2, "float32")
    losses = ops.sum(-ops.log_softmax(logits) * possible, axis=-1)
    return losses / ops.sum(possible, axis=-1)
