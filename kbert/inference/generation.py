"""Text that a left-to-right language model goes on with (GPT), a piece at a time."""

from collections.abc import Sequence

import keras
import numpy as np

from kbert.checkpoints.directory import Checkpoint
from kbert.errors import DataError
from kbert.inference.batches import bucket_length
from kbert.inference.forward import Arrays, compiles_shapes, forward_of
from kbert.inference.generation_loops import BeamLoop, SamplingLoop
from kbert.inference.settings import GenerationSettings
from kbert.text.joining import join_pieces

# Texts that grow together.
_AT_ONCE = 32


def generate(
    checkpoint: Checkpoint, prompts: Sequence[str], settings: GenerationSettings | None = None
) -> list[str]:
    """Each prompt, and what a left-to-right LM goes on with.

    What is drawn depends on the seed and on the number of the prompt, not on the other prompts. No
    special token is ever drawn.

    Raises `DataError` for a model that is no left-to-right LM, for a prompt that leaves no room,
    and for a `stop` that is no piece.
    """
    settings = settings or GenerationSettings()
    generator = Generator(checkpoint, settings)
    found = []
    for start in range(0, len(prompts), _AT_ONCE):
        some = prompts[start : start + _AT_ONCE]
        for prompt, pieces in zip(some, generator.pieces(some, start), strict=True):
            found.append(join_pieces(pieces, prompt.rstrip()))
    return found


class Generator:
    """A checkpoint that goes on with prompts. Args and errors: as `generate`."""

    def __init__(self, checkpoint: Checkpoint, settings: GenerationSettings):
        model, self._tokenizer, self._config, _ = checkpoint
        if "next_token" not in model.output:
            raise DataError(
                "Only a left-to-right LM goes on with a text: expected what "
                "`kbert pretrain --objective left-to-right` wrote. "
                f"Received: the outputs {', '.join(model.output)}."
            )
        self._settings, size = settings, self._config.vocabulary_size
        ids = {"forbidden": self._tokenizer.special_ids, "stop_ids": self._stop_ids()}
        if settings.beams > 1:
            loop = BeamLoop(model, settings.beams, **ids)
        else:
            top_k = min(settings.top_k or size, size)
            loop = SamplingLoop(model, settings.temperature, top_k, settings.top_p, **ids)
        kinds = {"prefix": "int32", "token_ids": "int32", "lengths": "int32", "ends": "int32"}
        kinds["draws"] = "float32"
        inputs = {
            name: keras.Input((1 if name in ("lengths", "ends") else None,), dtype=kind, name=name)
            for name, kind in kinds.items()
        }
        # Kept here: a compiled forward pass goes with its model.
        self._model = keras.Model(inputs, {"token_ids": loop(inputs)}, name="generator")
        self._forward = forward_of(self._model).run

    def _stop_ids(self):
        numbers = {piece: number for number, piece in enumerate(self._tokenizer.vocabulary)}
        for piece in self._settings.stop or ():
            if piece not in numbers:
                raise DataError(f"--stop must be a piece of the vocabulary. Received: {piece!r}.")
        return [numbers[piece] for piece in self._settings.stop or ()]

    def pieces(self, prompts: Sequence[str], first: int = 0) -> list[list[str]]:
        """What each prompt goes on with, as pieces; `first` is the number of the first prompt."""
        rows = self._rows(prompts)
        inputs = self._inputs(rows, first)
        token_ids = np.asarray(self._forward(inputs)["token_ids"])
        vocabulary, found = self._tokenizer.vocabulary, []
        for row, read, end in zip(token_ids, rows, inputs["ends"][:, 0], strict=True):
            new = row[len(read) : end]
            # Behind its end a row is [PAD].
            found.append([vocabulary[piece] for piece in new if piece != self._tokenizer.pad_id])
        return found

    def _rows(self, prompts):
        longest, rows = self._config.max_sequence_length, []
        pieces = self._tokenizer.tokenize(list(prompts))
        for prompt, ids in zip(prompts, pieces.to_list(), strict=True):
            if len(ids) + 1 >= longest:
                raise DataError(
                    f"The model takes {longest} tokens: no room is left behind the text "
                    f"{prompt[:40]!r} ..."
                )
            rows.append([self._tokenizer.cls_id, *ids])
        return rows

    def _inputs(self, rows: Sequence[Sequence[int]], first: int) -> Arrays:
        """Of a loop."""
        lengths = np.array([len(row) for row in rows])
        longest = self._config.max_sequence_length
        ends = np.minimum(lengths + self._settings.tokens, longest)
        width, shared = int(ends.max()), int(lengths.min())
        if compiles_shapes():
            # Few shapes: what is not in the prefix is read piece by piece.
            width, shared = bucket_length(width, longest), 1 << (shared.bit_length() - 1)
        token_ids = np.full((len(rows), width), self._tokenizer.pad_id, "int32")
        draws = np.zeros((len(rows), width), "float32")
        for number, (row, end) in enumerate(zip(rows, ends, strict=True)):
            token_ids[number, : len(row)] = row
            rng = np.random.default_rng((self._settings.seed, first + number))
            draws[number, len(row) : end] = rng.random(end - len(row), "float32")
        return {
            "prefix": token_ids[:, :shared],
            "token_ids": token_ids,
            "lengths": lengths[:, None].astype("int32"),
            "ends": ends[:, None].astype("int32"),
            "draws": draws,
        }
