"""From documents to shards, in parallel: split into sentences, tokenize, write."""

import concurrent.futures
import concurrent.futures.process
import hashlib
import multiprocessing
import os
import pathlib
import signal
import threading

import numpy as np

from kbert.corpus.store import SPLITS
from kbert.corpus.store_writer import token_dtype, write_shard
from kbert.text.sentences import split_sentences

# Large enough that the cost of one call to TensorFlow disappears, small enough for the caches.
_SENTENCES_A_CALL = 8192
MAX_THREADS = 2


class ShardEncoder:
    """Encodes documents and writes them as shards.

    Args:
        tokenizer: a WordPieceTokenizer.
        sentences: the rule of `split_sentences`.
        validation_share: the share of documents that go to the split "validation".
    """

    def __init__(self, tokenizer, sentences: str, validation_share: float):
        self.tokenizer = tokenizer
        self.sentences = sentences
        self.validation_share = validation_share

    def write(self, path: pathlib.Path, documents: list[str], info: dict) -> dict:
        """Write one shard. Returns its info: what was given and "counts" (documents, sentences and
        tokens of each split), "num_bytes" (of the documents in UTF-8) and "num_unknown" (tokens).
        """
        splits = self.encode(documents)
        unknown = (split["tokens"] == self.tokenizer.unk_id for split in splits.values())
        info = info | {
            "counts": {
                split: {name: len(array) for name, array in arrays.items()}
                for split, arrays in splits.items()
            },
            "num_bytes": sum(len(text.encode()) for text in documents),
            "num_unknown": sum(int(np.count_nonzero(mask)) for mask in unknown),
        }
        write_shard(path, splits, info)
        return info

    def encode(self, documents: list[str]) -> dict[str, dict[str, np.ndarray]]:
        """For each split "tokens" (ids), "sentences" (tokens in each sentence) and "documents"
        (sentences in each document), without empty ones.
        """
        found = [split_sentences(text, self.sentences) for text in documents]
        tokens, lengths = self._tokenize([sentence for part in found for sentence in part])
        document = np.repeat(np.arange(len(documents)), [len(part) for part in found])
        # A sentence of nothing but control characters has no token.
        document, lengths = document[lengths > 0], lengths[lengths > 0]
        is_validation = np.array([self._is_for_validation(text) for text in documents], bool)
        splits = {}
        for split, in_split in zip(SPLITS, (~is_validation, is_validation), strict=True):
            chosen = in_split[document]
            per_document = np.bincount(document[chosen], minlength=len(documents))
            splits[split] = {
                "tokens": tokens[np.repeat(chosen, lengths)],
                "sentences": lengths[chosen].astype(np.int32),
                "documents": per_document[per_document > 0].astype(np.int32),
            }
        return splits

    def _tokenize(self, sentences: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """All ids, one after another, and how many each sentence has."""
        dtype = token_dtype(self.tokenizer.vocabulary_size)
        ids, lengths = [np.zeros(0, dtype)], [np.zeros(0, np.int64)]
        for begin in range(0, len(sentences), _SENTENCES_A_CALL):
            ragged = self.tokenizer.tokenize(sentences[begin : begin + _SENTENCES_A_CALL])
            ids.append(ragged.flat_values.numpy().astype(dtype))
            lengths.append(ragged.row_lengths().numpy())
        return np.concatenate(ids), np.concatenate(lengths)

    def _is_for_validation(self, text: str) -> bool:
        """Decided by the text alone, so that neither order nor sharding changes it."""
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") < self.validation_share * 2**64


class Workers:
    """A pool that encodes shards: up to two workers are threads, more are processes.

    TensorFlow and `re` leave two threads enough to do side by side, and a process costs seconds of
    start-up and the memory of another TensorFlow; from three on Python's lock would hold them up.

    Args:
        count: number of workers.
        pieces: the vocabulary.
        recipe: a Recipe.
    """

    def __init__(self, count: int, pieces: list[str], recipe):
        self.count = count
        self._lifeline = None
        if count <= MAX_THREADS:
            self._write = _make_encoder(pieces, recipe).write
            self._pool = concurrent.futures.ThreadPoolExecutor(count)
        else:
            self._write = _write_in_worker
            other_end, self._lifeline = multiprocessing.Pipe(duplex=False)
            self._pool = concurrent.futures.ProcessPoolExecutor(
                count,
                multiprocessing.get_context("spawn"),
                _start_worker,
                (pieces, recipe, other_end),
            )

    def submit(self, path: pathlib.Path, documents: list[str], info: dict):
        """A future of the info that ShardEncoder.write returns."""
        # Workers start here and inherit the mask: Ctrl-C is for the parent, which ends them.
        old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return self._pool.submit(self._write, path, documents, info)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, old)

    def __enter__(self):
        return self

    def __exit__(self, error_type, error, traceback):
        if error is not None and self._lifeline is not None:
            self._lifeline.close()  # Ends them at once, even those that still import TensorFlow.
        self._pool.shutdown(wait=True, cancel_futures=error is not None)
        if self._lifeline is not None:
            self._lifeline.close()
        if isinstance(error, concurrent.futures.process.BrokenProcessPool):
            raise ChildProcessError(
                "A worker process ended by itself, perhaps for want of memory. The same command "
                "continues where it stopped; --processes sets the number of workers."
            ) from error


def _make_encoder(pieces: list[str], recipe) -> ShardEncoder:
    # Here, because only workers need TensorFlow: it takes seconds to import.
    from kbert.text.tokenizer import WordPieceTokenizer

    tokenizer = WordPieceTokenizer(pieces, **recipe.tokenizer_options)
    return ShardEncoder(tokenizer, recipe.sentences, recipe.validation_share)


def _start_worker(pieces: list[str], recipe, lifeline) -> None:
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    # TensorFlow, not imported yet, must not take a GPU's memory, nor all cores for each worker.
    threads = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    os.environ.update({"CUDA_VISIBLE_DEVICES": "-1"} | dict.fromkeys(threads, "1"))
    # A process has no other place for what its initializer made.
    global _encoder
    _encoder = _make_encoder(pieces, recipe)


def _end_with(lifeline) -> None:
    """End this process when the other end of the pipe is closed, by the parent or by its death.

    A worker may end anywhere: shards appear whole or not at all.
    """
    try:
        lifeline.recv()
    except EOFError:
        os._exit(1)


def _write_in_worker(path: pathlib.Path, documents: list[str], info: dict) -> dict:
    return _encoder.write(path, documents, info)
