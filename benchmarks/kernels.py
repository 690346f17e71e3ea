"""Layers' own gradients and the LSTM, each beside what it stands for.

    python benchmarks/kernels.py              all; names of cases make it fewer

Each case is a training step (forward, gradient, plain SGD) of the part alone: once as kbert has it,
and once as Keras's operations differentiate it. The kernels are compiled as a pre-training step is
(`kbert.engine.devices.compile_whole_step`), the LSTM runs as in fine-tuning. Medians of
steps in turn, in seconds of the processor.
"""

import argparse
import contextlib
import time

import kbert  # noqa: F401  (first: it tells TensorFlow what XLA may compile)

# isort: split
import keras
import ml_dtypes  # noqa: F401  (NumPy's bfloat16)
import numpy as np
import timing
from keras import ops

from kbert.engine.backend import engine
from kbert.layers import kernels
from kbert.layers.bilstm import BiLSTM

ROWS, LENGTH, HEADS, WIDTH, VOCABULARY = 16, 128, 12, 768, 30_522
TOKENS, PREDICTIONS = ROWS * LENGTH, ROWS * 20
TARGETS = np.random.default_rng(0).integers(0, VOCABULARY, PREDICTIONS).astype("int32")


def plain_cross_entropy(logits):
    return ops.sparse_categorical_crossentropy(TARGETS, logits, from_logits=True)


@keras.remat
def rematerialized_additive_score(query, key, vector):
    """Otherwise the tanh of all pairs, 64 times as large as the scores, would wait."""
    pairs = ops.tanh(query[:, :, :, None, :] + key[:, :, None, :, :])
    return ops.sum(pairs * vector[:, None, None, :], axis=-1)


# name -> kbert's function, Keras's, shapes of their arguments, the type they have.
CASES = {
    "gelu_tanh": (
        kernels.gelu_tanh,
        lambda x: ops.gelu(x, approximate=True),
        [(TOKENS, 4 * WIDTH)],
        "bfloat16",
    ),
    "gelu_erf": (
        kernels.gelu_erf,
        lambda x: ops.gelu(x, approximate=False),
        [(TOKENS, 4 * WIDTH)],
        "bfloat16",
    ),
    "softmax": (
        lambda x: kernels.softmax(ops.cast(x, "float32"), "bfloat16"),
        lambda x: ops.cast(ops.softmax(ops.cast(x, "float32")), "bfloat16"),
        [(ROWS, HEADS, LENGTH, LENGTH)],
        "bfloat16",
    ),
    "add_bias": (kernels.add_bias, ops.add, [(TOKENS, 4 * WIDTH), (4 * WIDTH,)], "bfloat16"),
    "multiply_by_table": (
        kernels.multiply_by_table,
        lambda vectors, table: ops.matmul(vectors, ops.transpose(table)),
        [(PREDICTIONS, WIDTH), (VOCABULARY, WIDTH)],
        "float32",
    ),
    "additive_score": (
        kernels.additive_score,
        rematerialized_additive_score,
        [(ROWS, 2, LENGTH, 64), (ROWS, 2, LENGTH, 64), (2, 64)],
        "bfloat16",
    ),
    "cross_entropy": (
        lambda x: kernels.cross_entropy(x, TARGETS[:, None]),
        plain_cross_entropy,
        [(PREDICTIONS, VOCABULARY)],
        "float32",
    ),
}


# name -> rows, tokens and width of both the input and each direction; two layers.
BILSTMS = {"bilstm_256": (16, 128, 256), "bilstm_768": (8, 64, 768)}


class Applied(keras.layers.Layer):
    """A function of weights: a step computes the gradients of all its arguments."""

    def __init__(self, function, shapes, dtype):
        super().__init__()
        self.function, self.type = function, dtype
        for number, shape in enumerate(shapes):
            self.add_weight(shape, initializer="random_normal", name=str(number))

    def call(self, x):
        return self.function(*(ops.cast(weight, self.type) for weight in self.weights))


def step_of(layer, *inputs, compiled=False):
    """A training step of a layer as a call."""
    symbols = [keras.Input(x.shape[1:], dtype=str(x.dtype)) for x in inputs]
    model = keras.Model(symbols, layer(*symbols))
    model.compile(
        keras.optimizers.SGD(1e-6),
        lambda _, output: ops.mean(ops.square(ops.cast(output, "float32"))),
        jit_compile=compiled,
    )
    target = np.zeros((len(inputs[0]), 1), "float32")

    def step():
        """Seconds of the processor, which other work on the machine changes least."""
        began = time.process_time()
        model.train_on_batch(list(inputs), target)
        return time.process_time() - began

    return step


def keras_bilstm(size, num_layers):
    """Keras's own, with a mask."""

    class Stack(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.lstms = [
                keras.layers.Bidirectional(keras.layers.LSTM(size, return_sequences=True))
                for _ in range(num_layers)
            ]

        def build(self, x_shape, padding_mask_shape):
            for lstm in self.lstms:
                lstm.build(x_shape)
                x_shape = (*x_shape[:-1], 2 * size)

        def call(self, x, padding_mask):
            for lstm in self.lstms:
                x = lstm(x, mask=ops.not_equal(padding_mask, 0))
            return x

    return Stack()


def measure(name, rounds):
    if name in BILSTMS:
        rows, length, width = BILSTMS[name]
        rng = np.random.default_rng(0)
        x = rng.normal(size=(rows, length, width)).astype("float32")
        mask = (np.arange(length) < rng.integers(8, length + 1, (rows, 1))).astype("int32")
        steps = [step_of(layer, x, mask) for layer in (BiLSTM(width), keras_bilstm(width, 2))]
        clusters = contextlib.nullcontext()
    else:
        ours, theirs, shapes, dtype = CASES[name]
        x = np.zeros((1, 1), "float32")
        compiled = engine().compile_whole_step()
        steps = [
            step_of(Applied(function, shapes, dtype), x, compiled=compiled)
            for function in (ours, theirs)
        ]
        clusters = engine().xla_clusters()
    contenders = dict(zip(("kbert", "keras"), steps, strict=True))
    with clusters:
        seconds = timing.interleave(contenders, rounds, warmup=2)
    return timing.summary(seconds, "keras")


def main():
    names = [*CASES, *BILSTMS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", choices=[*names, []], help="all, if none is named")
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    results = {}
    for name in args.cases or names:
        results[name] = measure(name, args.rounds)
        print(
            f"{name:<18} kbert {1000 * results[name]['kbert']['seconds']:8.1f} ms   "
            f"Keras {1000 * results[name]['keras']['seconds']:8.1f} ms   "
            f"{results[name]['kbert']['times']:.2f} times as fast",
            flush=True,
        )
    about = {"backend": keras.backend.backend(), **timing.versions("keras", "tensorflow")}
    timing.write_results("kernels", about, results)


if __name__ == "__main__":
    main()
