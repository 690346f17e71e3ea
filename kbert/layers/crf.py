"""A conditional random field on the tags of a sentence (Lafferty et al. 2001; for tagging with
neural features arXiv:1603.01360): the score of a sequence of tags is the sum of each word's score
for its tag and of one learned number for each pair of neighbouring tags.

`kbert.tasks.tag_sequences.viterbi` finds the best sequence.
"""

import keras
from keras import ops

from kbert.layers import IMPOSSIBLE, Tensor


@keras.saving.register_keras_serializable("kbert")
class Transitions(keras.layers.Layer):
    """The learned scores of neighbouring tags, the same for every row.

    Call arguments:
        logits: (batch, sequence, tags).

    Returns float32 (batch, tags + 2, tags): row i scores each tag behind tag i, the last row but
    one as the first of a sentence, the last row as its last.
    """

    def __init__(self, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})

    def build(self, input_shape):
        tags = input_shape[-1]
        self.transitions = self.add_weight(
            name="transitions", shape=(tags + 2, tags), initializer="zeros", dtype="float32"
        )

    def call(self, logits):
        transitions = ops.convert_to_tensor(self.transitions, "float32")[None]
        return ops.tile(transitions, (ops.shape(logits)[0], 1, 1))


def log_likelihood(logits: Tensor, transitions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
    """The logarithm of the probability of each row's tags, among all sequences: float32 (batch,).

    Positions without mask are skipped: the tags before and behind them are neighbours. A row
    without any has 0.

    Args:
        logits: (batch, sequence, tags).
        transitions: (tags + 2, tags).
        tags: int (batch, sequence).
        mask: bool (batch, sequence).
    """
    logits = ops.cast(logits, "float32")
    transitions = ops.cast(transitions, "float32")
    batch, size = ops.shape(logits)[0], logits.shape[-1]
    # The beginning is a state like the tags, the last one, which nothing leads to.
    before = transitions[: size + 1]  # (state, tag)
    last = ops.concatenate([transitions[size + 1], ops.zeros(1)])  # (state,)
    never = ops.full((batch, 1), IMPOSSIBLE)
    beginning = ops.concatenate(
        [ops.full((batch, size), IMPOSSIBLE), ops.zeros((batch, 1))], axis=1
    )  # (batch, state)

    def step(carry, inputs):
        totals, score, state = carry
        logit, tag, counts = inputs[:, :size], inputs[:, size:-1], inputs[:, -1:] > 0
        new_totals = ops.logsumexp(totals[:, :, None] + before, axis=1) + logit
        new_totals = ops.concatenate([new_totals, never], axis=1)
        gained = ops.sum(tag * (logit + ops.matmul(state, before)), axis=-1, keepdims=True)
        new_state = ops.concatenate([tag, ops.zeros((batch, 1))], axis=1)
        carry = (
            ops.where(counts, new_totals, totals),
            ops.where(counts, score + gained, score),
            ops.where(counts, new_state, state),
        )
        return carry, carry

    # In one tensor: with several Keras's scan fails on TensorFlow where their length is not known.
    gold = ops.one_hot(tags, size, dtype="float32")
    counts = ops.cast(mask, "float32")[:, :, None]
    by_time = ops.transpose(ops.concatenate([logits, gold, counts], axis=-1), (1, 0, 2))
    first_state = ops.cast(ops.equal(beginning, 0.0), "float32")
    carry = (beginning, ops.zeros((batch, 1)), first_state)
    (totals, score, state), _ = ops.scan(step, carry, by_time)
    score = score[:, 0] + ops.sum(state * last, axis=-1)
    return score - ops.logsumexp(totals + last, axis=-1)
