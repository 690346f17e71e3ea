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
    logits = ops.cast(logits, "float32")
    losses = ops.sparse_categorical_crossentropy(targets, logits, from_logits=True)
    hits = ops.cast(ops.equal(ops.argmax(logits, axis=-1), targets), "float32")
    return ops.sum(losses * weights), ops.sum(hits * weights)
