"""Which documents are worth learning from: each once, long enough, of words, without repetition.

The rules are some of Gopher's (arXiv 2112.11446, table A1), for which a document is judged by
itself, and the exact duplicates of "Deduplicating training data" (arXiv 2107.06499).
"""

import hashlib
from collections.abc import Iterable, Iterator

from kbert.corpus.documents import Document, Problems, TextReader
from kbert.corpus.settings import Recipe

FILTERS = ("deduplicate", "min_characters", "min_letters", "max_repetition")  # fields of `Recipe`


class FilteredReader(TextReader):
    """A reader that leaves out documents by the rules of a recipe.

    What is left out is counted among the problems, by its rule. What is a duplicate, only who has
    read all that stands before knows: so with `deduplicate` every reader reads from the beginning,
    wherever it is to start.
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

    def documents(
        self, first_file: int = 0, skip: int = 0, end_file: int | None = None
    ) -> Iterator[Document]:
        seen: set[bytes] = set()
        begin = (0, 0) if self.recipe.deduplicate else (first_file, skip)
        for document in super().documents(*begin, end_file):
            reason = self._reason(document.text, seen)
            if (document.file, document.number) < (first_file, skip):
                self.problems = Problems()
            elif reason is None:
                yield document
            else:
                self.problems.add(self.files[document.file], f"{reason}, left out", document.line)

    def _reason(self, text, seen):
        recipe = self.recipe
        if len(text.strip()) < recipe.min_characters:
            return "short document"
        if recipe.min_letters and share_of_letters(text) < recipe.min_letters:
            return "document of few letters"
        if recipe.max_repetition < 1 and repetition(text) > recipe.max_repetition:
            return "repetitive document"
        if recipe.deduplicate and _is_known(text, seen):
            return "duplicate document"
        return None


def _is_known(text, seen):
    """Whether the text was seen; 16 bytes are kept of each, and no two texts have the same."""
    same = " ".join(text.lower().split())
    digest = hashlib.blake2b(same.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    known = digest in seen
    seen.add(digest)
    return known


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
