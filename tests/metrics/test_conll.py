"""Entity scores: conlleval's own output, tags by hand, sets of entities by brute force."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert.errors import DataError
from kbert.metrics.conll import Sentence, conll_scores, from_bioes, parse_columns


def as_printed(scores):
    """The lines of conlleval.pl."""

    def percentages(values):
        return (
            f"precision: {values['precision']:6.2f}%; recall: {values['recall']:6.2f}%; "
            f"FB1: {values['FB1']:6.2f}"
        )

    yield (
        f"processed {scores['tokens']} tokens with {scores['phrases']} phrases; "
        f"found: {scores['found']} phrases; correct: {scores['correct']}."
    )
    yield f"accuracy: {scores['accuracy']:6.2f}%; {percentages(scores)}"
    for name, values in scores["types"].items():
        yield f"{name:>17}: {percentages(values)}  {values['found']}"


def test_equals_conlleval(shared_data):
    lines = shared_data("reference/conlleval/output.txt").read_text().splitlines()
    expected = shared_data("reference/conlleval/result.txt").read_text().splitlines()
    scores = conll_scores(parse_columns(enumerate(lines, 1), "output.txt"))
    assert [line.split() for line in as_printed(scores)] == [line.split() for line in expected]


def score(gold, predicted):
    return conll_scores([Sentence(gold.split(), predicted.split())])


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),  # phrases, found, correct
    [
        ("B-A I-A O", "B-A I-A O", (1, 1, 1)),
        ("B-A I-A O", "B-A I-A I-A", (1, 1, 0)),
        ("B-A I-A", "B-B I-B", (1, 1, 0)),
        ("B-A I-A", "I-A I-A", (1, 1, 1)),  # IOB1 and BIO say the same.
        ("I-A B-A", "I-A I-A", (2, 1, 0)),
        ("I-A I-B", "B-A B-B", (2, 2, 2)),  # Another type is another entity.
        ("E-A E-A O I-A E-A", "B-A B-A O B-A I-A", (3, 3, 3)),  # IOE2
        ("O I-A", "O B-A", (1, 1, 1)),  # An entity at the very end.
        ("[-A ]-A", "B-A B-A", (2, 2, 2)),
        ("S-A S-A", "S-A S-A", (1, 1, 1)),  # conlleval does not know S.
        ("B-A-x I-A-x", "B-A-x I-A-x", (1, 1, 1)),
        ("O O", "O O", (0, 0, 0)),
    ],
)
def test_entities_by_hand(gold, predicted, expected):
    scores = score(gold, predicted)
    assert (scores["phrases"], scores["found"], scores["correct"]) == expected


def test_accuracy_and_types():
    scores = score("B-A O B-B O", "B-A O O B-C")
    assert scores["accuracy"] == 50
    assert {name: values["FB1"] for name, values in scores["types"].items()} == {
        "A": 100,
        "B": 0,
        "C": 0,
    }


def test_a_sentence_ends_its_entities():
    gold = predicted = ["I-A"]
    assert conll_scores([Sentence(gold, predicted)] * 3)["correct"] == 3


TAGS = st.lists(st.sampled_from(["O", "B-x", "I-x", "B-y", "I-y"]), min_size=1, max_size=12)


def entities(tags):
    """(begin, end, type) of BIO tags; what goes on after nothing begins."""
    found, begin = [], None
    for place, tag in enumerate([*tags, "O"]):
        going = begin is not None and tag == f"I-{tags[begin][2:]}"
        if begin is not None and not going:
            found.append((begin, place, tags[begin][2:]))
            begin = None
        if begin is None and tag != "O":
            begin = place
    return set(found)


@given(TAGS, st.data())
def test_equals_sets_of_entities(gold, data):
    predicted = data.draw(
        st.lists(st.sampled_from(["O", *gold]), min_size=len(gold), max_size=len(gold))
    )
    scores = conll_scores([Sentence(gold, predicted)])
    right, found = entities(gold), entities(predicted)
    assert scores["phrases"] == len(right)
    assert scores["found"] == len(found)
    assert scores["correct"] == len(right & found)


@pytest.mark.parametrize(
    ("bioes", "bio"),
    [
        ("S-A S-A", "B-A B-A"),
        ("B-A I-A E-A B-A E-A", "B-A I-A I-A B-A I-A"),
        ("E-A I-A", "I-A B-A"),
        ("S-A E-A O", "B-A B-A O"),
    ],
)
def test_bioes(bioes, bio):
    assert from_bioes(bioes.split()) == bio.split()


def parse(text, delimiter=None):
    lines = enumerate(text.splitlines(keepends=True), 1)
    return list(parse_columns(lines, "tags.txt", delimiter))


def test_columns():
    text = "a  x B-A O\r\nb\ty O O \n\n-X- - O O\nc z O B-A"
    assert parse(text) == [Sentence(["B-A", "O"], ["O", "O"]), Sentence(["O"], ["B-A"])]
    assert parse("two words,B-A,O\n", ",") == [Sentence(["B-A"], ["O"])]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a O O\nb O\n", "tags.txt, line 2: expected 3 columns as in the first line"),
        ("alone\n", "tags.txt, line 1: expected two columns"),
    ],
)
def test_bad_columns(text, expected):
    with pytest.raises(DataError, match=expected):
        parse(text)


def test_refuses():
    with pytest.raises(DataError, match="one word at least"):
        conll_scores([])
    with pytest.raises(DataError, match="Sentence 0: expected 2 predicted tags. Received: 1"):
        conll_scores([Sentence(["O", "O"], ["O"])])
