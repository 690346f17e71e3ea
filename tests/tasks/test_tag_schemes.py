"""Tags: every scheme gives the same entities; the best sequence is the best of all sequences."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert.metrics import conll
from kbert.tasks.tag_schemes import (
    Entity,
    are_plain,
    bio_tags,
    entities,
    from_entities,
    to_bio,
    valid_transitions,
)

TAGS = bio_tags(["LOC", "PER"])
# Words of a sentence as (type or "", length) of what follows each other.
spans = st.lists(
    st.tuples(st.sampled_from(["", "PER", "LOC", "B-X"]), st.integers(1, 3)), max_size=5
)
score = st.floats(-5, 5).map(lambda value: round(value, 2))


def write(scheme, found, words):
    """Tags of entities in a scheme, written independently of the code that reads them."""
    tags = ["O"] * words
    for start, end, name in found:
        for i in range(start, end):
            tags[i] = f"I-{name}"
        if scheme == "IOB1":
            touches = any(e.end == start and e.type == name for e in found)
            tags[start] = f"B-{name}" if touches else f"I-{name}"
            continue
        tags[start] = f"B-{name}"
        if scheme in ("BIOES", "BMES", "BILOU"):
            single, end_prefix, inside = {
                "BIOES": ("S", "E", "I"),
                "BMES": ("S", "E", "M"),
                "BILOU": ("U", "L", "I"),
            }[scheme]
            tags[start + 1 : end] = [f"{inside}-{name}"] * (end - start - 1)
            tags[end - 1] = f"{end_prefix}-{name}"
            if end - start == 1:
                tags[start] = f"{single}-{name}"
    return tags


def laid_out(parts):
    found, place = [], 0
    for name, length in parts:
        if name:
            found.append(Entity(place, place + length, name))
        place += length
    return found, place


@pytest.mark.parametrize("scheme", ["IOB1", "BIO", "BIOES", "BMES", "BILOU"])
@given(spans)
def test_every_scheme_is_read(scheme, parts):
    found, words = laid_out(parts)
    tags = write(scheme, found, words)
    assert entities(tags) == found
    assert list(to_bio(tags)) == write("BIO", found, words)
    assert from_entities(found, words) == to_bio(tags)


def by_conlleval(tags):
    """The entities between the places where conlleval sees one begin and end."""
    steps = list(itertools.pairwise(map(conll._split_tag, ["O", *tags, "O"])))
    begins = [place for place, step in enumerate(steps) if conll._starts(*step)]
    ends = [place for place, step in enumerate(steps) if conll._ends(*step)]
    return [
        Entity(begin, end, conll._split_tag(tags[begin]).type)
        for begin, end in zip(begins, ends, strict=True)
    ]


@given(st.lists(st.sampled_from(TAGS), max_size=12))
def test_broken_bio_is_read_as_conlleval_reads_it(tags):
    assert entities(tags) == by_conlleval(tags)


@given(st.lists(st.sampled_from(["O", "B", "I"]), max_size=12))
def test_tags_without_a_type_are_read_as_conlleval_reads_them(tags):
    assert entities(tags) == by_conlleval(tags)
    assert from_entities(entities(tags), len(tags)) == to_bio(tags)


@pytest.mark.parametrize("scheme", ["IOB1", "BIO", "BIOES", "BMES", "BILOU"])
@pytest.mark.parametrize("form", ["{1}-{0}", "{0}_{1}", "{1}_{0}"])
@given(spans)
def test_other_ways_of_writing_are_read(scheme, form, parts):
    found, words = laid_out(parts)
    tags = [
        tag if tag == "O" else form.format(*tag.split("-", 1))
        for tag in write(scheme, found, words)
    ]
    if "B-X" not in {name for name, _ in parts}:  # whose last letter, too, might be a prefix
        assert list(to_bio(tags)) == write("BIO", found, words)


@pytest.mark.parametrize(
    ("tags", "plain"),
    [
        ({"NOUN", "VERB", "O"}, True),
        ({"B", "I", "O"}, False),
        ({"B", "M", "E", "S"}, False),
        ({"B", "NOUN"}, True),
        ({"S", "O"}, True),  # A subject and others, say.
        ({"PER-B", "PER-I", "LOC-B"}, False),
        ({"B_PER", "O"}, False),
        ({"PER-B", "X"}, True),
        ({"B-PER", "X"}, False),
        ({"NP-S", "NP-L"}, True),
        ({"O"}, False),
    ],
)
def test_which_tags_are_plain(tags, plain):
    assert are_plain(tags) is plain


def test_valid_transitions_of_one_type_without_a_name():
    tags = bio_tags([""])
    assert tags == ("O", "B", "I")
    # I behind B and I, not behind O nor first.
    assert np.isfinite(valid_transitions(tags)[:, 2]).tolist() == [False, True, True, False, True]


def test_by_hand():
    tags = "I-PER I-PER O I-PER B-PER I-LOC".split()
    assert to_bio(tags) == tuple("B-PER I-PER O B-PER B-PER B-LOC".split())


@pytest.mark.parametrize("tag", ["PER", "B-", "-B", "X-PER", "", "b-PER", "b", "BI"])
def test_what_is_no_tag_is_refused(tag):
    with pytest.raises(ValueError, match="expected O or a tag like B-PER"):
        to_bio(["O", tag])


def test_overlapping_entities_have_no_tags():
    with pytest.raises(ValueError, match="do not overlap"):
        from_entities([Entity(0, 2, "A"), Entity(1, 3, "B")], 3)


def is_valid(sequence):
    tags = [TAGS[i] for i in sequence]
    return list(to_bio(tags)) == tags


def total(sequence, emissions, transitions):
    steps = itertools.pairwise(sequence)
    return (
        transitions[-2, sequence[0]]
        + sum(emissions[i, tag] for i, tag in enumerate(sequence))
        + sum(transitions[a, b] for a, b in steps)
        + transitions[-1, sequence[-1]]
    )


def all_sequences(words):
    return list(itertools.product(range(len(TAGS)), repeat=words))


def test_valid_transitions_forbid_just_the_invalid():
    transitions = valid_transitions(TAGS)
    for sequence in all_sequences(3):
        finite = np.isfinite(total(sequence, np.zeros((3, 5)), transitions))
        assert finite == is_valid(sequence)
