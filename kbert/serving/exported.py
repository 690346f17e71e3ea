"""What an export of any form gives to who answers with it."""

from typing import TYPE_CHECKING, Any, NamedTuple

from kbert.inference.forward import Forward

if TYPE_CHECKING:
    import keras  # Only what older versions exported needs it.


class Exported(NamedTuple):
    """An export, loaded.

    Attributes:
        model: what computes.
        tokenizer: that it was trained with.
        outputs: the names of what it answers on its own, without kbert.
        kept: what must live as long as the model does.
    """

    model: "Forward | keras.Model"
    tokenizer: Any
    outputs: tuple[str, ...]
    kept: Any = None
