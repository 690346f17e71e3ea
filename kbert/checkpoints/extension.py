"""More pieces for a trained model: words of a domain, which it has read in parts until now.

A word becomes a piece where that saves most tokens. Its vector, and its bias in the masked-LM head,
is the mean of those of the pieces that it replaces; [UNK] is one of them. Pieces that were there
keep their numbers and their weights, so that a text without new pieces is read as before.
"""

import dataclasses
import heapq
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import keras
import numpy as np

from kbert.checkpoints.directory import Checkpoint, has_pooler, save, untrained
from kbert.checkpoints.sentence_vectors import Pooling, write_pooling
from kbert.checkpoints.weights import model_weights
from kbert.claim import unfinished
from kbert.corpus.documents import TextReader
from kbert.corpus.problems import Problems
from kbert.corpus.settings import ExtensionSettings, VocabularySettings
from kbert.corpus.word_counts import count_words, parts_to_count
from kbert.errors import DataError
from kbert.files import check_folder_new, locked, replacing_folder
from kbert.models import build_encoder, objective_of
from kbert.text.words import WordTable

# Words tokenized at once.
_AT_ONCE = 1 << 16


class NewPieces(NamedTuple):
    """What a text adds to a vocabulary.

    `pieces`: the one that saves most first. `tokens`: of the text's words before, and `saved`: how
    many fewer there are with the pieces, counted word by word. `problems`: what was wrong with
    files.
    """

    pieces: list[str]
    tokens: int
    saved: int
    problems: Problems


def find_pieces(
    files: Iterable[str],
    tokenizer,
    add: int = ExtensionSettings.add,
    settings: VocabularySettings | None = None,
    leave_out: Iterable[str] = (),
) -> NewPieces:
    """Words of text files that a tokenizer has no piece for, those that save most tokens.

    Args:
        files: text files or folders.
        add: pieces, at most.
        settings: how words are counted: `min_frequency`, `field` and `workers`.
        leave_out: as of `TextReader`.

    Raises `DataError` for files that cannot be read, and for text without such words.
    """
    ExtensionSettings(add)  # Checks it.
    settings = settings or VocabularySettings()
    reader = TextReader(files, field=settings.field, leave_out=leave_out)
    chunks = (part.texts for part in parts_to_count(reader))
    table = WordTable(tokenizer.lowercase, tokenizer.strip_accents, tokenizer.split_chinese)
    counts, _ = count_words(chunks, table, settings.workers)
    words = sorted(counts)
    parts = _parts(words, tokenizer)
    tokens = sum(counts[word] * len(ids) for word, ids in zip(words, parts, strict=True))
    gains = {}
    for word, ids in zip(words, parts, strict=True):
        # An unknown word is one token with its piece, too; but one that can be read.
        gain = len(ids) - 1 + (tokenizer.unk_id in ids)
        if gain and counts[word] >= settings.min_frequency:
            gains[word] = gain * counts[word]
    # Of equal ones the first by the alphabet.
    chosen = heapq.nsmallest(add, gains, key=lambda word: (-gains[word], word))
    if not chosen:
        raise DataError(
            f"Every word that occurs {settings.min_frequency} times is a piece already."
        )
    lengths = map(len, _parts(chosen, tokenizer))
    saved = sum(counts[word] * (n - 1) for word, n in zip(chosen, lengths, strict=True))
    return NewPieces(chosen, tokens, saved, reader.problems)


def write_extended(
    output: str | os.PathLike,
    checkpoint: Checkpoint,
    files: Iterable[str],
    add: int = ExtensionSettings.add,
    settings: VocabularySettings | None = None,
    leave_out: Iterable[str] = (),
    pooling: Pooling | None = None,
) -> NewPieces:
    """Write a checkpoint with the pieces that text files add to it, and how its vectors are made,
    where its folder says so. Raises `DataError` as both."""
    check_folder_new(output)
    own = [output, unfinished(pathlib.Path(output)), *leave_out]
    found = find_pieces(files, checkpoint.tokenizer, add, settings, own)
    with locked(output):
        with replacing_folder(output) as folder:
            save(folder, extended(checkpoint, found.pieces))
            if pooling is not None:
                write_pooling(folder, pooling)
    return found


def extended(checkpoint: Checkpoint, pieces: Sequence[str]) -> Checkpoint:
    """The checkpoint with more pieces, behind those that it has.

    Raises `DataError` for a piece that it has already.
    """
    model, tokenizer, config, task = checkpoint
    known = set(tokenizer.vocabulary) & set(pieces)
    if known:
        raise DataError(f"{sorted(known)[0]!r} is a piece of the vocabulary already.")
    replaced = _parts(pieces, tokenizer)
    config = dataclasses.replace(config, vocabulary_size=config.vocabulary_size + len(pieces))
    if task is None:
        larger = untrained(config, objective_of(model), has_pooler(model))
    else:
        larger = task.build_model(build_encoder(config))
    _fill(model_weights(larger), model_weights(model), replaced)
    vocabulary = [*tokenizer.vocabulary, *pieces]
    return Checkpoint(larger, type(tokenizer)(vocabulary, **tokenizer.options), config, task)


def _fill(
    weights: Mapping[str, keras.Variable],
    old: Mapping[str, keras.Variable],
    replaced: Sequence[Sequence[int]],
) -> None:
    """Copy weights; one with a row for each piece gets the mean of the rows that each replaces."""
    for name, weight in weights.items():
        value = keras.ops.convert_to_numpy(old[name])
        if value.shape != weight.shape:
            means = [value[np.asarray(ids)].mean(axis=0) for ids in replaced]
            value = np.concatenate([value, np.stack(means)])
        weight.assign(value)


def _parts(words: Sequence[str], tokenizer) -> list[list[int]]:
    """The ids of each word's pieces."""
    found: list[list[int]] = []
    for start in range(0, len(words), _AT_ONCE):
        found += tokenizer.tokenize(words[start : start + _AT_ONCE]).to_list()
    return found
