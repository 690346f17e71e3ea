"""What a command is told of a model that has no checkpoint: a preset, and what departs from it."""

import dataclasses
import typing

from kbert.config import ACTIVATIONS, PRESETS, BertConfig, Variants
from kbert.errors import DataError
from kbert.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class NewModel(Variants, Settings):
    """A model of random weights; everything else of its `BertConfig` is the preset's."""

    preset: str = setting("base", "size of a new model", choices=PRESETS)
    num_layers: int | None = setting(
        None, "depth, where it is not the preset's", unset="the preset's", at_least=1
    )
    dropout: float = setting(0.1, "of hidden values and attention", at_least=0, below=1)
    activation: str = setting("gelu_tanh", "of the feed-forward layers", choices=ACTIVATIONS)

    def directed(self, needed: str | None) -> typing.Self:
        """The same with the direction that an objective needs; None for any.

        Raises `DataError` if it has been given another.
        """
        if needed is None:
            return self
        if self.direction not in (NewModel.direction, needed):
            raise DataError(
                f"The objective needs the direction {needed}. Received: {self.direction}."
            )
        return dataclasses.replace(self, direction=needed)

    def config(self, vocabulary_size: int, **changes) -> BertConfig:
        """`changes` replace fields. Raises `DataError` for what does not go together."""
        own = {"dropout": self.dropout, "attention_dropout": self.dropout}
        own |= {"activation": self.activation, **self.changes()}
        if self.num_layers is not None:
            own["num_layers"] = self.num_layers
        try:
            return BertConfig.preset(self.preset, vocabulary_size, **{**own, **changes})
        except ValueError as error:
            raise DataError(str(error)) from error


@dataclasses.dataclass(frozen=True)
class PublishedSize(Variants, Settings):
    """A preset with its vocabulary, to be looked at without a checkpoint; None for no preset."""

    preset: str | None = setting(
        None, "a published size, without a checkpoint", unset="none", choices=PRESETS
    )
    vocabulary_size: int | None = setting(
        None, "pieces of the preset's vocabulary", unset="none", at_least=1
    )

    def __post_init__(self):
        super().__post_init__()
        if (self.preset is None) != (self.vocabulary_size is None):
            raise DataError("--preset and --vocabulary-size belong together.")
        if self.preset is None and self.changes():
            raise DataError(f"--preset is what {', '.join(self.changes())} can be of.")

    def config(self) -> BertConfig:
        """The preset with its variants. Raises `DataError` for what does not go together."""
        try:
            return BertConfig.preset(self.preset, self.vocabulary_size, **self.changes())
        except ValueError as error:
            raise DataError(str(error)) from error
