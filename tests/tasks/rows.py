"""What the tests of several tasks need: a tokenizer of whole words, files, features as batches."""

import numpy as np


def tokenizer(texts, seconds=None, sequence_length=None, special_tokens=False):
    """[CLS] words [SEP] (words [SEP]), cut at the end; every word's id is its length + 10."""
    rows = []
    for number, text in enumerate(texts):
        row = [1, *(len(word) + 10 for word in text.split()), 2]
        if seconds is not None:
            row += [*(len(word) + 10 for word in seconds[number].split()), 2]
        rows.append(row[:sequence_length])
    ids = np.zeros((len(rows), max(map(len, rows))), "int32")
    for number, row in enumerate(rows):
        ids[number, : len(row)] = row
    return {
        "token_ids": ids,
        "segment_ids": np.zeros_like(ids),
        "padding_mask": (ids > 0).astype("int32"),
    }


def write(folder, content, name="rows.tsv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path
