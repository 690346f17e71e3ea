"""Keras layers of BERT: keras and keras.ops only."""

from typing import Any

# An array of Keras's backend, a variable, or a symbol; shapes stand in the docstrings.
Tensor = Any

# The logit of what cannot be: a class that a row does not have, a token that is not seen. Nothing
# beside any other logit; finite, so that a row of nothing else gives no NaN.
IMPOSSIBLE = -1e9
