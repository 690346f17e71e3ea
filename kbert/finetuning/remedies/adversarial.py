"""Adversarial training on the token embeddings: FGM and PGD, inside the train step."""

import keras
from keras import ops

from kbert.engine.backend import engine


class AdversarialTraining(engine().TrainingModel):
    """Learns from each batch as it is, and with the token table moved so that its loss rises.

    The move r of the table E is as long as `radius` allows, in the direction of the gradient g of
    the whole batch's loss, summed over replicas and microbatches:

        FGM (arXiv 1605.07725), one step:       r = radius g / |g|
        PGD (arXiv 1706.06083), several steps:  r <- r + step_size g / |g|, shortened to `radius`

    |.| is the Euclidean norm over the table. The loss is L(E) + L(E + r); r is a constant in it. So
    FGM's authors do; those of PGD leave out L(E). They move each input by itself; moving the table
    moves all occurrences of a token in a batch alike, which takes no more than one table of memory.

    The table is never written to: a pass sees E + r in its place, with the same dropout as the
    first pass. Each step of the adversary costs one more pass. The logs have "adversarial_loss",
    L(E + r), beside "loss", L(E).

    Args, besides those of TrainingModel:
        table: the variable to move, one of the trainable ones.
        radius: longest move.
        steps: of the adversary.
        step_size: length of each; not shorter than the radius for FGM.
    """

    def __init__(
        self,
        model: keras.Model,
        objective,
        table: keras.Variable,
        radius: float,
        steps: int = 1,
        step_size: float | None = None,
        **options,
    ):
        super().__init__(model, objective, **options)
        self.radius = radius
        self.steps = steps
        self.step_size = radius if step_size is None else step_size
        # Its number: as an attribute it would become a weight of this model once more.
        paths = [variable.path for variable in model.trainable_variables]
        self.table_index = paths.index(table.path)

    def _batch(self, *batch):
        gradients, sums = super()._batch(*batch)
        move, found = 0.0, gradients
        for _ in range(self.steps):
            slope = self._sum_over_devices(found[self.table_index])
            move = _within(move + _of_length(slope, self.step_size), self.radius)
            found, found_sums = super()._batch(*batch, move)
        gradients = [plain + moved for plain, moved in zip(gradients, found, strict=True)]
        return gradients, {**sums, "adversarial_loss": found_sums["loss"]}

    def _moved(self, values, move=None):
        if move is None:
            return []
        table = self.model.trainable_variables[self.table_index]
        return [(table, values[self.table_index] + move)]


def _of_length(slope, length: float):
    """A gradient's direction, `length` long; 0 where it has none, as when float16 overflows."""
    norm = ops.norm(slope)
    known = ops.logical_and(ops.isfinite(norm), norm > 0)
    # The slope itself may hold NaN, which times 0 stays NaN.
    return ops.where(known, slope * (length / ops.where(known, norm, 1.0)), 0.0)


def _within(move, radius: float):
    """A move, shortened to `radius` where it is longer."""
    return move * (radius / ops.maximum(ops.norm(move), radius))
