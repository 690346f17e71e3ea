"""The activations that a BertConfig can name, and BERT's initial distribution of weights."""

import keras

ACTIVATIONS = {
    # Google's form: 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
    "gelu_tanh": lambda x: keras.ops.gelu(x, approximate=True),
    # x Phi(x), the form of Hugging Face's weights
    "gelu_erf": lambda x: keras.ops.gelu(x, approximate=False),
    "relu": keras.ops.relu,
}


def initializer(stddev: float) -> keras.initializers.Initializer:
    """BERT's: a normal distribution cut at two standard deviations."""
    return keras.initializers.TruncatedNormal(stddev=stddev)
