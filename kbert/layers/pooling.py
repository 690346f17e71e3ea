"""One vector for a text: the mean, the largest values, or [CLS]."""

from keras import ops


def pool(vectors, padding_mask, mode):
    """(batch, sequence, hidden), (batch, sequence) -> (batch, hidden), float32.

    `mode`: "mean" or "max" over the tokens whose `padding_mask` is not 0, or "cls".
    """
    vectors = ops.cast(vectors, "float32")
    if mode == "cls":
        return vectors[:, 0]
    is_token = ops.cast(ops.not_equal(padding_mask, 0), "float32")[:, :, None]
    if mode == "mean":
        return ops.sum(vectors * is_token, axis=1) / ops.maximum(ops.sum(is_token, axis=1), 1.0)
    return ops.max(ops.where(is_token > 0, vectors, -1e30), axis=1)
