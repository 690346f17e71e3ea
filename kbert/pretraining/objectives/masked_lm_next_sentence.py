"""The pre-training loss: masked LM plus next sentence (arXiv 1810.04805, appendix A.2)."""

from kbert.layers.losses import weighted_cross_entropy


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
