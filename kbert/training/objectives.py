"""The pre-training loss: masked LM plus next sentence (arXiv 1810.04805, appendix A.2)."""

from keras import ops


def pretraining_objective(outputs, targets, weights) -> dict:
    """Weighted sums of both losses and accuracies; "loss" is the sum of both losses.

    Args:
        outputs: float32 logits `masked_lm` (batch, predictions, vocabulary) and `next_sentence`
            (batch, sequences a row, 2).
        targets: integers, without the last axis.
        weights: float32, of the targets' shapes; 0 where a slot is unused. With weights that sum to
            1 the sums are means.
    """
    sums = {}
    for name, logits in outputs.items():
        loss, accuracy = weighted_cross_entropy(logits, targets[name], weights[name])
        sums[f"{name}_loss"], sums[f"{name}_accuracy"] = loss, accuracy
    return {"loss": sum(sums[f"{name}_loss"] for name in outputs), **sums}


def weighted_cross_entropy(logits, targets, weights):
    """Weighted sums of the cross-entropy in nats, and of 1 where the highest logit is right."""
    losses, hits = _cross_entropy(ops.cast(logits, "float32"), targets)
    return ops.sum(losses * weights), ops.sum(hits * weights)


@ops.custom_gradient
def _cross_entropy(logits, targets):
    """The cross-entropy of each row of logits, and 1.0 where the right one is the highest.

    With its gradient written down, as rows are as long as the vocabulary: that of a lookup would
    be a scatter, and a softmax kept for it one more table of that size.
    """
    highest = ops.max(logits, axis=-1, keepdims=True)
    total = highest + ops.log(ops.sum(ops.exp(logits - highest), axis=-1, keepdims=True))
    right = ops.take_along_axis(logits, ops.expand_dims(targets, -1), axis=-1)

    def gradient(*args, upstream=None):
        upstream = args[0] if upstream is None else upstream[0]
        is_right = ops.equal(ops.arange(ops.shape(logits)[-1]), ops.expand_dims(targets, -1))
        shares = ops.exp(logits - total) - ops.cast(is_right, "float32")
        return shares * ops.expand_dims(upstream, -1), None

    hits = ops.cast(right >= highest, "float32")
    return ((total - right)[..., 0], hits[..., 0]), gradient
