"""Rows of words and pieces to be masked, and the words of a row in plain Python."""

import numpy as np
from hypothesis import strategies as st

from kbert.text.vocabulary import SPECIAL_TOKENS

FIRST_ORDINARY = len(SPECIAL_TOKENS)
# Every third piece goes on with a word.
VOCABULARY = [*SPECIAL_TOKENS, *(f"##b{n}" if n % 3 == 2 else f"a{n}" for n in range(40))]


def continues(piece):
    return VOCABULARY[piece].startswith("##")


def words_of(token_ids, candidates, begins=None):
    """The words of one row, each a list of positions; what is no candidate ends a word."""
    words = []
    for place, is_candidate in enumerate(candidates):
        goes_on = continues(token_ids[place]) if begins is None else not begins[place]
        if not is_candidate:
            continue
        if goes_on and place and candidates[place - 1]:
            words[-1].append(place)
        else:
            words.append([place])
    return words


@st.composite
def rows(draw):
    """token_ids and candidates (batch, sequence), a rate, and a generator for draws."""
    batch, sequence = draw(st.integers(1, 4)), draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    token_ids = rng.integers(0, len(VOCABULARY), (batch, sequence))
    candidates = (token_ids >= FIRST_ORDINARY) & (rng.random((batch, sequence)) < 0.95)
    return token_ids, candidates, draw(st.floats(0.01, 0.9)), rng


def wanted(candidates, rate, slots):
    """How many tokens of a row BERT's rule chooses."""
    available = int(candidates.sum())
    return min(max(1, round(available * rate)), available, slots)


def taken(units, keys, count, slots):
    """Units in the order of their keys, as long as they fit; one at least, if the slots hold it."""
    order = sorted(units, key=lambda unit: keys[unit[0]])
    chosen, left = [], count
    for unit in order:
        if len(unit) <= left:
            chosen.append(unit)
            left -= len(unit)
    if not chosen:
        chosen = [unit for unit in order if len(unit) <= slots][:1]
    return sorted(place for unit in chosen for place in unit)


def chosen_of(masked):
    """The chosen positions of each row; checks that slots and targets are in order."""
    used = masked.weights > 0
    for row, is_used in enumerate(used):
        count = int(is_used.sum())
        assert is_used[:count].all()
        assert (masked.positions[row, count:] == 0).all() and (
            masked.targets[row, count:] == 0
        ).all()
        assert (np.diff(masked.positions[row, :count]) > 0).all()
    return [
        list(positions[is_used]) for positions, is_used in zip(masked.positions, used, strict=True)
    ]
