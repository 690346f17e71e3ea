"""Adding a bias."""

from keras import ops


def add_bias(x, bias):
    """x (rows, width) + bias (width), with the gradient of the bias as a matrix product.

    A row of ones times what comes from above is the sum over its rows, in one pass. On a CPU, XLA
    sums long columns as a tree, for which it first writes them all out in float32. There are two
    rows of ones, because XLA melts a product with a single one into what comes before it, which is
    then computed twice. What goes back to x is of its type, where a wider bias makes the sum wider.
    """
    # A function with a gradient of its own takes tensors; eagerly, a variable is none.
    return _add_bias(x, ops.copy(bias))


@ops.custom_gradient
def _add_bias(x, bias):
    def gradient(*args, upstream=None):
        upstream = ops.cast(args[0] if upstream is None else upstream, x.dtype)
        ones = ops.ones((2, ops.shape(x)[0]), x.dtype)
        return upstream, ops.cast(ops.matmul(ones, upstream)[0], bias.dtype)

    return ops.add(x, bias), gradient
