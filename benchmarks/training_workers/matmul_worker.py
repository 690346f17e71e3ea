"""The machine's own rate: one square matrix product of 2048 in TensorFlow, as a step."""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf  # noqa: E402
from worker import Cell, serve  # noqa: E402

SIDE = 2048
PRODUCTS = 8  # of a step


def main():
    dtype = Cell.of(sys.argv[1:]).precision
    left, right = (tf.cast(tf.random.normal((SIDE, SIDE)), dtype) for _ in range(2))

    def step():
        for _ in range(PRODUCTS):
            result = tf.matmul(left, right)
        return result.numpy()

    serve(step, flop=PRODUCTS * 2 * SIDE**3)


if __name__ == "__main__":
    main()
