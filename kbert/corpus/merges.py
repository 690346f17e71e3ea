"""Learns WordPieces from word counts: merges the most frequent pair of neighbours, again and again.

This is byte-pair encoding over characters with "##" for pieces inside a word, the way published
BERT-like vocabularies are made (Sennrich et al. 2016, https://arxiv.org/abs/1508.07909). Google's
own learner was never released.
"""

import collections
import heapq
import itertools
import sys
from collections.abc import Iterator, Mapping
from typing import NamedTuple

# Pieces are characters while they are learned, the one with the piece's id: a word is a string of
# them, a pair a string of two, and Python finds strings in strings without a loop.
MAX_SIZE = sys.maxunicode + 1


class Alphabet(NamedTuple):
    """The characters that get pieces of their own.

    `starts` are all of them, `insides` those that occur behind the first character of a word;
    `coverage` is their share of all characters of the text.
    """

    starts: list[str]
    insides: list[str]
    coverage: float


def choose_alphabet(
    words: Mapping[str, int], coverage: float, min_frequency: int, max_pieces: int
) -> Alphabet:
    """The most frequent characters, until they make up `coverage` of the text.

    Args:
        words: words and their counts.
        coverage: the share of the text's characters to reach.
        min_frequency: rarer characters are left out.
        max_pieces: the most pieces that characters may take, "x" and "##x" being two.
    """
    counts, inside = collections.Counter(), set()
    for word, count in words.items():
        inside.update(word[1:])
        for character in word:
            counts[character] += count
    total = sum(counts.values())
    chosen, covered, num_pieces = [], 0, 0
    for character, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        num_pieces += 2 if character in inside else 1
        if covered >= coverage * total or count < min_frequency or num_pieces > max_pieces:
            break
        chosen.append(character)
        covered += count
    chosen.sort()
    return Alphabet(chosen, [c for c in chosen if c in inside], covered / max(total, 1))


class PieceLearner:
    """The words as rows of pieces, and what is known of their pairs.

    Args:
        words: words and their counts; those with a character outside of the alphabet are left out,
            because they will be [UNK].
        alphabet: the first pieces.
        reserved: pieces that come before the alphabet: the special tokens.
        min_frequency: rarer pairs are not merged.
    """

    def __init__(
        self,
        words: Mapping[str, int],
        alphabet: Alphabet,
        reserved: tuple[str, ...],
        min_frequency: int,
    ):
        insides = ["##" + character for character in alphabet.insides]
        self.pieces = [*reserved, *alphabet.starts, *insides]
        self._id_of = {piece: index for index, piece in enumerate(self.pieces)}
        self._min_frequency = min_frequency
        self._rows, self._counts = self._split(words, set(alphabet.starts))
        self._pair_count: dict[str, int] = collections.defaultdict(int)
        # Rows that have the pair, or had it: looking there in vain costs less than tidying up.
        self._pair_rows: dict[str, list[int]] = collections.defaultdict(list)
        self._count_pairs()

    def learn(self, size: int) -> Iterator[str]:
        """Add pieces until there are `size`, or no pair is frequent enough. Yields each new one."""
        queue = [(-count, pair) for pair, count in self._pair_count.items()]
        heapq.heapify(queue)
        while queue and len(self.pieces) < size:
            negative, pair = heapq.heappop(queue)
            count = self._pair_count.get(pair, 0)
            if count < self._min_frequency:
                continue
            if count != -negative:  # It has changed since it was queued.
                heapq.heappush(queue, (-count, pair))
                continue
            is_new, merged = self._piece_for(pair)
            for grown in self._merge(pair, chr(merged)):
                heapq.heappush(queue, (-self._pair_count[grown], grown))
            if is_new:
                yield self.pieces[merged]

    def pieces_per_word(self) -> float:
        """The mean number of pieces that the text's words have now."""
        pieces = sum(len(row) * n for row, n in zip(self._rows, self._counts, strict=True))
        return pieces / max(sum(self._counts), 1)

    def num_words(self) -> int:
        """How many words of the text consist of pieces; the others are unknown."""
        return sum(self._counts)

    def _split(self, words, known):
        """Words to rows of character pieces; the frequent first, so that the order is fixed."""
        rows, counts = [], []
        start = {character: chr(self._id_of[character]) for character in known}
        inside = {ord(c): self._id_of["##" + c] for c in known if "##" + c in self._id_of}
        for word, count in sorted(words.items(), key=lambda item: (-item[1], item[0])):
            if known.issuperset(word):
                rows.append(start[word[0]] + word[1:].translate(inside))
                counts.append(count)
        return rows, counts

    def _count_pairs(self) -> None:
        for index, (row, count) in enumerate(zip(self._rows, self._counts, strict=True)):
            for left, right in itertools.pairwise(row):
                self._pair_count[left + right] += count
                self._pair_rows[left + right].append(index)

    def _piece_for(self, pair: str) -> tuple[bool, int]:
        """Whether the merged piece is new ("ab" + "##c" gives what "a" + "##bc" gave), its id."""
        left, right = map(ord, pair)
        piece = self.pieces[left] + self.pieces[right].removeprefix("##")
        known = self._id_of.get(piece)
        if known is not None:
            return False, known
        self._id_of[piece] = len(self.pieces)
        self.pieces.append(piece)
        return True, len(self.pieces) - 1

    def _merge(self, pair: str, merged: str) -> set[str]:
        """Put `merged` in the place of the pair everywhere. Returns the pairs that grew."""
        left, right = pair
        pair_count, pair_rows, grown = self._pair_count, self._pair_rows, set()
        for index in pair_rows.pop(pair):
            row, count = self._rows[index], self._counts[index]
            place = row.find(pair)
            while place >= 0:
                if place:
                    before = row[place - 1]
                    pair_count[before + left] -= count
                    pair_count[before + merged] += count
                    pair_rows[before + merged].append(index)
                    grown.add(before + merged)
                row = row[:place] + merged + row[place + 2 :]
                place += 1
                if place < len(row):
                    after = row[place]
                    pair_count[right + after] -= count
                    pair_count[merged + after] += count
                    pair_rows[merged + after].append(index)
                    grown.add(merged + after)
                place = row.find(pair, place)
            self._rows[index] = row
        pair_count.pop(pair, None)
        grown.discard(pair)
        return grown
