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


@pytest.fixture
def written(tmp_path):
    """A store by kbert's own writer, which shares no code with `small_store`."""
    from kbert.corpus.store_writer import StoreWriter, shard, write_shard

    writer = StoreWriter(tmp_path / "store", {"files": ["a"]})
    train = {
        "tokens": np.array([7, 8, 9], np.uint16),
        "sentences": np.array([2, 1]),
        "documents": np.array([1, 1]),
    }
    none = {name: array[:0] for name, array in train.items()}
    write_shard(writer.shard_path(0), shard({"train": train, "validation": none}, {}))
    counts = {name: len(array) for name, array in train.items()}
    index = {
        "vocabulary_size": 10,
        "tokenizer": TOKENIZER,
        "splits": {"train": counts, "validation": dict.fromkeys(counts, 0)},
        "summary": {},
    }
    writer.finish([writer.shard_path(0)], "\n".join(vocabulary_of(10)).encode(), index)
    return tmp_path / "store"


def test_what_the_writer_writes_can_be_read(written):
    split = TokenStore(written)["train"]
    np.testing.assert_array_equal(split.tokens, [7, 8, 9])
    np.testing.assert_array_equal(split.sentences, [0, 2, 3])
    np.testing.assert_array_equal(split.documents, [0, 1, 2])


@pytest.mark.parametrize(
    "name", ["vocab.txt", "train/tokens.npy", "train/sentences.npy", "train/documents.npy"]
)
def test_a_flipped_bit_is_found(written, name):
    """A bit of the last value, so that the file itself can still be read."""
    raw = bytearray((written / name).read_bytes())
    raw[-2] ^= 1
    (written / name).write_bytes(raw)
    with pytest.raises(DataError, match=rf"{name} is damaged|must|the piece"):
        TokenStore(written)


def test_a_bit_of_every_third_byte(written):
    """Of every file, the names of checksums and the headers of arrays too: the file is named."""
    for path in sorted(path for path in written.rglob("*") if path.is_file()):
        whole = path.read_bytes()
        for place in range(0, len(whole), 3):
            changed = bytearray(whole)
            changed[place] ^= 1 << place % 7
            path.write_bytes(changed)
            with pytest.raises(DataError, match=path.name):
                TokenStore(written)
        path.write_bytes(whole)
    TokenStore(written)


def test_a_changed_number_in_the_index_is_found(written):
    change_index(written, tokenizer={**TOKENIZER, "lowercase": False})
    with pytest.raises(DataError, match="store.json is damaged"):
        TokenStore(written)


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


def change_array(folder, name, change):
    file = folder / "train" / f"{name}.npy"
    array = np.load(file)
    np.save(file, change(array))


def tokens_as(dtype):
    return lambda folder: change_array(folder, "tokens", lambda tokens: tokens.astype(dtype))


def unknown_token(folder):
    change_array(folder, "tokens", lambda tokens: np.where(tokens == 7, 30, tokens).astype("u2"))


def falling_sentences(folder):
    change_array(folder, "sentences", lambda offsets: offsets[[0, 2, 1, 3]])


def later_documents(folder):
    change_array(folder, "documents", lambda offsets: offsets + 1)


def other_counts(counts):
    return lambda folder: change_index(folder, splits={"train": counts, "validation": {}})


def without(key):
    def damage(folder):
        file = folder / "store.json"
        index = json.loads(file.read_text())
        del index[key]
        file.write_text(json.dumps(index))

    return damage


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
        (missing_array, "sentences.npy is missing"),
        (shorter_array, r"documents.npy must hold 3 numbers, int64. Received: shape \(2,\)"),
        (tokens_as("int16"), "tokens.npy must hold 9 numbers, uint16. Received: .*int16"),
        (tokens_as("float64"), "tokens.npy must hold 9 numbers, uint16. Received: .*float64"),
        (unknown_token, "tokens.npy must hold ids below 30, .*Received: 30"),
        (falling_sentences, "sentences.npy must rise from 0 to 9"),
        (later_documents, "documents.npy must rise from 0 to 3"),
        (other_counts({"tokens": 1}), "store.json, train: expected settings sentences, documents"),
        (other_counts({"tokens": -1, "sentences": 1, "documents": 1}), "tokens must be at least 0"),
        (other_counts(5), "store.json must have the counts of the split train. Received: 5"),
        (without("tokenizer"), "store.json must have a JSON object under 'tokenizer'"),
        (without("splits"), "store.json must have a JSON object under 'splits'"),
        (without("summary"), "store.json must have a JSON object under 'summary'"),
        (without("dtype"), "store.json must have a dtype of uint16, uint32. Received: None"),
        (
            lambda folder: change_index(folder, marks=["verbs"]),
            "store.json must have marks of words, entities. Received: .'verbs'.",
        ),
        (lambda folder: change_index(folder, marks=["words"]), "words.npy is missing"),
        (without("vocabulary_size"), "vocab.txt must have the None pieces"),
        (lambda folder: change_index(folder, tokenizer={"lower": True}), "unknown settings lower"),
        (lambda folder: change_index(folder, tokenizer={"lowercase": 1}), "lowercase must be true"),
    ],
)
def test_damage_is_named(folder, damage, message):
    damage(folder)
    with pytest.raises((DataError, FileNotFoundError), match=message):
        TokenStore(folder)
