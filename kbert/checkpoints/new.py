"""A checkpoint that nothing has trained: an encoder of random weights, with vectors of words from a
file if there is one."""

import dataclasses
import os
from typing import TYPE_CHECKING

import numpy as np

from kbert.config import BertConfig
from kbert.errors import DataError
from kbert.files import check_folder_new, locked
from kbert.model_settings import NewModel
from kbert.settings import setting
from kbert.text.tokenizer_options import TokenizerDescription, TokenizerOptions
from kbert.text.vocabulary import load_vocabulary
from kbert.text.word_vectors import read_word_vectors

if TYPE_CHECKING:
    from kbert.checkpoints.directory import Checkpoint  # Keras takes seconds to import.


@dataclasses.dataclass(frozen=True)
class NewEncoder(NewModel):
    """What a new encoder is."""

    hidden_dim: int | None = setting(
        None, "width, where it is not the preset's", unset="the preset's", at_least=1
    )
    lowercase: bool = setting(True, "read text in lower case, without accents")
    seed: int = setting(0, "of the weights", at_least=0, at_most=2**32 - 1)
    word_vectors: str | None = setting(
        None,
        "text file of GloVe or word2vec, as wide as the model: vectors of pieces that are words",
        unset="none",
        metavar="FILE",
    )

    def config(self, vocabulary_size: int, **changes) -> BertConfig:
        width = {}
        if self.hidden_dim is not None:
            width = {"hidden_dim": self.hidden_dim, "intermediate_dim": 4 * self.hidden_dim}
        return super().config(vocabulary_size, **width, **changes)


def write_new(
    output: str | os.PathLike, vocabulary: str | os.PathLike, settings: NewEncoder
) -> "tuple[Checkpoint, int]":
    """Write an encoder of random weights with a vocabulary file.

    Returns the checkpoint, and how many of its pieces have a vector of the file. Pieces without one
    are drawn as large as those. Raises `DataError` for an output that holds something, and for
    files that cannot be used.
    """
    import keras

    from kbert.checkpoints.directory import Checkpoint, save
    from kbert.models import build_encoder

    check_folder_new(output)
    pieces = load_vocabulary(vocabulary)
    config = settings.config(len(pieces))
    vectors = {}
    if settings.word_vectors is not None:
        vectors = read_word_vectors(settings.word_vectors, pieces, config.hidden_dim)
        if not vectors:
            raise DataError(f"{settings.word_vectors} has no word of {vocabulary}.")
    keras.utils.set_random_seed(settings.seed)
    model = build_encoder(config)
    if vectors:
        table = model.get_layer("embedding").token_table
        table.assign(_filled(keras.ops.convert_to_numpy(table), pieces, vectors))
    options = TokenizerOptions(lowercase=settings.lowercase).arguments()
    checkpoint = Checkpoint(model, TokenizerDescription(pieces, options), config)
    with locked(output):
        save(output, checkpoint)
    return checkpoint, len(vectors)


def _filled(table, pieces, vectors):
    """The table with the vectors that there are, and the others spread as these are."""
    table = table * (np.std(list(vectors.values())) / np.std(table))
    for index, piece in enumerate(pieces):
        if piece in vectors:
            table[index] = vectors[piece]
    return table
