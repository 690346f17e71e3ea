"""Tagging: words to pieces and windows, outputs to tags and entities."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert import WordPieceTokenizer
from kbert.errors import DataError
from kbert.metrics.conll import Sentence as ConllSentence
from kbert.metrics.conll import conll_scores
from kbert.tasks import TASKS
from kbert.tasks.features import pad_batch
from kbert.tasks.readers.bad_rows import BadRows
from kbert.tasks.readers.conll_files import Sentence
from kbert.tasks.tagging import TaggingTask
from kbert.tasks.windows.sentence_context import TaggedExample, with_documents
from tests.tasks.rows import write

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un", "##do", "##ne", "ann", "lee", "met"]
TOKENIZER = WordPieceTokenizer([*PIECES, "北", "京", "."])
TASK = TaggingTask(labels=("LOC", "PER"))
# One, two and three pieces, an unknown word, one of which normalisation leaves nothing.
WORDS = ["ann", "undo", "undone", "xyz", "\u200b", "北"]


def sentence(words, tags=None, **settings):
    return Sentence(tuple(words), tags and tuple(tags), "here", **settings)


def example(words, tags=None):
    return TaggedExample(sentence(words, tags))


def test_characters_are_joined_as_their_entities_are():
    """An answer's places are those of the text that is shown beside it."""
    task = TaggingTask(labels=("DATE",), characters=True)
    asked = task.parse({"tokens": ["2", "0", "年"]}, "here")
    assert asked.text == "20年" == asked.text_and_spans()[0]
    assert TASK.parse({"tokens": ["2", "0", "年"]}, "here").text != "20年"


def pieces(ids):
    return [TOKENIZER.vocabulary[i] for i in ids]


def test_the_first_piece_of_a_word_has_its_tag():
    words, tags = ["undone", "ann", "\u200b", "met"], ["O", "B-PER", "I-PER", "O"]
    (feature,) = TASK.encode([example(words, tags)], TOKENIZER)
    assert pieces(feature.inputs["token_ids"]) == (
        ["[CLS]", "un", "##do", "##ne", "ann", "[UNK]", "met", "[SEP]"]
    )
    assert feature.weights["tags"].tolist() == [0, 1, 0, 0, 1, 1, 1, 0]
    numbered = [TASK.tags[i] for i in feature.targets["tags"][[1, 4, 5, 6]]]
    assert numbered == tags
    inputs, targets, weights = pad_batch([feature], 16, 2, TASK.token_targets)
    assert targets["tags"].shape == weights["tags"].shape == inputs["token_ids"].shape == (2, 16)
    assert weights["tags"].sum() == pytest.approx(1)


words_of = st.lists(st.sampled_from(WORDS), min_size=1, max_size=25)


@given(st.lists(words_of, min_size=1, max_size=4), st.integers(4, 16), st.booleans())
def test_every_word_is_scored_exactly_once(rows, length, in_context):
    task = TaggingTask(labels=("X",), sequence_length=length, document_context=in_context)
    sentences = [sentence(words, ["O"] * len(words)) for words in rows]
    examples = with_documents(sentences) if in_context else list(map(TaggedExample, sentences))
    features = task.encode(examples, TOKENIZER)
    scored = [[] for _ in rows]
    for feature in features:
        assert feature.length <= length
        assert feature.weights["tags"].sum() == len(feature.context.numbers)
        for number, token in zip(*feature.context, strict=True):
            scored[feature.example].append(number)
            first = TOKENIZER.tokenize([rows[feature.example][number]]).to_list()[0][:1]
            assert feature.inputs["token_ids"][token] == (first or [TOKENIZER.unk_id])[0]
            assert feature.weights["tags"][token] == 1
    assert [sorted(numbers) for numbers in scored] == [list(range(len(words))) for words in rows]


def test_neighbours_fill_the_window():
    rows = [["lee", "met", "."], ["ann"], ["undo", "lee"], ["met"] * 9]
    sentences = [sentence(words, document=number == 3) for number, words in enumerate(rows)]
    task = TaggingTask(labels=("X",), sequence_length=7, document_context=True)
    features = task.encode(with_documents(sentences), TOKENIZER)
    assert pieces(features[1].inputs["token_ids"])[1:-1] == ["met", ".", "ann", "un", "##do"]
    assert features[1].context.tokens.tolist() == [3]
    # Not those of another document.
    assert pieces(features[2].inputs["token_ids"])[1:-1] == [".", "ann", "un", "##do", "lee"]
    assert set(pieces(features[-1].inputs["token_ids"])[1:-1]) == {"met"}


def outputs_of(features, best):
    """Logits that make `best[word]` the likeliest tag of each word, and say nonsense elsewhere."""
    for feature in features:
        logits = np.full((feature.length + 3, len(TASK.tags)), 7.0)
        for number, token in zip(*feature.context, strict=True):
            logits[token] = np.where(np.arange(len(TASK.tags)) == best[number], 4.0, 0.0)
        yield {"logits": logits}


@given(words_of, st.data())
def test_answers_come_from_the_window_that_counts(words, data):
    best = data.draw(st.lists(st.integers(0, 4), min_size=len(words), max_size=len(words)))
    task = TaggingTask(labels=TASK.labels, sequence_length=8)
    item = example(words)
    features = task.encode([item], TOKENIZER)
    answer = task.decode(list(outputs_of(features, best)), item, features)
    assert answer["tags"] == [task.tags[i] for i in best]
    assert answer["tokens"] == words


def answer_to(task, item, best):
    features = task.encode([item], TOKENIZER)
    return task.decode(list(outputs_of(features, best)), item, features)


def test_entities_stand_in_the_text():
    text = "Ann Lee, met 北京."
    item = TASK.parse(text, "here")
    assert item.sentence.words == ("Ann", "Lee", ",", "met", "北", "京", ".")
    answer = answer_to(TASK, item, [3, 4, 0, 0, 1, 2, 0])
    found = [(e["text"], e["type"], e["start"], e["end"]) for e in answer["entities"]]
    assert found == [("Ann Lee", "PER", 0, 7), ("北京", "LOC", 13, 15)]
    for entity in answer["entities"]:
        assert text[entity["start"] : entity["end"]] == entity["text"]
        assert entity["score"] == pytest.approx(np.exp(4) / (np.exp(4) + 4))
    json.dumps(answer)


def test_entities_of_words_without_a_text():
    (entity, other) = answer_to(TASK, example(["ann", "lee", "北", "京"]), [3, 4, 1, 2])["entities"]
    assert (entity["text"], entity["start"], entity["end"]) == ("ann lee", 0, 7)
    assert (other["text"], other["start"], other["end"]) == ("北京", 7, 9)


def test_only_valid_tags_when_asked():
    best = [0, 4, 1, 4]  # O I-PER B-LOC I-PER
    item = example(["ann", "lee", "met", "ann"])
    assert answer_to(TASK, item, best)["tags"] == ["O", "I-PER", "B-LOC", "I-PER"]
    tags = answer_to(TASK.with_options(valid_tags=True), item, best)["tags"]
    before = itertools.pairwise(["O", *tags])
    assert all(b[0] != "I" or a[2:] == b[2:] for a, b in before)


def test_learned_transitions_count():
    task = TaggingTask(labels=TASK.labels, crf=True)
    item = example(["ann", "lee"])
    (feature,) = task.encode([item], TOKENIZER)
    (outputs,) = outputs_of([feature], [3, 0])
    outputs["transitions"] = np.zeros((7, 5))
    assert task.decode([outputs], item, [feature])["tags"] == ["B-PER", "O"]
    outputs["transitions"][3, 4] = 9.0  # I-PER behind B-PER
    assert task.decode([outputs], item, [feature])["tags"] == ["B-PER", "I-PER"]


@pytest.mark.parametrize("crf", [False, True])
def test_objective_is_the_mean_over_words(crf):
    """Without transitions, a random field's is the same."""
    task = TaggingTask(labels=TASK.labels, crf=crf)
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2, 4, 5)).astype("float32")
    tags = rng.integers(0, 5, (2, 4)).astype("int32")
    counts = np.array([[0, 1, 1, 0], [0, 1, 0, 0]], "float32")
    outputs = {"logits": logits, "transitions": np.zeros((2, 7, 5), "float32")}
    sums = task.objective(outputs, {"tags": tags}, {"tags": counts / 3})
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    picked = np.take_along_axis(logs, tags[..., None], -1)[..., 0]
    assert float(sums["loss"]) == pytest.approx(-(picked * counts).sum() / 3, rel=1e-4)
    right = (logits.argmax(-1) == tags) * counts
    assert float(sums["accuracy"]) == pytest.approx(right.sum() / 3)


def test_prepare_finds_types_and_characters():
    task = TaggingTask().prepare([example(["ann"], ["B-X"]), example(["lee"], ["B-A"])], "f")
    assert (task.labels, task.characters) == (("A", "X"), False)
    assert task.tags == ("O", "B-A", "I-A", "B-X", "I-X")
    task = TaggingTask().prepare([example("北京", ["B-X", "I-X"])], "f")
    assert task.characters
    assert task.parse("ab 北", "here").sentence.words == ("a", "b", "北")
    with pytest.raises(DataError, match="f: expected entities. All tags are O"):
        TaggingTask().prepare([example(["a"], ["O"])], "f")


def test_types_that_training_did_not_have_are_named(tmp_path):
    path = write(tmp_path, "a B-PER\n\nb B-ORG\n\nc I-GPE\n", "a.conll")
    with pytest.raises(DataError, match="line 3: .* 'GPE', 'ORG'. Expected: 'LOC', 'PER'"):
        TASK.read_examples(path)
    bad = BadRows(skip=True)
    assert len(TASK.read_examples(path, bad=bad)) == 1
    assert bad.report()["rows_bad"] == 2
    assert len(TASK.read_examples(path, labelled=False)) == 3


def test_metrics_are_conllevals_as_shares():
    examples = [example("abcd", "B-PER I-PER O B-LOC".split()), example("ab", ["B-LOC", "O"])]
    answers = [{"tags": "B-PER I-PER O B-PER".split()}, {"tags": ["B-LOC", "B-LOC"]}]
    scores = TASK.metrics(answers, examples)
    assert (scores["precision"], scores["recall"]) == pytest.approx((1 / 2, 2 / 3))
    assert scores["accuracy"] == pytest.approx(4 / 6)
    assert set(TASK.metric_names) <= set(scores)
    report = [line.split() for line in TASK.report(scores).splitlines()]
    assert ["PER", "0.5000", "1.0000"] in [line[:3] for line in report]
    json.dumps(scores)


def test_json_gives_back_the_task():
    task = TaggingTask(labels=("A", "B"), crf=True, tag_column=3, document_context=True)
    stored = json.loads(json.dumps({"name": task.name, **task.to_json()}))
    assert TASKS[stored["name"]].from_json(stored) == task


@pytest.mark.parametrize(
    ("instance", "expected"),
    [
        ({"tokens": []}, "here: expected a list of words"),
        ({"tokens": ["a", ""]}, "here: expected words that are not empty"),
        ({"text": 5}, 'here: expected a text or {"text": "..."}. Received'),
        ({"words": ["a"]}, 'here: expected a text or {"text": "..."}. Received'),
        ([], 'here: expected a text or {"text": "..."}. Received'),
    ],
)
def test_parse_refuses(instance, expected):
    with pytest.raises(DataError) as error:
        TASK.parse(instance, "here")
    assert expected in str(error.value)


def test_other_columns_than_in_training():
    assert TASK.with_options(word_column=1, tag_column=None).word_column == 1
    with pytest.raises(DataError, match="tagging has no option text_column"):
        TASK.with_options(text_column="a")


def test_tags_without_a_prefix_are_learned_as_they_are(tmp_path):
    """Parts of speech: accuracy is what scikit-learn would say, and F1 is the same."""
    path = write(tmp_path, "ann NNP\nmet VBD\nlee NNP\n\nundo VB\n", "pos.conll")
    task = TaggingTask()
    examples = task.read_examples(path)
    task = task.prepare(examples, str(path))
    assert (task.tags, task.plain) == (("NNP", "VB", "VBD"), True)
    assert TASKS["tagging"].from_json(json.loads(json.dumps(task.to_json()))) == task
    features = task.encode(examples, TOKENIZER)
    assert [task.tags[n] for n in features[0].targets["tags"][1:4]] == ["NNP", "VBD", "NNP"]
    logits = np.full((5, 3), 0.0)
    logits[1:4, 0] = 9  # All are NNP.
    answers = [
        task.decode([{"logits": logits}], example, [feature])
        for example, feature in zip(examples, features, strict=True)
    ]
    assert answers[0] == {"tokens": ["ann", "met", "lee"], "tags": ["NNP"] * 3, "entities": []}
    scores = task.metrics(answers, examples)
    assert scores["accuracy"] == scores["f1"] == pytest.approx(0.5)
    with pytest.raises(DataError, match="valid_tags is for tags like B-PER"):
        TaggingTask(valid_tags=True).prepare(examples, str(path))
    entities = TaggingTask().read_examples(write(tmp_path, "lee B-PER\n", "entities.conll"))
    with pytest.raises(DataError, match="pos: expected O or a tag like B-PER.* Received: 'NNP'"):
        TaggingTask().prepare([*entities, *examples], "entities, pos")
    other = write(tmp_path, "ann NN\n", "other.conll")
    with pytest.raises(DataError, match="does not have: 'NN'. Expected: 'NNP', 'VB', 'VBD'"):
        task.read_examples(other)


def test_entities_of_one_type_without_a_name(tmp_path):
    path = write(tmp_path, "lee B\nann I\nmet O\n", "untyped.conll")
    task = TaggingTask()
    examples = task.read_examples(path)
    task = task.prepare(examples, str(path))
    assert (task.tags, task.plain) == (("O", "B", "I"), False)
    scores = task.metrics([{"tags": ["B", "O", "O"]}], examples)
    by_conlleval = conll_scores([ConllSentence(["B", "I", "O"], ["B", "O", "O"])])
    assert scores["f1"] == by_conlleval["FB1"] == 0
    assert task.metrics([{"tags": ["B", "I", "O"]}], examples)["f1"] == 1
    (feature,) = task.encode(examples, TOKENIZER)
    logits = np.full((5, 3), 0.0)
    logits[[1, 2, 3], [1, 2, 0]] = 9
    answer = task.decode([{"logits": logits}], examples[0], [feature])
    assert [(e["text"], e["type"]) for e in answer["entities"]] == [("lee ann", "")]


@pytest.mark.parametrize("rows", ["lee PER-B\nann PER-I\nmet O\n", "lee B_PER\nann I_PER\nmet O\n"])
def test_other_ways_of_writing_a_tag(tmp_path, rows):
    examples = TaggingTask().read_examples(write(tmp_path, rows, "other.conll"))
    task = TaggingTask().prepare(examples, "here")
    assert task.tags == ("O", "B-PER", "I-PER") and not task.plain
    assert task.metrics([{"tags": ["B-PER", "O", "O"]}], examples)["f1"] == 0
    assert task.metrics([{"tags": ["B-PER", "I-PER", "O"]}], examples)["f1"] == 1


def test_some_tags_with_a_type_and_some_without(tmp_path):
    path = write(tmp_path, "lee B-PER\nmet O\n\nann B\n", "mixed.conll")
    with pytest.raises(DataError, match="a type in all tags, as in B-PER, or in none"):
        TaggingTask().prepare(TaggingTask().read_examples(path), str(path))


def test_words_as_tags_are_not_meant(tmp_path):
    rows = "\n".join(f"w{i} t{i}" for i in range(30))
    path = write(tmp_path, f"{rows}\n", "words.conll")
    with pytest.raises(DataError, match="30 different tags, 30 of them once. Are these tags"):
        TaggingTask().prepare(TaggingTask().read_examples(path), str(path))
