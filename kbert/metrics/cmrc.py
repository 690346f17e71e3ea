"""Scores of CMRC 2018 (Cui et al., 2019, arXiv:1810.07366), by its official script.

A text is cut into Chinese characters and words of other scripts; F1 comes from the longest run of
them that two texts share. So it needs no word segmentation, on which no two people agree.
"""

import difflib
import functools
from collections.abc import Callable, Mapping, Sequence

from kbert.errors import DataError
from kbert.metrics.squad import Key, Score

# As the official script lists them: other punctuation is part of the words.
_PUNCTUATION = frozenset("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")


def cmrc_scores(gold: Mapping[Key, Sequence[str]], predictions: Mapping[Key, str]) -> dict:
    """Scores by the official rules and under their official names; percentages.

    Args:
        gold: the right answers to each question; none for one that has no answer, which CMRC does
            not know. It is answered rightly by "".
        predictions: the answers to score; a question without one scores 0.

    Returns:
        F1, EM (exact match), their mean AVERAGE, TOTAL (questions), SKIP (those without a
        prediction). The official script prints three decimals, this has all.

    Raises DataError where there is nothing to score.
    """
    if not gold:
        raise DataError("Expected one question at least. Received none.")
    f1 = exact = 0.0
    for key, answers in gold.items():
        if key in predictions:
            score = cmrc_score(answers, predictions[key])
            f1, exact = f1 + score.f1, exact + score.exact
    f1, exact = 100.0 * f1 / len(gold), 100.0 * exact / len(gold)
    return {
        "AVERAGE": (exact + f1) * 0.5,
        "F1": f1,
        "EM": exact,
        "TOTAL": len(gold),
        "SKIP": len(gold.keys() - predictions.keys()),
    }


def cmrc_score(answers: Sequence[str], prediction: str) -> Score:
    """The score of one prediction, 0 to 1: the best over its right answers."""
    found = _stripped(prediction)
    if not answers:
        return Score(*[float(not found)] * 2)
    f1 = max(_f1_score(answer, prediction) for answer in answers)
    return Score(float(found in map(_stripped, answers)), f1)


def _f1_score(answer: str, prediction: str) -> float:
    """F1, 0 to 1, of the longest common run of segments."""
    right, found = _segments(answer), _segments(prediction)
    matcher = difflib.SequenceMatcher(None, right, found, autojunk=False)
    same = matcher.find_longest_match().size
    if same == 0:
        return 0.0
    precision, recall = same / len(found), same / len(right)
    return 2 * precision * recall / (precision + recall)


def _stripped(text: str) -> str:
    """Lower-case and without punctuation; what exact match compares."""
    return "".join(c for c in text.lower().strip() if c not in _PUNCTUATION)


def _segments(text: str) -> list[str]:
    """Chinese characters one by one, and the words between them; punctuation left out.

    "iPhone是苹果" -> ["iphone", "是", "苹", "果"]
    """
    found, run = [], ""
    for character in _stripped(text):
        # The block that the official script takes for Chinese; rare characters are in others.
        if "\u4e00" <= character <= "\u9fa5":
            found += [*_words(run), character]
            run = ""
        else:
            run += character
    return found + [*_words(run)]


@functools.lru_cache(maxsize=10_000)
def _words(run: str) -> tuple[str, ...]:
    """The words of a text without Chinese characters, as `nltk.word_tokenize` has them."""
    return tuple(_word_tokenizer()(run)) if run else ()


@functools.cache
def _word_tokenizer() -> Callable[[str], list[str]]:
    # NLTK takes seconds to import, and many texts are Chinese throughout.
    from nltk.tokenize.destructive import NLTKWordTokenizer
    from nltk.tokenize.punkt import PunktSentenceTokenizer

    # `word_tokenize` loads a trained model to cut sentences, a file to be downloaded apart. It
    # differs from the untrained one in abbreviations: whether "dr." keeps its full stop.
    sentences, of_sentence = PunktSentenceTokenizer(), NLTKWordTokenizer()
    return lambda text: [
        word for sentence in sentences.tokenize(text) for word in of_sentence.tokenize(sentence)
    ]
