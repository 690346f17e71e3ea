"""Sentences in their documents, as pieces."""

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from kbert.tasks.readers.conll_files import Sentence
from kbert.text.joining import join_words


class TaggedExample(NamedTuple):
    """A sentence, and the sentences of its document, where they are wanted as context.

    Attributes:
        spaces: whether spaces stand between its words, where the file has words alone.
    """

    sentence: Sentence
    document: tuple[Sentence, ...] = ()
    position: int = 0
    spaces: bool = True

    @property
    def where(self) -> str:
        return self.sentence.where

    @property
    def text(self) -> str:
        """What an exported graph is asked: it takes no words."""
        return self.text_and_spans()[0]

    def text_and_spans(self) -> tuple[str, Sequence[tuple[int, int]]]:
        """The text, and the (start, end) of each word in it."""
        if self.sentence.text is None:
            return join_words(self.sentence.words, spaces=self.spaces)
        return self.sentence.text, self.sentence.spans


def with_documents(sentences: Sequence[Sentence], spaces: bool = True) -> list[TaggedExample]:
    """Each sentence of a file with those of its document; `spaces` as of `TaggedExample`."""
    examples = []
    for _, group in itertools.groupby(sentences, lambda sentence: sentence.document):
        document = tuple(group)
        examples += [
            TaggedExample(sentence, document, place, spaces)
            for place, sentence in enumerate(document)
        ]
    return examples


def all_words(examples: Sequence[TaggedExample]) -> list[str]:
    """Every word of the examples and their documents once."""
    documents = {id(example.document): example.document for example in examples}
    sentences = [example.sentence for example in examples]
    sentences += itertools.chain.from_iterable(documents.values())
    return list(dict.fromkeys(word for sentence in sentences for word in sentence.words))


def word_pieces(tokenizer, words: Sequence[str]) -> dict[str, list[int]]:
    """The ids of each word's pieces; [UNK] for a word of which normalisation leaves nothing."""
    ragged = tokenizer.tokenize(words)
    ids = np.asarray(ragged.flat_values).tolist()
    splits = np.asarray(ragged.row_splits).tolist()
    return {
        word: ids[start:end] or [tokenizer.unk_id]
        for word, start, end in zip(words, splits, splits[1:], strict=False)
    }


def context(
    example: TaggedExample, pieces: Mapping[str, list[int]], size: int
) -> tuple[list[int], list[list[int]], list[int]]:
    """Pieces before the sentence, of each of its words, and behind it; at most `size` around it."""
    before: list[int] = []
    for sentence in reversed(example.document[: example.position]):
        before = [*_flat(sentence, pieces), *before]
        if len(before) >= size:
            break
    behind: list[int] = []
    for sentence in example.document[example.position + 1 :]:
        behind += _flat(sentence, pieces)
        if len(behind) >= size:
            break
    own = [pieces[word] for word in example.sentence.words]
    return before[-size:], own, behind[:size]


def _flat(sentence: Sentence, pieces: Mapping[str, list[int]]) -> list[int]:
    return [piece for word in sentence.words for piece in pieces[word]]
