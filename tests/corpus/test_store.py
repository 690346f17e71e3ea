"""Reading a token store: whole, or refused in a sentence that names the file."""

import json
import shutil

import numpy as np
import pytest

from kbert.corpus.store import TokenStore
from kbert.errors import DataError
from tests.small_store import TOKENIZER, numbered_documents, vocabulary_of, write_store


@pytest.fixture
def folder(tmp_path):
    return write_store(
        tmp_path / "store",
        numbered_documents([[3, 2], [4]]),
        numbered_documents([[1]]),
        vocabulary_of(30),
    )


def change_index(folder, **changes):
    file = folder / "store.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_reads_what_stands_there(folder):
    store = TokenStore(folder)
    assert store.vocabulary == vocabulary_of(30)
    assert store.tokenizer_options == TOKENIZER
    assert store.summary == {"documents": 3}
    train = store["train"]
    np.testing.assert_array_equal(train.tokens, np.arange(5, 14))
    np.testing.assert_array_equal(train.sentences, [0, 3, 5, 9])
    np.testing.assert_array_equal(train.documents, [0, 2, 3])
    assert (train.num_sentences, train.num_documents) == (3, 2)
    assert store["validation"].num_documents == 1


def test_tokens_stay_on_disk(folder):
    assert isinstance(TokenStore(folder)["train"].tokens, np.memmap)
    assert TokenStore(folder)["train"].tokens.dtype == np.uint16


def test_an_empty_split(tmp_path):
    documents = numbered_documents([[3]])
    store = TokenStore(write_store(tmp_path / "store", documents, [], vocabulary_of(30)))
    assert store["validation"].num_documents == store["validation"].num_sentences == 0


def test_what_the_writer_writes_can_be_read(tmp_path):
    """The reader against kbert's own writer, which shares no code with `small_store`."""
    from kbert.corpus.store_writer import StoreWriter, write_shard

    writer = StoreWriter(tmp_path / "store", {"files": ["a"]})
    train = {
        "tokens": np.array([7, 8, 9], np.uint16),
        "sentences": np.array([2, 1]),
        "documents": np.array([1, 1]),
    }
    none = {name: array[:0] for name, array in train.items()}
    write_shard(writer.shard_path(0), {"train": train, "validation": none}, {})
    counts = {name: len(array) for name, array in train.items()}
    index = {
        "vocabulary_size": 10,
        "tokenizer": TOKENIZER,
        "splits": {"train": counts, "validation": dict.fromkeys(counts, 0)},
        "summary": {},
    }
    writer.finish(1, "\n".join(vocabulary_of(10)).encode(), index)
    split = TokenStore(tmp_path / "store")["train"]
    np.testing.assert_array_equal(split.tokens, [7, 8, 9])
    np.testing.assert_array_equal(split.sentences, [0, 2, 3])
    np.testing.assert_array_equal(split.documents, [0, 1, 2])


def no_folder(folder):
    shutil.rmtree(folder)


def no_index(folder):
    (folder / "store.json").unlink()


def unfinished(folder):
    (folder / "store.json").unlink()
    (folder / "shards").mkdir()


def other_format(folder):
    change_index(folder, format=2)


def broken_index(folder):
    (folder / "store.json").write_text("{")


def incomplete_index(folder):
    (folder / "store.json").write_text("{}")


def other_vocabulary(folder):
    (folder / "vocab.txt").write_text("\n".join(vocabulary_of(29)))


def no_vocabulary(folder):
    (folder / "vocab.txt").unlink()


def truncated_array(folder):
    file = folder / "train" / "tokens.npy"
    file.write_bytes(file.read_bytes()[:-4])


def missing_array(folder):
    (folder / "validation" / "sentences.npy").unlink()


def shorter_array(folder):
    np.save(folder / "train" / "documents.npy", np.array([0, 2]))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_folder, "must be a token store that kbert prepare wrote; it has no store.json"),
        (no_index, "it has no store.json"),
        (unfinished, "it is unfinished: run kbert prepare again"),
        (other_format, "store.json must be of format 1. Received: 2"),
        (broken_index, "store.json must be a JSON file"),
        (incomplete_index, "store.json must be of format 1. Received: None"),
        (other_vocabulary, "vocab.txt must have the 30 pieces .* Received: 29"),
        (no_vocabulary, "vocab.txt"),
        (truncated_array, "tokens.npy cannot be read"),
        (missing_array, "sentences.npy cannot be read"),
        (shorter_array, r"documents.npy must hold 3 numbers. Received: shape \(2,\)"),
    ],
)
def test_damage_is_named(folder, damage, message):
    damage(folder)
    with pytest.raises((DataError, FileNotFoundError), match=message):
        TokenStore(folder)
