"""Text that a left-to-right language model goes on with (GPT), a piece at a time.

Each piece is drawn from what the model says behind those before it. Attention keeps the keys and
values of what it has read (`kbert.layers.attention.Memory`), so that a piece takes the same time at
every place; an encoder of another kind reads the whole row again for each.
"""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from kbert.checkpoints.directory import Checkpoint
from kbert.errors import DataError
from kbert.inference.batches import bucket_length
from kbert.inference.forward import Arrays, compiles_shapes, forward_of
from kbert.inference.settings import GenerationSettings
from kbert.layers import IMPOSSIBLE, Tensor
from kbert.models import empty_memories, is_transformer, read_on
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
        loop = GenerationLoop(
            model,
            settings.temperature,
            min(settings.top_k or size, size),
            settings.top_p,
            forbidden=self._tokenizer.special_ids,
            stop_ids=self._stop_ids(),
        )
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
        """Of `GenerationLoop`."""
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


class GenerationLoop(keras.layers.Layer):
    """Fills rows from left to right with what a left-to-right LM says, in one compiled function.

    Args:
        model: a pre-training model with the output `next_token`.
        temperature, top_k, top_p: see `choose`.
        forbidden: ids that are never drawn; the first is [PAD].
        stop_ids: a row ends behind one of these, if it was drawn.

    Call arguments, a dict:
        prefix: the columns that all rows are given, (batch, shared), read in one pass.
        token_ids: the rows, (batch, width); what is to be drawn is [PAD].
        lengths: how many tokens of each row are given, (batch, 1).
        ends: where each row ends at most, (batch, 1).
        draws: a number in [0, 1) for each token that is drawn, float32 (batch, width).

    Returns the rows, int32 (batch, width); [PAD] behind their ends.
    """

    def __init__(self, model, temperature, top_k, top_p, forbidden, stop_ids, **kwargs):
        super().__init__(**{"dtype": "float32", "autocast": False, **kwargs})
        self.model = model
        self.temperature, self.top_k, self.top_p = temperature, top_k, top_p
        self.pad_id = forbidden[0]
        vocabulary = np.arange(model.get_layer("embedding").vocabulary_size)
        self.penalty = np.where(np.isin(vocabulary, forbidden), IMPOSSIBLE, 0.0).astype("float32")
        self.is_stop = np.isin(vocabulary, stop_ids)
        self.has_memory = is_transformer(model)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs["token_ids"].shape, "int32")

    def call(self, inputs):
        rows, lengths, ends = inputs["token_ids"], inputs["lengths"][:, 0], inputs["ends"][:, 0]
        shared = ops.shape(inputs["prefix"])[1]
        memories = self._memories(rows)
        scores, memories = self._read(rows, inputs["prefix"], shared, memories)

        def goes_on(at, rows, ended, scores, memories):
            return ops.logical_not(ops.all(ended))

        def step(at, rows, ended, scores, memories):
            chosen = self._choose(scores, ops.take(inputs["draws"], at, axis=1))
            new = ops.where(ended, self.pad_id, chosen)
            is_given = at < lengths
            new = ops.where(is_given, ops.take(rows, at, axis=1), new)
            stops = ops.logical_and(ops.take(self.is_stop, new), ops.logical_not(is_given))
            ended = ops.logical_or(ended, ops.logical_or(stops, at + 1 >= ends))
            rows = ops.slice_update(rows, [0, at], new[:, None])
            scores, memories = self._read(rows, new[:, None], at + 1, memories)
            return at + 1, rows, ended, scores, memories

        at = ops.convert_to_tensor(shared, "int32")
        state = (at, rows, ops.zeros_like(lengths, "bool"), scores, memories)
        return ops.while_loop(goes_on, step, state)[1]

    def _memories(self, rows):
        if not self.has_memory:
            return ()
        return empty_memories(self.model, *ops.shape(rows))

    def _read(self, rows, new, count, memories):
        """Scores behind the first `count` columns, of which the `new` ones were not read yet."""
        if self.has_memory:
            return read_on(self.model, new, memories)
        zeros = ops.zeros_like(rows)
        inputs = {"token_ids": rows, "segment_ids": zeros, "padding_mask": zeros + 1}
        scores = self.model(inputs, training=False)["next_token"]
        return ops.take(scores, count - 1, axis=1), ()

    def _choose(self, scores, draws):
        scores = scores + self.penalty
        return choose(scores, draws, self.temperature, self.top_k, self.top_p)


def choose(
    scores: Tensor, draws: Tensor, temperature: float, top_k: int, top_p: float | None
) -> Tensor:
    """A class of each row by its scores: int32 (batch,).

    Args:
        scores: float32 (batch, classes).
        draws: in [0, 1), (batch,); what is chosen is the first of the classes, the likeliest first,
            at which the sum of probabilities is larger.
        temperature: divides the scores; 0 for the likeliest class.
        top_k: how many of the likeliest classes may be chosen.
        top_p: of these, the fewest whose probabilities add up to it (arXiv 1904.09751); None: all.
    """
    if temperature == 0:
        return ops.cast(ops.argmax(scores, axis=-1), "int32")
    scores, classes = ops.top_k(scores / temperature, top_k)
    sums = ops.cumsum(ops.softmax(scores), axis=-1)
    if top_p is not None:
        before = ops.pad(sums[:, :-1], ((0, 0), (1, 0)))
        sums = ops.where(before < top_p, sums, 0.0)
    total = ops.max(sums, axis=-1, keepdims=True)
    # A class that is left out counts as 0: all of them stand behind the last one that is not.
    reached = ops.logical_and(sums > 0, sums <= draws[:, None] * total)
    place = ops.sum(ops.cast(reached, "int32"), axis=-1, keepdims=True)
    return ops.cast(ops.take_along_axis(classes, place, axis=-1)[:, 0], "int32")
