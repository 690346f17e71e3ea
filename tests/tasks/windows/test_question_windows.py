"""Windows of a question and its context: by hand, and those of published files."""

import numpy as np
import pytest

from kbert.tasks.question_answering import QuestionAnsweringTask
from kbert.tasks.readers.bad_rows import BadRows
from kbert.tasks.windows.question_windows import cut_answer
from tests.tasks.word_questions import CLS, SEP, SHORT, WORDS, encode, question


def test_windows_with_their_question():
    features = encode(SHORT, question(answer="six seven"))
    # 12 tokens less 2 of the question and 3 special ones: 7 of the context.
    assert [feature.length for feature in features] == [12, 12, 12]
    first, second, third = features
    assert first.inputs["token_ids"].tolist() == [CLS, 11, 11, SEP, 14, 13, 13, 15, 14, 14, 13, SEP]
    assert first.inputs["segment_ids"].tolist() == [0] * 4 + [1] * 8
    assert first.inputs["padding_mask"].tolist() == [1] * 12
    assert [int(feature.context.starts[0]) for feature in features] == [0, 13, 29]
    # "seven" is not in the first window, so that window says: no answer here.
    assert [(int(f.targets["start"]), int(f.targets["end"])) for f in features] == [
        (0, 0),
        (4 + 3, 4 + 4),
        (4, 5),
    ]
    assert all(f.weights == {"start": 1, "end": 1} and f.example == 0 for f in features)
    scored = [
        WORDS.split()[i + 3 * n]
        for n, f in enumerate(features)
        for i in np.flatnonzero(f.context.scored)
    ]
    assert scored == WORDS.split()
    assert not any(feature.cut or feature.context.lost for feature in features)
    assert SHORT.counts([question(answer="six seven")], features) == {"windows": 3}


def test_a_long_question_is_cut_and_counted_once():
    features = encode(SHORT, question("a b c d e"), question("a b c"))
    assert features[0].inputs["token_ids"].tolist()[:5] == [CLS, 11, 11, 11, SEP]
    assert sum(feature.cut for feature in features) == 1
    assert features[0].targets == {}


def test_an_answer_in_no_window():
    lost = question(answer="zero one two three four five six seven")
    examples = [lost, question(answer="one")]
    features = encode(SHORT, *examples)
    assert {float(feature.weights["start"]) for feature in features[:3]} == {0}
    assert float(features[3].weights["start"]) == 1
    (error,) = SHORT.feature_errors(examples, features)
    assert "here: no window of 12 tokens" in str(error) and "answer 'zero one" in str(error)


def test_an_answer_without_tokens_is_lost():
    example = question(context="one - two", answer="-")
    assert len(SHORT.feature_errors([example], encode(SHORT, example))) == 1


def test_a_bad_question_has_no_weight_but_is_scored():
    bad = question(answer="one", problem="it is odd")
    features = encode(SHORT, bad)
    assert {float(feature.weights["end"]) for feature in features} == {0}
    answer = {"text": "one", "nbest": [{"text": "one"}]}
    assert SHORT.metrics([answer], [bad])["exact"] == 100


@pytest.mark.parametrize(
    ("name", "rows", "bad", "lost"),
    [
        ("squad_subsets/derived_squad2_dev_6articles.json", 1905, 0, 0),
        # Some answers are longer than a window.
        ("squad_subsets/squad1_custom_edited_BADSPANS.json", 396, 14, 3),
        ("zh/cmrc2018/squad-style-data_cmrc2018_trial.json", 1002, 7, 3),
    ],
)
def test_published_files_with_the_papers_windows(shared_data, name, rows, bad, lost):
    """Real tokens; each answer that is kept is found again in the text."""
    tokenizers = pytest.importorskip("kbert.text.tokenizer")
    kind = "chinese" if "zh" in name else "uncased"
    vocabulary = shared_data(f"vocab/bert-base-{kind}.vocab.txt")
    task, found_bad = QuestionAnsweringTask(), BadRows(skip=True)
    examples = task.read_examples(shared_data(name), bad=found_bad)
    assert (len(examples), len(found_bad.messages)) == (rows, bad)
    features = task.encode(examples, tokenizers.WordPieceTokenizer(vocabulary))
    assert len(task.feature_errors(examples, features)) == lost
    found = set()
    for feature in features:
        assert feature.length <= 384
        start, end = int(feature.targets["start"]), int(feature.targets["end"])
        if not start:
            continue
        example, window = examples[feature.example], feature.context
        text, at = example.answers[0]
        begin, stop = window.starts[start - window.offset], window.ends[end - window.offset]
        assert begin <= at + len(text) - len(text.lstrip())
        assert at + len(text.rstrip()) <= cut_answer(example.context, begin, stop)[1]
        found.add(feature.example)
    answered = sum(bool(e.answers) and e.problem is None for e in examples)
    assert len(found) == answered - lost
