"""What the commands of the laboratory are told."""

import dataclasses

from kbert.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class AblationSettings(Settings):
    """How the cells of a grid are run; it changes nothing of what they find."""

    workers: int = setting(1, "models trained at the same time, each in a process", at_least=1)


@dataclasses.dataclass(frozen=True)
class JudgeSettings(Settings):
    """Which pairs are judged."""

    limit: int | None = setting(
        None, "judge N pairs, evenly over the file", unset="all", at_least=1
    )
