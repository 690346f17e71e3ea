"""The activations that a BertConfig can name."""

import keras

ACTIVATIONS = {
    # Google's form: 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
    "gelu_tanh": lambda x: keras.ops.gelu(x, approximate=True),
    # x Phi(x), the form of Hugging Face's weights
    "gelu_erf": lambda x: keras.ops.gelu(x, approximate=False),
    "relu": keras.ops.relu,
}
