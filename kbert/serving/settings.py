"""What `kbert export` and `kbert serve` are told."""

import dataclasses

from kbert.errors import DataError
from kbert.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class ExportSettings(Settings):
    """Where an export stands among the versions of its model."""

    version: int = setting(1, "number of the version's folder", at_least=1)


@dataclasses.dataclass(frozen=True)
class ServingSettings(Settings):
    """Where a server listens, and under which name it answers."""

    host: str = setting("127.0.0.1", "address; 0.0.0.0 for all of them")
    port: int = setting(8501, "0 takes a free one", at_least=0, at_most=65535)
    name: str | None = setting(None, "of the model in the paths", unset="the folder's name")

    def __post_init__(self):
        super().__post_init__()
        if self.name is not None and (not self.name or set(self.name) & set("/:")):
            raise DataError(f"name must be one without / and : in it. Received: {self.name!r}.")
