"""Question answering: files, the model, outputs to answers; a tokenizer of words stands in."""

import json

import keras
import numpy as np
import pytest

from kbert.errors import DataError
from kbert.layers import IMPOSSIBLE
from kbert.tasks import TASKS
from kbert.tasks.question_answering import QuestionAnsweringTask
from kbert.tasks.readers.bad_rows import BadRows
from tests.tasks.word_questions import OPEN, SHORT, encode, question


def logits(features, starts, ends, null=(0.0, 0.0)):
    """Outputs that favour tokens by their first character in the context; padded."""
    outputs = []
    for feature in features:
        row = {name: np.full(40, -9.0, "float32") for name in ("start_logits", "end_logits")}
        for name, values, of_null in (
            ("start_logits", starts, null[0]),
            ("end_logits", ends, null[1]),
        ):
            row[name][0] = of_null
            for token, begin in enumerate(feature.context.starts):
                row[name][feature.context.offset + token] = values.get(int(begin), -5.0)
        outputs.append(row)
    return outputs


def test_the_answer_is_cut_from_the_text():
    example = question(context="It rained  in-Oslo, on Monday.")
    (feature,) = encode(OPEN, example)
    outputs = logits([feature], {11: 4.0, 3: 2.0}, {14: 3.0, 3: 2.5}, null=(0.5, 0.25))
    answer = OPEN.decode(outputs, example, [feature])
    assert (answer["text"], answer["start"], answer["end"]) == ("in-Oslo,", 11, 19)
    assert example.context[answer["start"] : answer["end"]] == answer["text"]
    assert answer["id"] == "q"
    # 4 + 3 for the best; 0.5 + 0.25 for none.
    assert answer["null_score"] == pytest.approx(0.75 - 7)
    assert [span["text"] for span in answer["nbest"]] == ["in-Oslo,", "rained  in-Oslo,", "rained"]
    assert 0.8 < answer["score"] < 1 and answer["score"] == answer["nbest"][0]["score"]
    json.dumps(answer)


def test_no_answer():
    example = question(context="It rained in Oslo.")
    (feature,) = encode(OPEN, example)
    outputs = logits([feature], {3: 1.0}, {3: 1.0}, null=(3.0, 2.0))
    answer = OPEN.decode(outputs, example, [feature])
    assert (answer["text"], answer["start"], answer["end"]) == ("", None, None)
    assert answer["null_score"] == pytest.approx(3.0)
    assert answer["nbest"][0]["text"] == "rained"
    assert answer["score"] > answer["nbest"][0]["score"]
    bold = QuestionAnsweringTask(**{**OPEN.to_json(), "null_threshold": 3.5})
    assert bold.decode(outputs, example, [feature])["text"] == "rained"
    closed = QuestionAnsweringTask(**{**OPEN.to_json(), "unanswerable": False})
    answer = closed.decode(outputs, example, [feature])
    assert answer["text"] == "rained" and "null_score" not in answer


def test_decoding_windows_equals_decoding_by_hand():
    """Each span once, where its first token is scored; the null score is the lowest."""
    rng = np.random.default_rng(0)
    task = QuestionAnsweringTask(**{**SHORT.to_json(), "unanswerable": True, "n_best": 100})
    example = question()
    features = encode(task, example)
    outputs = [{f"{n}_logits": rng.normal(size=12) for n in ("start", "end")} for _ in features]
    expected = {}
    for output, feature in zip(outputs, features, strict=True):
        window = feature.context
        for i in np.flatnonzero(window.scored):
            for j in range(i, min(i + 4, len(window.starts))):
                score = output["start_logits"][4 + i] + output["end_logits"][4 + j]
                expected[int(window.starts[i]), int(window.ends[j])] = score
    answer = task.decode(outputs, example, features)
    found = [(span["start"], span["end"]) for span in answer["nbest"]]
    assert found == sorted(expected, key=expected.get, reverse=True)
    null = min(output["start_logits"][0] + output["end_logits"][0] for output in outputs)
    assert answer["null_score"] == pytest.approx(null - max(expected.values()))
    probabilities = [span["score"] for span in answer["nbest"]]
    everything = np.exp([*expected.values(), null]).sum()
    assert probabilities[0] == pytest.approx(np.exp(max(expected.values())) / everything)


def test_accents_behind_the_last_token_belong_to_the_answer():
    example = question(context="un cafe\u0301 noir")
    (feature,) = encode(OPEN, example)
    outputs = logits([feature], {3: 5.0}, {3: 5.0}, null=(-9.0, -9.0))
    assert OPEN.decode(outputs, example, [feature])["text"] == "cafe\u0301"


def test_a_context_without_tokens():
    example = question(context="\u0301 -")
    (feature,) = encode(OPEN, example)
    answer = OPEN.decode(logits([feature], {}, {}), example, [feature])
    assert answer["text"] == "" and answer["nbest"] == []
    json.dumps(answer)


def answer(text, null_score=None):
    nbest = {"text": text, "nbest": [{"text": text}]}
    return nbest if null_score is None else nbest | {"null_score": null_score}


def test_the_threshold_is_tuned():
    examples = [question(answer="one"), question(answer=""), question(answer="two")]
    answers = [answer("one", 2.0), answer("six", 6.0), answer("two", 5.0)]
    tuned = OPEN.tune(answers, examples)
    assert tuned.null_threshold == 5.5  # midway to the next
    scores = tuned.metrics(answers, examples)
    assert (scores["exact"], scores["HasAns_total"], scores["NoAns_f1"]) == (100, 2, 100)
    assert (scores["best_f1_thresh"], scores["null_threshold"]) == (5.0, 5.5)
    assert OPEN.metrics(answers, examples)["exact"] == pytest.approx(100 / 3)
    assert "HasAns_f1         100.0000" in tuned.report(scores)


def test_a_threshold_under_which_nothing_is_answered():
    examples = [question(answer="one"), question(answer="")]
    answers = [answer("six", -3.0), answer("six", -4.0)]
    tuned = OPEN.tune(answers, examples)
    assert tuned.null_threshold < -4
    assert tuned.metrics(answers, examples)["f1"] == 50


def test_the_threshold_is_tuned_by_the_rules_that_score():
    """Of Chinese without spaces SQuAD's rules see one word, and nothing in common."""
    chinese = OPEN.with_options(rules="cmrc")
    examples = [question(context="他住在山上的房子里", answer="山上的房子"), question(answer="")]
    answers = [answer("住在山上的房子", -2.0), answer("他", 3.0)]
    tuned = chinese.tune(answers, examples)
    assert tuned.null_threshold == 0.5
    assert tuned.metrics(answers, examples)["f1"] == pytest.approx((100 * 10 / 12 + 100) / 2)
    nothing = chinese.tune([answer("他", -2.0), answer("他", -2.0)], examples)
    assert nothing.metrics(answers, examples)["f1"] == chinese.trivial_score(examples) == 50


@pytest.mark.parametrize("threshold", [float("nan"), float("inf")])
def test_a_threshold_is_a_number(threshold):
    with pytest.raises(DataError, match="null_threshold must be a finite number"):
        QuestionAnsweringTask(null_threshold=threshold)


def test_there_is_nothing_to_tune_where_all_have_answers():
    examples = [question(answer="one")]
    assert SHORT.tune([answer("one")], examples) is SHORT
    assert OPEN.tune([answer("one", 1.0)], examples) is OPEN


def test_rules_of_the_scores():
    example = question(context="他住在山上的房子里", answer="山上的房子")
    scores = SHORT.metrics([answer("住在山上")], [example])
    assert (scores["f1"], scores["exact_match"]) == (0, 0)
    chinese = SHORT.with_options(rules="cmrc")
    scores = chinese.metrics([answer("住在山上")], [example])
    assert scores["f1"] == scores["F1"] == pytest.approx(100 * 2 * 2 / 9)
    assert (scores["TOTAL"], scores["exact"]) == (1, 0)


def test_json_gives_back_the_task():
    stored = json.loads(json.dumps({"name": "qa", **OPEN.to_json()}))
    assert TASKS["qa"].from_json(stored) == OPEN
    with pytest.raises(DataError, match="unknown settings colour"):
        QuestionAnsweringTask.from_json({"colour": "red"})


def test_options_of_reading():
    assert OPEN.with_options(rules=None) is OPEN
    with pytest.raises(DataError, match="has no option text_column"):
        OPEN.with_options(text_column="x")


def test_training_tells_whether_there_may_be_no_answer():
    yes, no = question(answer="one"), question(answer="")
    assert not SHORT.prepare([yes], "train").unanswerable
    assert SHORT.prepare([yes, no], "train").unanswerable
    with pytest.raises(DataError, match="train: expected questions with answers"):
        SHORT.prepare([no, question(answer="one", problem="odd")], "train")


@pytest.mark.parametrize(
    "instance",
    [
        "who?\tAda is.",
        {"question": "who?", "context": "Ada is."},
        {"text": "who?", "second": "Ada is."},
    ],
)
def test_parse(instance):
    example = SHORT.parse(instance, "here")
    assert (example.question, example.context, example.answers) == ("who?", "Ada is.", None)
    assert (example.text, example.second) == ("who?", "Ada is.")


@pytest.mark.parametrize(
    "instance", ["who?", {"question": "who?"}, {"question": "who?", "context": 3}, ["a"]]
)
def test_parse_refuses(instance):
    with pytest.raises(DataError, match="here: expected two texts with one tab"):
        SHORT.parse(instance, "here")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"stride": 0}, "stride must be at least 1. Received: 0"),
        ({"sequence_length": 67}, "at least 68, for questions of 64 tokens"),
        ({"rules": "bleu"}, "rules must be one of squad, cmrc. Received: 'bleu'"),
    ],
)
def test_settings_that_make_no_sense(settings, expected):
    with pytest.raises(DataError, match=expected):
        QuestionAnsweringTask(**settings)


def test_bad_questions_of_a_file(tmp_path):
    asked = {"id": "q7", "question": "Who?", "answers": [{"text": "Ada", "answer_start": 1}]}
    data = {"data": [{"paragraphs": [{"context": "Ada won.", "qas": [asked]}]}]}
    path = tmp_path / "train.json"
    path.write_text(json.dumps(data))
    with pytest.raises(DataError, match="question q7: expected the answer 'Ada' at 1; .* 'da '"):
        SHORT.read_examples(path)
    bad = BadRows(skip=True)
    (example,) = SHORT.read_examples(path, bad=bad)
    assert example.problem and len(bad.messages) == 1
    (unlabelled,) = SHORT.read_examples(path, labelled=False)
    assert unlabelled.answers is None and unlabelled.problem is None


def encoder():
    inputs = {
        name: keras.Input((None,), dtype="int32", name=name)
        for name in ("token_ids", "segment_ids", "padding_mask")
    }
    hidden = keras.layers.Embedding(30, 4)(inputs["token_ids"])
    return keras.Model(inputs, {"sequence_output": hidden})


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return OPEN.build_model(encoder())


def test_only_context_and_cls_can_be_the_answer(model):
    example = question("who is", "he and she")
    (feature,) = encode(OPEN, example)
    inputs = {name: np.pad(array, (0, 3))[None] for name, array in feature.inputs.items()}
    outputs = {name: np.asarray(value) for name, value in model(inputs).items()}
    # [CLS] who is [SEP] he and she [SEP], then padding
    possible = [0, 4, 5, 6]
    for name in ("start_logits", "end_logits"):
        assert outputs[name].shape == (1, 11) and outputs[name].dtype == "float32"
        assert np.flatnonzero(outputs[name][0] > IMPOSSIBLE / 2).tolist() == possible


def test_objective_is_the_mean_of_two_cross_entropies():
    outputs = {
        "start_logits": np.log([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]]),
        "end_logits": np.log([[0.2, 0.2, 0.6], [0.3, 0.3, 0.4]]),
    }
    targets = {"start": np.array([0, 1]), "end": np.array([2, 0])}
    weight = np.array([0.75, 0.25], "float32")
    sums = SHORT.objective(outputs, targets, {"start": weight, "end": weight})
    losses = -np.log([0.5 * 0.6, 0.8 * 0.3]) / 2
    assert float(sums["loss"]) == pytest.approx(float(weight @ losses), rel=1e-5)
    assert float(sums["exact"]) == 0.75
