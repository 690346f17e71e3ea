"""Entities of a tagger: marked where it finds them, in a store that is made with them."""

import dataclasses
import itertools
import pickle

import numpy as np
import pytest

from kbert import save
from kbert.corpus.prepare import prepare
from kbert.corpus.store import TokenStore
from kbert.errors import DataError
from kbert.inference.answerer import Answerer
from kbert.inference.tagged_entities import TaggedEntities
from kbert.tasks.classification import ClassificationTask
from kbert.tasks.tagging import TaggingTask
from tests.inference.views.models import VOCABULARY, finetuned, tokenizer

TASK = TaggingTask(labels=("LOC", "PER"), sequence_length=32)
SENTENCES = [
    "the film was good",
    "今天天气很好 music",
    "",
    "The filming, we saw it !",
    "bad films",
]


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tagger")
    save(folder, finetuned(TASK))
    return folder


def entities_of(marks, ids):
    """The pieces of each entity that is marked, joined without spaces."""
    found = []
    for mark, piece in zip(marks, ids, strict=True):
        if mark == 1:
            found.append("")
        if mark:
            found[-1] += VOCABULARY[piece].removeprefix("##")
    return found


def expected():
    checkpoint = finetuned(TASK)
    answers = Answerer(TASK, checkpoint.tokenizer, checkpoint.model).predict(SENTENCES)
    return [
        [entity["text"].lower().replace(" ", "") for entity in answer["entities"]]
        for answer in answers
    ]


def test_marks_stand_where_the_tagger_finds_an_entity(tagger):
    source = pickle.loads(pickle.dumps(TaggedEntities(tagger)))  # As it goes to a worker.
    ids = tokenizer().tokenize(SENTENCES)
    flat, lengths = ids.flat_values.numpy(), ids.row_lengths().numpy()
    marks = source.marker(tokenizer())(SENTENCES, flat, lengths)
    ends = np.cumsum([0, *lengths])
    found = [entities_of(marks[a:b], flat[a:b]) for a, b in itertools.pairwise(ends)]
    assert found == expected() and sum(map(len, found)) >= 3 and (marks == 2).any()


def test_a_store_is_made_with_them(tagger, tmp_path):
    (tmp_path / "text.txt").write_text("\n".join(filter(None, SENTENCES)), encoding="utf-8")
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY), encoding="utf-8")
    given = [str(tmp_path / "text.txt")], str(tmp_path / "store"), str(tmp_path / "vocab.txt")
    options = {"progress": False, "validation_share": 0.0, "sentences": "line"}
    prepare(*given, entities=TaggedEntities(tagger), **options)
    store = TokenStore(tmp_path / "store")
    assert store.marks == ("entities",)
    found = entities_of(store["train"].entities, store["train"].tokens)
    assert found == [entity for entities in expected() for entity in entities]
    assert prepare(*given, entities=TaggedEntities(tagger), **options)["already_finished"]
    other = tmp_path / "other"
    save(other, finetuned(TASK, scale=0.2))
    with pytest.raises(DataError, match="made with other entities"):
        prepare(*given, entities=TaggedEntities(other), **options)


def test_what_is_no_tagger_of_entities(tmp_path):
    for name, task in (
        ("classes", ClassificationTask(labels=("a", "b"), sequence_length=16)),
        ("plain", dataclasses.replace(TASK, labels=("NOUN", "VERB"), plain=True)),
    ):
        save(tmp_path / name, finetuned(task))
        with pytest.raises(DataError, match="must be a tagger of entities"):
            TaggedEntities(tmp_path / name)
    with pytest.raises(DataError):
        TaggedEntities(tmp_path)
