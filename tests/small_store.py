"""A token store made by hand in NumPy, by the format that kbert/corpus/store.py describes."""

import json

import numpy as np

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TOKENIZER = {"lowercase": True, "strip_accents": None, "split_chinese": True}


def vocabulary_of(size):
    """The special tokens and words `a0 a1 ...`, `size` pieces in all."""
    return [*SPECIAL, *(f"a{number}" for number in range(size - len(SPECIAL)))]


def random_documents(count, vocabulary_size, seed, sentences=(1, 8), tokens=(1, 12)):
    """Documents of sentences of ordinary piece ids; a piece is often followed by its successor."""
    rng = np.random.default_rng(seed)
    ordinary = vocabulary_size - len(SPECIAL)
    return [
        [
            (len(SPECIAL) + (rng.integers(ordinary) + np.arange(rng.integers(*tokens))) % ordinary)
            for _ in range(rng.integers(*sentences))
        ]
        for _ in range(count)
    ]


def numbered_documents(lengths):
    """Documents by the lengths of their sentences; token i of the split has the id 5 + i."""
    first, documents = len(SPECIAL), []
    for sentences in lengths:
        ends = first + np.cumsum(sentences)
        documents.append([np.arange(end - n, end) for n, end in zip(sentences, ends, strict=True)])
        first = int(ends[-1])
    return documents


def split_arrays(documents):
    """-> tokens, sentence offsets, document offsets."""
    sentences = [sentence for document in documents for sentence in document]
    return (
        np.concatenate([np.zeros(0, np.uint16), *sentences]).astype(np.uint16),
        np.cumsum([0, *map(len, sentences)]).astype(np.int64),
        np.cumsum([0, *map(len, documents)]).astype(np.int64),
    )


def write_random_store(path, vocabulary, train=20, validation=20):
    """A store of random pieces: so many documents in each split."""
    size = len(vocabulary)
    documents = random_documents(train, size, seed=0), random_documents(validation, size, seed=1)
    return write_store(path, *documents, vocabulary)


def write_store(path, train, validation, vocabulary):
    """Write both splits, the vocabulary and the index; returns the path."""
    counts = {}
    for name, documents in (("train", train), ("validation", validation)):
        (path / name).mkdir(parents=True)
        arrays = split_arrays(documents)
        for kind, array in zip(("tokens", "sentences", "documents"), arrays, strict=True):
            np.save(path / name / f"{kind}.npy", array)
        tokens, sentences, offsets = arrays
        counts[name] = {
            "tokens": len(tokens),
            "sentences": len(sentences) - 1,
            "documents": len(offsets) - 1,
        }
    (path / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    index = {
        "format": 1,
        "dtype": "uint16",
        "vocabulary_size": len(vocabulary),
        "tokenizer": TOKENIZER,
        "splits": counts,
        "summary": {"documents": len(train) + len(validation)},
    }
    (path / "store.json").write_text(json.dumps(index), encoding="utf-8")
    return path
