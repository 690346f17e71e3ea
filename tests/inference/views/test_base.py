"""Tokens: those that the model sees, where they come from, what was cut."""

import numpy as np
import pytest

from kbert.errors import DataError
from kbert.inference.views.base import View
from kbert.tasks.tagging import TaggingTask
from tests.inference.views.models import tokenizer


def shown(view, *instances):
    examples = [view.parse(instance, "Instance 0") for instance in instances]
    return view.encode(examples, tokenizer())


@pytest.mark.parametrize(
    ("view", "instances"),
    [
        (View(32), [{"text": "The films, seeing 今天气!"}, {"text": ""}]),
        (View(6), [{"text": "the film was good bad music"}]),
        (View(32, True), [{"text": "the film", "second": "was good , it"}]),
        (View(9, True), [{"text": "the film was good bad", "second": "we saw it and music"}]),
    ],
)
def test_the_model_sees_what_the_tokenizer_says(view, instances):
    for feature, instance in zip(shown(view, *instances), instances, strict=True):
        second = [instance["second"]] if view.takes_pairs else None
        expected = tokenizer()([instance["text"]], second, sequence_length=view.sequence_length)
        assert set(feature.inputs) == set(expected)
        for name, values in feature.inputs.items():
            np.testing.assert_array_equal(values, np.asarray(expected[name])[0])
        answer = view.decode([{}], view.parse(instance, ""), [feature])
        for token in answer["tokens"] + answer["cut"]:
            if token["text"] is None:
                assert token["token"] in ("[CLS]", "[SEP]")
                continue
            text = instance[("text", "second")[token["text"]]]
            found = text[token["start"] : token["end"]].lower()
            assert token["token"] in ("[UNK]", found, f"##{found}")


def test_what_is_cut_comes_behind_what_is_kept():
    (feature,) = shown(View(5), {"text": "the film was good bad"})
    assert [token["token"] for token in feature.context["tokens"][1:-1]] == ["the", "film", "was"]
    assert [token["token"] for token in feature.context["cut"]] == ["good", "bad"]
    assert feature.cut


@pytest.mark.parametrize(
    "instance", [3, {}, {"text": 1}, {"second": "a"}, {"text": "a", "label": "b"}]
)
def test_what_is_refused(instance):
    with pytest.raises(DataError, match="Instance 0: "):
        View(8).parse(instance, "Instance 0")
    with pytest.raises(DataError, match="text, second"):
        View(8, True).parse({"text": "a"}, "Instance 0")


@pytest.mark.parametrize(("special", "count"), [(True, 3), (False, 5)])
def test_a_mask_in_a_text_is_a_special_token_where_the_view_says_so(special, count):
    (feature,) = shown(View(16, special_tokens=special), {"text": "[MASK]"})
    tokens = [token["token"] for token in feature.context["tokens"]]
    assert ("[MASK]" in tokens) == special and len(tokens) == count


def test_a_tagger_of_characters_sees_characters():
    text = "今天 the 气\U00020000!"
    view = View(32, characters=True)
    (feature,) = shown(view, {"text": text})
    task = TaggingTask(labels=("O",), characters=True, plain=True, sequence_length=32)
    (window,) = task.encode([task.parse(text, "")], tokenizer())
    np.testing.assert_array_equal(feature.inputs["token_ids"], window.inputs["token_ids"])
    tokens = feature.context["tokens"][1:-1]
    seen = [text[token["start"] : token["end"]] for token in tokens]
    assert "".join(seen) == "今天the气\U00020000!"
    assert all(token["end"] == token["start"] + 1 for token in tokens)
