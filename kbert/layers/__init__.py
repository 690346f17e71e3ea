"""Keras layers of BERT: keras and keras.ops only."""

from collections.abc import Iterable
from typing import Any

# An array of Keras's backend, a variable, or a symbol; shapes stand in the docstrings.
Tensor = Any

# The logit of what cannot be: a class that a row does not have, a token that is not seen. Nothing
# beside any other logit; finite, so that a row of nothing else gives no NaN.
IMPOSSIBLE = -1e9


def check_choice(name: str, value: str, choices: Iterable[str]) -> None:
    """Raise `ValueError` for a value of an argument that is none of these."""
    choices = tuple(choices)
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {', '.join(choices)}. Received: {value!r}.")
