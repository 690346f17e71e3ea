"""From documents to a shard: split into sentences, tokenize, write."""

import hashlib
import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from kbert.corpus.store import SPLITS
from kbert.corpus.store_writer import shard, token_dtype, write_shard
from kbert.corpus.workers.results import Result
from kbert.text.sentences import split_sentences

if TYPE_CHECKING:  # Its TensorFlow takes seconds, which only workers need.
    from kbert.text.tokenizer import WordPieceTokenizer

# Large enough that the cost of one call to TensorFlow disappears, small enough for the caches.
_SENTENCES_A_CALL = 8192


class ShardEncoder:
    """Encodes documents and writes them as shards.

    Args:
        tokenizer: makes ids of sentences.
        sentences: the rule of `split_sentences`.
        validation_share: the share of documents that go to the split "validation".
        markers: what the store says of each token besides its id (kbert/corpus/marks.py).
    """

    def __init__(
        self,
        tokenizer: "WordPieceTokenizer",
        sentences: str,
        validation_share: float,
        markers: Sequence[Callable] = (),
    ):
        self.tokenizer = tokenizer
        self.sentences = sentences
        self.validation_share = validation_share
        self.markers = tuple(markers)

    def write(self, path: pathlib.Path, documents: list[str], info: dict) -> dict:
        """Write one shard. Returns its info, see `result`."""
        result = self.result(documents, info)
        write_shard(path, result)
        return result.info

    def result(self, documents: list[str], info: dict) -> Result:
        """What a shard holds. Its info is what was given and "counts" (documents, sentences and
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
        return shard(splits, info)

    def encode(self, documents: list[str]) -> dict[str, dict[str, np.ndarray]]:
        """For each split "tokens" (ids), "sentences" (tokens in each sentence) and "documents"
        (sentences in each document), without empty ones; the marks of tokens by their names.
        """
        found = [split_sentences(text, self.sentences) for text in documents]
        sentences = [sentence for part in found for sentence in part]
        tokens, lengths = self._tokenize(sentences)
        of_tokens = {"tokens": tokens} | {
            marker.name: marker(sentences, tokens, lengths) for marker in self.markers
        }
        document = np.repeat(np.arange(len(documents)), [len(part) for part in found])
        # A sentence of nothing but control characters has no token.
        document, lengths = document[lengths > 0], lengths[lengths > 0]
        is_validation = np.array([self._is_for_validation(text) for text in documents], bool)
        splits = {}
        for split, in_split in zip(SPLITS, (~is_validation, is_validation), strict=True):
            chosen = in_split[document]
            per_document = np.bincount(document[chosen], minlength=len(documents))
            splits[split] = {
                **{name: a[np.repeat(chosen, lengths)] for name, a in of_tokens.items()},
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
            ids.append(np.asarray(ragged.flat_values).astype(dtype))
            lengths.append(np.asarray(ragged.row_lengths()))
        return np.concatenate(ids), np.concatenate(lengths)

    def _is_for_validation(self, text: str) -> bool:
        """Decided by the text alone, so that neither order nor sharding changes it."""
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") < self.validation_share * 2**64
