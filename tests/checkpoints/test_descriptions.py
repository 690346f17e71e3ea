"""Descriptions with the right JSON and the wrong content: a model, or a sentence, and soon."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbert import Checkpoint, WordPieceTokenizer, load, save
from kbert.config import BertConfig
from kbert.corpus.store import TokenStore
from kbert.errors import DataError
from kbert.models import build_encoder
from kbert.tasks import TASKS
from tests.reference_bert import randomized
from tests.small_store import numbered_documents, vocabulary_of, write_store

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([0, 1, -1, 2, 7, 10**9, 2**31, 2**63, 10**400, 0.5, 1e-300, 1e300])
    | st.sampled_from([float("nan"), float("inf"), "", "128", "relu", "mean", "ÿ", "../x"]),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=3), children, max_size=3)
    ),
    max_leaves=5,
) | st.sampled_from([["a", "a"], ["no", "yes"], [1, 2], eval("[" * 80 + "]" * 80)])


def places(value, path=()):
    """The keys and numbers that lead to every part of a JSON value."""
    yield path
    if isinstance(value, dict | list):
        keys = value if isinstance(value, dict) else range(len(value))
        for key in keys:
            yield from places(value[key], (*path, key))


@st.composite
def changed(draw, value):
    """A value of which one to three parts are replaced, removed or added."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        paths = [path for path in places(value) if path]
        if not paths:
            break
        *above, last = draw(st.sampled_from(paths))
        holder = value
        for key in above:
            holder = holder[key]
        change = draw(st.sampled_from(["replace", "remove", "add"]))
        if change == "replace":
            holder[last] = copy.deepcopy(draw(VALUES))
        elif change == "remove":
            del holder[last]
        elif isinstance(holder, dict):
            holder[draw(st.text(max_size=5))] = copy.deepcopy(draw(VALUES))
    return value


def is_read_or_refused(read, folder, name, data):
    """Written without checksums, which would refuse every change."""
    file = folder / name
    whole = file.read_text()
    description = json.loads(whole)
    description.pop("checksums", None)
    file.write_text(json.dumps(data.draw(changed(description))))
    try:
        read(folder)
    except DataError as error:
        assert "\n" not in str(error)
    finally:
        file.write_text(whole)


LABELS = {"classification": ("no", "yes"), "multilabel": ("a", "b"), "tagging": ("PER",)}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A checkpoint of each task."""
    config = BertConfig(
        12,
        num_layers=1,
        num_heads=2,
        hidden_dim=4,
        intermediate_dim=8,
        max_sequence_length=400,
    )
    tokenizer = WordPieceTokenizer(vocabulary_of(12))
    found = {}
    for name, kind in TASKS.items():
        task = kind(**({"labels": LABELS[name]} if name in LABELS else {}))
        model = task.build_model(build_encoder(config))
        randomized(model)
        found[name] = tmp_path_factory.mktemp(name)
        save(found[name], Checkpoint(model, tokenizer, config, task))
        values = json.loads((found[name] / "config.json").read_text())
        del values["checksums"]
        (found[name] / "config.json").write_text(json.dumps(values))
    return found


@settings(max_examples=40)
@given(data=st.data())
def test_configurations(folders, data):
    is_read_or_refused(load, folders["classification"], "config.json", data)


@pytest.mark.parametrize("name", TASKS)
@settings(max_examples=10)
@given(data=st.data())
def test_tasks(folders, name, data):
    is_read_or_refused(load, folders[name], "task.json", data)


@settings(max_examples=100)
@given(data=st.data())
def test_stores(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("stores") / "store"
    write_store(folder, numbered_documents([[3, 2]]), numbered_documents([[1]]), vocabulary_of(30))
    is_read_or_refused(TokenStore, folder, "store.json", data)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": []}, "must have labels"),
        ({"labels": None}, "labels"),
        ({"labels": ["no", "no"]}, "must name each label once"),
        ({"labels": [1, 2]}, "labels"),
        ({"sequence_length": "128"}, "sequence_length must be a whole number"),
        ({"sequence_length": 10**9}, "sequence_length of at most 400"),
        ({"lstm_size": 10**9, "features": "last"}, "lstm_size|features"),
        ({"name": ["classification"]}, "must name one of the tasks"),
        ({"speed": 3}, "unknown settings speed"),
    ],
)
def test_tasks_that_are_none(folders, changes, message):
    file = folders["classification"] / "task.json"
    whole = file.read_text()
    file.write_text(json.dumps({**json.loads(whole), **changes}))
    try:
        with pytest.raises(DataError, match=f"task.json.*({message})"):
            load(folders["classification"])
    finally:
        file.write_text(whole)
