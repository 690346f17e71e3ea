"""Which documents are worth learning from: each once, long enough, of words, without repetition.

The rules are some of Gopher's (arXiv 2112.11446, table A1), for which a document is judged by
itself, and the exact duplicates of "Deduplicating training data" (arXiv 2107.06499).
"""

import copy
import hashlib
import itertools
from collections.abc import Iterable, Iterator

from kbert.corpus.documents import Document, TextReader
from kbert.corpus.settings import Recipe

FILTERS = ("deduplicate", "min_characters", "min_letters", "max_repetition")  # fields of `Recipe`


# The file and the number in it of a document.
Place = tuple[int, int]


class FilteredReader(TextReader):
    """A reader that leaves out documents by the rules of a recipe.

    What is left out is counted among the problems, by its rule. What is a duplicate, only who has
    read all that stands before knows: with `deduplicate` a reader that starts later reads that
    first, unless it was told (`knowing`).
    """

    def __init__(
        self,
        paths: Iterable[str],
        document: str,
        field: str,
        recipe: Recipe,
        leave_out: Iterable[str] = (),
    ):
        super().__init__(paths, document, field, leave_out)
        self.recipe = recipe
        self._duplicates: frozenset[Place] | None = None

    def knowing(self, duplicates: Iterable[Place]) -> "FilteredReader":
        """The same reader, told which documents are duplicates of others before."""
        reader = copy.copy(self)
        reader._duplicates = frozenset(duplicates)
        return reader

    def documents(
        self, first_file: int = 0, skip: int = 0, end_file: int | None = None
    ) -> Iterator[Document]:
        seen = self._seen_before(first_file, skip)
        for document in super().documents(first_file, skip, end_file):
            reason = self._fault(document.text)
            if reason is None and self._is_duplicate(document, seen):
                reason = "duplicate document"
            if reason is None:
                yield document
            else:
                self.problems.add(self.files[document.file], f"{reason}, left out", document.line)

    def digests(self, first_file: int, end_file: int) -> Iterator[tuple[bytes, Place]]:
        """What is equal for duplicates, of each document that stays but for those; its place."""
        reader = TextReader.seen_from(self, self._folder)
        for document in TextReader.documents(reader, first_file, 0, end_file):
            if self._fault(document.text) is None:
                yield _digest(document.text), (document.file, document.number)

    def _seen_before(self, first_file, skip):
        """The digests of what stands before a document, where they are needed."""
        if not self.recipe.deduplicate or self._duplicates is not None:
            return set()
        before = itertools.takewhile(
            lambda found: found[1] < (first_file, skip), self.digests(0, first_file + 1)
        )
        return {digest for digest, _ in before}

    def _is_duplicate(self, document, seen):
        if not self.recipe.deduplicate:
            return False
        if self._duplicates is not None:
            return (document.file, document.number) in self._duplicates
        digest = _digest(document.text)
        known = digest in seen
        seen.add(digest)
        return known

    def _fault(self, text):
        recipe = self.recipe
        if len(text.strip()) < recipe.min_characters:
            return "short document"
        if recipe.min_letters and share_of_letters(text) < recipe.min_letters:
            return "document of few letters"
        if recipe.max_repetition < 1 and repetition(text) > recipe.max_repetition:
            return "repetitive document"
        return None


def _digest(text):
    """16 bytes, which no two texts share."""
    same = " ".join(text.lower().split())
    return hashlib.blake2b(same.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def share_of_letters(text: str) -> float:
    """Of the characters that are no white space; 0 of an empty text."""
    characters = "".join(text.split())
    return sum(map(str.isalpha, characters)) / max(len(characters), 1)


def repetition(text: str) -> float:
    """The share of characters in lines that stand in the document before; 0 of an empty text."""
    lines = [line.strip() for line in text.splitlines()]
    total, seen, repeated = 0, set(), 0
    for line in lines:
        total += len(line)
        repeated += len(line) * (line in seen)
        seen.add(line)
    return repeated / max(total, 1)
