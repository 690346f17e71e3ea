"""Learns WordPieces from word counts: merges the most frequent pair of neighbours, again and again.

This is byte-pair encoding over characters with "##" for pieces inside a word, the way published
BERT-like vocabularies are made (Sennrich et al. 2016, https://arxiv.org/abs/1508.07909). Google's
own learner was never released.
"""

import collections
import heapq
from collections.abc import Iterator, Mapping
from typing import NamedTuple

# A pair of piece ids is packed into one integer: cheaper to hash than a tuple.
_SHIFT = 24
_LOW = (1 << _SHIFT) - 1
MAX_SIZE = 1 << _SHIFT


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
        self._pair_count: dict[int, int] = collections.defaultdict(int)
        # Rows that have the pair, or had it: looking there in vain costs less than tidying up.
        self._pair_rows: dict[int, list[int]] = collections.defaultdict(list)
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
            for grown in self._merge(pair, merged):
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
        start = {character: self._id_of[character] for character in known}
        inside = {c: self._id_of["##" + c] for c in known if "##" + c in self._id_of}
        for word, count in sorted(words.items(), key=lambda item: (-item[1], item[0])):
            if known.issuperset(word):
                rows.append([start[word[0]], *map(inside.__getitem__, word[1:])])
                counts.append(count)
        return rows, counts

    def _count_pairs(self) -> None:
        for index, (row, count) in enumerate(zip(self._rows, self._counts, strict=True)):
            for left, right in zip(row, row[1:], strict=False):
                pair = left << _SHIFT | right
                self._pair_count[pair] += count
                self._pair_rows[pair].append(index)

    def _piece_for(self, pair: int) -> tuple[bool, int]:
        """Whether the merged piece is new ("ab" + "##c" gives what "a" + "##bc" gave), its id."""
        piece = self.pieces[pair >> _SHIFT] + self.pieces[pair & _LOW].removeprefix("##")
        known = self._id_of.get(piece)
        if known is not None:
            return False, known
        self._id_of[piece] = len(self.pieces)
        self.pieces.append(piece)
        return True, len(self.pieces) - 1

    def _merge(self, pair: int, merged: int) -> set[int]:
        """Put `merged` in the place of the pair everywhere. Returns the pairs that grew."""
        left, right = pair >> _SHIFT, pair & _LOW
        grown = set()
        for index in self._pair_rows.pop(pair):
            row = self._rows[index]
            place = _find_pair(row, left, right, 0)
            while place >= 0:
                self._merge_at(index, place, merged, grown)
                place = _find_pair(row, left, right, place + 1)
        self._pair_count.pop(pair, None)
        grown.discard(pair)
        return grown

    def _merge_at(self, index: int, place: int, merged: int, grown: set[int]) -> None:
        row, count = self._rows[index], self._counts[index]
        pair_count, pair_rows = self._pair_count, self._pair_rows
        if place:
            before = row[place - 1] << _SHIFT
            pair_count[before | row[place]] -= count
            pair_count[before | merged] += count
            pair_rows[before | merged].append(index)
            grown.add(before | merged)
        if place + 2 < len(row):
            after = row[place + 2]
            pair_count[row[place + 1] << _SHIFT | after] -= count
            pair_count[merged << _SHIFT | after] += count
            pair_rows[merged << _SHIFT | after].append(index)
            grown.add(merged << _SHIFT | after)
        row[place : place + 2] = [merged]


def _find_pair(row: list[int], left: int, right: int, begin: int) -> int:
    """The first place at or behind `begin` where `left` stands before `right`; -1 if nowhere."""
    while True:
        try:
            place = row.index(left, begin, len(row) - 1) if len(row) > 1 else -1
        except ValueError:
            return -1
        if place < 0 or row[place + 1] == right:
            return place
        begin = place + 1
