"""Vectors of pieces from what stands beside what: counted in seconds, before any training."""

import hashlib

import numpy as np
from sklearn.utils.extmath import randomized_svd

_WINDOW = 5  # tokens on each side
_MOST_TOKENS = 100_000_000  # counted; more text changes little
_CHUNK = 1 << 22  # tokens counted at once
_SMOOTHING = 0.75  # of the contexts' frequencies, so that rare ones weigh less
# The last vectors of this process, by what they were counted in: in the laboratory many models
# begin with the same.
_last: dict[tuple, np.ndarray] = {}


def token_vectors(tokens: np.ndarray, vocabulary_size: int, dimensions: int) -> np.ndarray:
    """A unit vector for each piece; pieces that stand in like contexts point the same way.

    The positive pointwise mutual information of pieces and the frequent pieces around them,
    max(0, log p(piece, context) / (p(piece) p(context))), reduced to its main directions (Levy and
    Goldberg, "Neural Word Embedding as Implicit Matrix Factorization", 2014). Pieces that the
    tokens do not hold get random vectors.

    Args:
        tokens: ids, one after another, (tokens,).

    Returns:
        float32 (vocabulary_size, dimensions).
    """
    tokens = tokens[:_MOST_TOKENS]
    digest = hashlib.sha256(np.ascontiguousarray(tokens)).digest()
    key = (digest, tokens.dtype, vocabulary_size, dimensions)
    if key not in _last:
        _last.clear()
        _last[key] = _vectors(tokens, vocabulary_size, dimensions)
    return _last[key].copy()


def _vectors(tokens, vocabulary_size, dimensions):
    rng = np.random.default_rng(0)
    information = _mutual_information(_counts(tokens, vocabulary_size))
    components = min(dimensions + 1, *information.shape)
    left, strength, _ = randomized_svd(information, components, n_iter=3, random_state=0)
    vectors = np.zeros((vocabulary_size, dimensions))
    # Not the first direction, which all pieces share: it is how frequent they are.
    vectors[:, : components - 1] = left[:, 1:] * np.sqrt(strength[1:])
    # Turned at random, so that no coordinate carries more than the others.
    vectors = vectors @ np.linalg.qr(rng.normal(size=(dimensions, dimensions)))[0]
    unseen = np.linalg.norm(vectors, axis=1) < 1e-6
    vectors[unseen] = rng.normal(size=(unseen.sum(), dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _counts(tokens: np.ndarray, vocabulary_size: int) -> np.ndarray:
    """How often each piece stands within the window of each context, (vocabulary, contexts)."""
    frequency = np.bincount(tokens, minlength=vocabulary_size)
    # At most 2^27 counts, which take 1 GiB.
    contexts = np.argsort(-frequency, kind="stable")[: min(4096, 2**27 // vocabulary_size)]
    column = np.full(vocabulary_size, -1)
    column[contexts] = np.arange(len(contexts))
    counts = np.zeros(vocabulary_size * len(contexts), np.int64)
    for start in range(0, len(tokens), _CHUNK):
        cells = []
        for distance in range(1, _WINDOW + 1):
            stop = max(start, min(start + _CHUNK, len(tokens) - distance))
            left = tokens[start:stop].astype(np.int64)
            right = tokens[start + distance : stop + distance].astype(np.int64)
            for piece, context in ((left, column[right]), (right, column[left])):
                cells.append((piece * len(contexts) + context)[context >= 0])
        # At once: each call of bincount passes over all counts, of which there may be 2^27.
        counts += np.bincount(np.concatenate(cells), minlength=len(counts))
    return counts.reshape(vocabulary_size, -1)


def _mutual_information(counts: np.ndarray) -> np.ndarray:
    pieces = counts.sum(axis=1, keepdims=True)
    contexts = counts.sum(axis=0, keepdims=True) ** _SMOOTHING
    expected = pieces * (contexts / contexts.sum())
    # log(max(1, ratio)): where there is no count, or fewer than expected, there is no information.
    ratio = np.divide(counts, expected, out=np.ones_like(expected), where=counts > expected)
    return np.log(ratio).astype(np.float32)
