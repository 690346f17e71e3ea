"""Hidden words: the same scores as `fill_mask`, and the probability of what was there."""

import pytest

from kbert import Checkpoint, build_pretraining_model, fill_mask
from kbert.errors import DataError
from kbert.inference.answerer import Answerer
from kbert.inference.views.hidden_words import HiddenWords, hidden_words_forward
from tests.inference.views.models import CONFIG, VOCABULARY, tokenizer, with_weights


@pytest.fixture(scope="module")
def checkpoint():
    return Checkpoint(with_weights(build_pretraining_model(CONFIG)), tokenizer(), CONFIG)


@pytest.fixture(scope="module")
def answerer(checkpoint):
    forward = hidden_words_forward(checkpoint.model, checkpoint.tokenizer)
    return Answerer(HiddenWords(32), checkpoint.tokenizer, forward)


def test_the_scores_are_those_of_fill_mask(checkpoint, answerer):
    instances = [
        {"text": "the film was good", "hidden": [2, 4], "top": len(VOCABULARY)},
        {"text": "今天[MASK]很好", "top": 3},
        {"text": "we saw it"},
    ]
    hidden, mask, none = answerer.predict(instances)
    expected = fill_mask(checkpoint, ["the [MASK] was [MASK]", "今天[MASK]很好"], len(VOCABULARY))
    for answer, filled in ((hidden, expected[0]), (mask, expected[1])):
        for one, candidates in zip(answer["masks"], filled, strict=True):
            found = {c["token"]: c["score"] for c in one["candidates"]}
            scores = {c["token"]: c["score"] for c in candidates}
            assert found == pytest.approx({token: scores[token] for token in found}, abs=1e-5)
            assert list(found) == [c["token"] for c in candidates][: len(found)]
    assert [one["position"] for one in hidden["masks"]] == [2, 4]
    for one, word in zip(hidden["masks"], ("film", "good"), strict=True):
        scores = {c["token"]: c["score"] for c in one["candidates"]}
        assert one["hidden"] == {"token": word, "score": pytest.approx(scores[word])}
    assert mask["masks"][0]["hidden"] is None and len(mask["masks"][0]["candidates"]) == 3
    assert none["masks"] == [] and [t["token"] for t in none["tokens"]][1:-1] == ["we", "saw", "it"]


def test_the_ends_of_a_row_cannot_be_hidden(answerer):
    (answer,) = answerer.predict([{"text": "we saw", "hidden": [3, 9]}])
    assert answer["masks"] == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"hidden": "1"}, "hidden must be a list"),
        ({"hidden": [0]}, "numbers from 1"),
        ({"hidden": [True]}, "numbers from 1"),
        ({"top": 0}, "top must be 1 to 50"),
        ({"top": 2.0}, "top must be 1 to 50"),
        ({"hidden": list(range(1, 18))}, "at most 16 masks. Received: 17"),
        ({"more": 1}, "unknown keys more"),
    ],
)
def test_what_is_refused(answerer, options, expected):
    with pytest.raises(DataError, match=expected):
        answerer.predict([{"text": "we saw it", **options}])
