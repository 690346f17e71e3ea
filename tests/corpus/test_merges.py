"""Learning pieces, on counts small enough to follow by hand."""

import collections
import itertools
import random

import pytest

from kbert.corpus.merges import Alphabet, PieceLearner, choose_alphabet


def learner_of(words, min_frequency=1, reserved=("[UNK]",)):
    alphabet = choose_alphabet(words, 1.0, 1, 1000)
    return PieceLearner(words, alphabet, reserved, min_frequency)


def test_alphabet():
    words = {"abc": 5, "b": 3, "x": 1}
    assert choose_alphabet(words, 1.0, 1, 100) == Alphabet(["a", "b", "c", "x"], ["b", "c"], 1.0)
    assert choose_alphabet(words, 1.0, 2, 100).starts == ["a", "b", "c"]
    assert choose_alphabet(words, 0.5, 1, 100) == Alphabet(["a", "b"], ["b"], 13 / 19)
    assert choose_alphabet(words, 1.0, 1, 3).starts == ["a", "b"]


def test_the_most_frequent_pair_is_merged_first():
    learner = learner_of({"low": 5, "lower": 2, "newest": 6, "widest": 3})
    new = list(learner.learn(size=len(learner.pieces) + 5))
    # ##es 9, ##est 9, then lo, low 7 and ne or ##we 6.
    assert new[:4] == ["##es", "##est", "lo", "low"]
    assert learner.pieces[-5:] == new


def test_repeated_characters():
    learner = learner_of({"aaaa": 3, "aa": 2})
    # ##a ##a 6, a ##a 5; then a ##aa and ##aa ##a 3 each, of which the earlier piece comes first.
    assert list(learner.learn(100)) == ["##aa", "aaa", "aaaa", "aa"]
    assert learner.pieces_per_word() == 1


def test_rare_pairs_are_not_merged():
    learner = learner_of({"ab": 1, "cd": 2}, min_frequency=2)
    assert list(learner.learn(100)) == ["cd"]


def test_words_with_unknown_characters_are_left_out():
    learner = PieceLearner({"ab": 2, "ax": 3}, Alphabet(["a", "b"], ["b"], 0.7), (), 1)
    assert learner.num_words() == 2
    assert list(learner.learn(100)) == ["ab"]


def slow_pieces(words, size, reserved=("[UNK]",)):
    """The same algorithm counting everything anew for every merge."""
    rows = {word: [word[0], *("##" + c for c in word[1:])] for word in words}
    starts = sorted({c for word in words for c in word})
    insides = sorted({c for word in words for c in word[1:]})
    pieces = [*reserved, *starts, *("##" + c for c in insides)]
    while len(pieces) < size:
        counts = collections.Counter()
        for word, row in rows.items():
            for pair in itertools.pairwise(row):
                counts[pair] += words[word]
        if not counts:
            break
        order = {piece: index for index, piece in enumerate(pieces)}
        best = min(counts, key=lambda pair: (-counts[pair], order[pair[0]], order[pair[1]]))
        merged = best[0] + best[1].removeprefix("##")
        if merged not in order:
            pieces.append(merged)
        for row in rows.values():
            place = 0
            while place + 1 < len(row):
                if (row[place], row[place + 1]) == best:
                    row[place : place + 2] = [merged]
                place += 1
    return pieces


@pytest.mark.parametrize("seed", range(30))
def test_equals_the_slow_algorithm(seed):
    rng = random.Random(seed)
    words = {
        "".join(rng.choices("abc", k=rng.randint(1, 9))): rng.randint(1, 20) for _ in range(40)
    }
    learner = learner_of(words)
    list(learner.learn(60))
    assert learner.pieces == slow_pieces(words, 60)
