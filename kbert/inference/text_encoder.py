"""Vectors of texts: pooled hidden states of an encoder."""

import dataclasses
import itertools
import os
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops
from tqdm import tqdm

from kbert.checkpoints.directory import Checkpoint, encoder_of
from kbert.checkpoints.formats import load_any, pooling_of
from kbert.checkpoints.sentence_vectors import Pooling
from kbert.errors import DataError
from kbert.inference.answering import predict_features
from kbert.inference.batches import check_sequence_length
from kbert.inference.settings import LONG, ComputeSettings, VectorSettings
from kbert.layers.pooling import pool
from kbert.tasks.features import Feature, single_segment

# Texts tokenized together: enough to sort by length, few enough for the memory.
AT_ONCE = 2048


@dataclasses.dataclass
class TextEncoder:
    """Texts to vectors: `encode(texts)` -> float32 (texts, width).

    Args:
        checkpoint: whatever heads it has.
        pooling: of its hidden states.
        sequence_length: tokens that the encoder sees at once, [CLS] and [SEP] among them; None for
            as many as the pooling says, or else as the encoder takes.
        long: what to do with a longer text: "refuse" raises `DataError`, "cut" drops its end,
            "window" encodes its parts and pools these, each by its number of tokens.
        batch_size: texts computed together.
    """

    checkpoint: Checkpoint
    pooling: Pooling = dataclasses.field(default_factory=Pooling)
    sequence_length: int | None = VectorSettings.sequence_length
    long: str = VectorSettings.long
    batch_size: int = ComputeSettings.batch_size

    def __post_init__(self):
        most = self.checkpoint.config.max_sequence_length
        if self.sequence_length is None:
            self.sequence_length = min(self.pooling.sequence_length or most, most)
        check_sequence_length(self.sequence_length, most)
        if self.long not in LONG:
            raise DataError(f"long must be one of {', '.join(LONG)}. Received: {self.long!r}.")
        self.pooling.check_fits(self.checkpoint.config.hidden_dim)
        self.model = pooling_model(self.checkpoint, self.pooling)

    @property
    def width(self) -> int:
        """The numbers of a vector."""
        return self.pooling.width(self.checkpoint.config.hidden_dim)

    def encode(self, texts: Sequence[str], progress: bool = False) -> np.ndarray:
        """Vectors of the texts, in order. Raises `DataError` for a text that is too long, by its
        number from 1, if `long` is "refuse". `progress` shows a bar on a terminal."""
        vectors = np.zeros((len(texts), self.width), "float32")
        hidden = None if progress else True  # None: where there is no terminal.
        with tqdm(total=len(texts), desc="embed", unit=" texts", disable=hidden) as bar:
            for start in range(0, len(texts), AT_ONCE):
                some = texts[start : start + AT_ONCE]
                vectors[start : start + len(some)] = self._encode(some, start, bar)
        return vectors

    def _encode(self, texts, first, bar) -> np.ndarray:
        prompted = [self.pooling.prompt + text for text in texts]
        ids = self.checkpoint.tokenizer.tokenize(prompted)
        splits, flat = np.asarray(ids.row_splits), np.asarray(ids.flat_values)
        features = []
        for number, (start, end) in enumerate(itertools.pairwise(splits)):
            features += self._windows(flat[start:end], number, first)
        bar.total += len(features) - len(texts)  # Windows count, as far as they are known.
        outputs = predict_features(self.model, features, self.batch_size, self.sequence_length, bar)
        pooled = _joined(features, outputs, len(texts), self.pooling.modes)
        return ops.convert_to_numpy(self.pooling.finish(pooled))

    def _windows(self, ids, number, first) -> list[Feature]:
        room = self.sequence_length - 2
        if len(ids) > room and self.long == "refuse":
            raise DataError(
                f"Text {first + number + 1} has {len(ids) + 2} tokens, and the encoder takes "
                f"{self.sequence_length}. Let long texts be cut or windowed (--long cut, window)."
            )
        parts = [ids[start : start + room] for start in range(0, max(len(ids), 1), room)]
        if self.long == "cut":
            parts = parts[:1]
        return [self._feature(part, number) for part in parts]

    def _feature(self, ids, number) -> Feature:
        tokenizer = self.checkpoint.tokenizer
        row = [tokenizer.cls_id, *ids, tokenizer.sep_id]
        return Feature(single_segment(row), number, {}, {})


def pooling_model(
    checkpoint: Checkpoint, pooling: Pooling, others: tuple[str, ...] = ()
) -> keras.Model:
    """The encoder with an output (batch, width) for each mode of the pooling, under its name.

    `others` are outputs of the encoder that the model has, too. Raises `DataError` for layers that
    the encoder does not have.
    """
    encoder = encoder_of(checkpoint, ("hidden_states", *others))
    states = encoder.output["hidden_states"]
    try:
        chosen = [states[layer] for layer in pooling.layers]
    except IndexError:
        raise DataError(
            f"The layers must be {-len(states)} to {len(states) - 1}. Received: {pooling.layers}."
        ) from None
    if len(chosen) > 1:
        chosen = [ops.cast(state, "float32") for state in chosen]
    if pooling.combination == "sum":
        combined = sum(chosen[1:], chosen[0])
    else:
        combined = ops.concatenate(chosen, axis=-1)
    mask = encoder.input["padding_mask"]
    pooled = {mode: pool(combined, mask, mode) for mode in pooling.modes}
    return keras.Model(encoder.input, pooled | {name: encoder.output[name] for name in others})


def _joined(features, outputs, count, modes) -> np.ndarray:
    """One vector a text from those of its windows: the largest values, or the mean by tokens."""
    rows: list[list] = [[] for _ in range(count)]
    for feature, output in zip(features, outputs, strict=True):
        rows[feature.example].append((output, feature.length))
    return np.stack([np.concatenate([_join(row, mode) for mode in modes]) for row in rows])


def _join(row, mode) -> np.ndarray:
    vectors = [output[mode] for output, _ in row]
    if len(vectors) == 1:
        return vectors[0]
    if mode == "max":
        return np.max(vectors, axis=0)
    return np.average(vectors, axis=0, weights=[length for _, length in row])


def load_text_encoder(
    path: str | os.PathLike, vectors: VectorSettings, compute: ComputeSettings
) -> TextEncoder:
    """The encoder in a folder of any format. What `vectors` leaves open is as the folder says.

    Sets Keras's policy. Raises `DataError` for a folder without an encoder, and for vectors that it
    does not have.
    """
    given = {
        "mode": vectors.pooling,
        "layers": vectors.layers,
        "combination": vectors.combination,
        "normalize": vectors.normalize,
    }
    given = {name: value for name, value in given.items() if value is not None}
    keras.config.set_dtype_policy(compute.precision)
    pooling = dataclasses.replace(pooling_of(path) or Pooling(), **given)
    checkpoint = load_any(path)
    return TextEncoder(
        checkpoint, pooling, vectors.sequence_length, vectors.long, compute.batch_size
    )


def embed(path: str | os.PathLike, texts: Sequence[str], **options) -> np.ndarray:
    """Vectors of texts by the encoder in a folder, float32 (texts, width): `kbert embed` in Python.

    Who asks more than once keeps what `load_text_encoder` returns, and calls its `encode`.

    Args:
        options: fields of `VectorSettings` and `ComputeSettings`: pooling="cls", say.

    Raises `DataError` for a folder without an encoder, and for a text that is too long.
    """
    names = {field.name for field in dataclasses.fields(ComputeSettings)}
    compute = ComputeSettings(**{name: options.pop(name) for name in names & set(options)})
    return load_text_encoder(path, VectorSettings(**options), compute).encode(texts)
