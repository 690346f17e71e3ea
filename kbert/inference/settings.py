"""How a model computes answers or vectors: how much at once, in which precision."""

import dataclasses

from kbert.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class ComputeSettings(Settings):
    """What changes the speed of an answer, and hardly its value."""

    batch_size: int = setting(64, "rows or texts computed together", at_least=1)
    precision: str = setting(
        "float32",
        "bfloat16: weights too; faster where the processor multiplies in it, three digits",
        choices=("float32", "bfloat16"),
    )
