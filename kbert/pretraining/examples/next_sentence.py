"""Next-sentence pairs (arXiv 1810.04805, section 3.1): half of them real, half from elsewhere."""

import numpy as np

from kbert.pretraining.examples.base import Examples, Spans
from kbert.pretraining.examples.cutting import aims, chunks, halves, trimmed_pair


class NextSentencePairs(Examples):
    """Two texts; label 0 where the second follows the first, 1 where it is of another document."""

    is_pair = True
    num_draws = 8
    least_documents = 2
    why_documents = ", because a random second sentence comes from another document"

    def draw(self, split, places, draws, *, max_tokens, short_probability):
        short, length, is_random, cut, elsewhere, split_point, trim_first, trim_second = draws.T
        is_random = is_random < 0.5
        target = aims(
            short, length, least=2, max_tokens=max_tokens, short_probability=short_probability
        )
        start, end, document = chunks(split, places, target, least=2)
        first, second = halves(split, start, end, cut, split_point)
        # One token cannot be cut.
        is_random |= second[0] == second[1]
        away = _random_spans(split, document, elsewhere, target - (first[1] - first[0]))
        second = [np.where(is_random, far, near) for far, near in zip(away, second, strict=True)]
        first, second = trimmed_pair(first, second, max_tokens, trim_first, trim_second)
        return Spans(*first, *second, is_random.astype(np.int64))


def _random_spans(split, document, draw, target):
    """About `target` tokens that begin with a random sentence of the other documents."""
    begin, stop = split.documents[document], split.documents[document + 1]
    others = split.num_sentences - (stop - begin)
    sentence = (draw * others).astype(np.int64)
    sentence = np.where(sentence >= begin, sentence + (stop - begin), sentence)
    home = np.searchsorted(split.documents, sentence, side="right") - 1
    start = split.sentences[sentence]
    end = np.searchsorted(split.sentences, start + np.maximum(target, 1))
    return start, split.sentences[np.clip(end, sentence + 1, split.documents[home + 1])]
