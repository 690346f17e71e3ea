"""What the commands of the laboratory are told."""

import dataclasses

from kbert.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class AblationSettings(Settings):
    """How the cells of a grid are run; it changes nothing of what they find."""

    workers: int = setting(1, "models trained at the same time, each in a process", at_least=1)
    baseline: str | None = setting(
        None,
        "variant that differences are to; with another the recipe's [expected] is left out",
        unset="the recipe's",
    )


@dataclasses.dataclass(frozen=True)
class JudgeSettings(Settings):
    """Which pairs are judged, and by which score."""

    limit: int | None = setting(
        None, "judge N pairs, evenly over the file", unset="all", at_least=1
    )
    length_exponent: float = setting(
        0.0,
        "divide a sentence's score by this power of its tokens; 1 is their mean",
        at_least=0,
        at_most=1,
    )


@dataclasses.dataclass(frozen=True)
class SearchSettings(Settings):
    """Successive halving over placements of LayerNorm: [search] of a recipe.

    After `first_steps`, and after each `reduction` times as many, a run goes on only if it is among
    the best 1 / `reduction` of those that have come so far.
    """

    trials: int = setting(64, "placements to try", at_least=1)
    first_steps: int = setting(250, "steps before the first comparison", at_least=1)
    reduction: int = setting(4, "of how many runs one goes on", at_least=2)
    metric: str = setting("masked_lm_loss", "held-out score that is compared; the lower wins")
    seed: int = setting(
        1000, "of all its runs; those of the recipe are fresh", at_least=0, at_most=2**32 - 1
    )
