"""A small corpus, its vocabulary, and the bytes of a store that is made of it."""

import pathlib

import numpy as np

from kbert.corpus import prepare as corpus

PIECES = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] the cat sat on mat . , ! ##s dog 猫 坐 。 a b c d e".split()
)
PIECES += [f"##{letter}" for letter in "abcdefghijklmnopqrtuvwxyz"]
WORDS = "the cat sat on mats , dogs zebra 猫坐".split()


def make_text(num_documents, seed=0):
    """Documents of three lines with two sentences each, no two alike."""
    rng = np.random.default_rng(seed)
    documents = []
    for number in range(num_documents):
        words = rng.choice(WORDS, (3, 2, 6))
        lines = [" ".join(f"The {' '.join(part)}." for part in line) for line in words]
        documents.append(f"A {number} .\n" + "\n".join(lines))
    return "\n\n".join(documents) + "\n"


def content_of(folder):
    """The bytes of every file below a folder, by name."""
    paths = sorted(path for path in pathlib.Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def small_shards(monkeypatch):
    monkeypatch.setattr(corpus, "TASK_CHARACTERS", 5000)
