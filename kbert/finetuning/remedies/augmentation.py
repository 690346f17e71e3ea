"""More training rows of few: changed copies of each text, with its label (EDA, arXiv 1901.11196).

    delete   words are left out                                  each with the probability `share`
    swap     two words change places                             once for `share` of the words
    fill     a word is replaced by what the encoder's masked LM  once for `share` of the words
             says in its place (arXiv 1812.06705)

Of a pair both texts are changed. Words are BERT's: of Chinese text the characters.
"""

from collections.abc import Callable, Sequence

import numpy as np

from kbert.checkpoints.directory import Checkpoint
from kbert.errors import DataError
from kbert.finetuning.rows import FinetuningRows
from kbert.finetuning.settings import FinetuningSettings
from kbert.inference.fill_mask import MASK, mask_filler
from kbert.tasks.texts import TextTask
from kbert.text.words import word_spans

# Of so many pieces for a place one is drawn.
_CANDIDATES = 10


def augmented(
    rows: FinetuningRows, start: Checkpoint, settings: FinetuningSettings
) -> FinetuningRows:
    """The rows with `settings.augment` changed copies of each training text behind them.

    Which of `settings.augment_by` changes a copy, and where, is drawn by the seed. Raises
    `DataError` for a task whose answers are not of a whole text, and for "fill" without a masked
    LM.
    """
    if not settings.augment:
        return rows
    task, train = rows.task, rows.train
    if not isinstance(task, TextTask):
        raise DataError(f"Texts are changed for tasks on whole texts. Received: {task.name}.")
    rng = np.random.default_rng([settings.seed, settings.augment])
    copies = [example for _ in range(settings.augment) for example in train]
    kinds = rng.choice(list(settings.augment_by), len(copies))
    for kind in sorted(set(kinds)):
        chosen = np.flatnonzero(kinds == kind)
        for field in ("text", "second"):
            texts = [getattr(copies[n], field) for n in chosen]
            if None in texts:
                continue
            changed = _CHANGES[kind](texts, settings.augment_share, rng, start)
            for number, text in zip(chosen, changed, strict=True):
                copies[number] = copies[number]._replace(**{field: text})
    features = [
        feature._replace(example=feature.example + len(train))
        for feature in task.encode(copies, start.tokenizer)
    ]
    return rows._replace(train=[*train, *copies], train_features=[*rows.train_features, *features])


def deleted(text: str, share: float, rng: np.random.Generator) -> str:
    """The text without some of its words; one stays, if there is one."""
    spans = _words(text)
    if not spans:
        return text
    stays = rng.random(len(spans)) >= share
    if not stays.any():
        stays[rng.integers(len(spans))] = True
    ends = [start for start, _ in spans[1:]] + [len(text)]
    # With a word goes what stands between it and the next one.
    parts = [
        text[start:end] for (start, _), end, kept in zip(spans, ends, stays, strict=True) if kept
    ]
    return text[: spans[0][0]] + "".join(parts)


def swapped(text: str, share: float, rng: np.random.Generator) -> str:
    """The text with pairs of words in each other's places."""
    spans = _words(text)
    if len(spans) < 2:
        return text
    order = np.arange(len(spans))
    for _ in range(_count(share, spans)):
        one, other = rng.choice(len(spans), 2, replace=False)
        order[[one, other]] = order[[other, one]]
    return _replaced(text, spans, {n: text[slice(*spans[w])] for n, w in enumerate(order)})


def _one_by_one(change: Callable) -> Callable:
    return lambda texts, share, rng, start: [change(text, share, rng) for text in texts]


def _filled(
    texts: Sequence[str], share: float, rng: np.random.Generator, start: Checkpoint
) -> list[str]:
    """The texts with some words replaced by what the masked LM says, but never by themselves."""
    # A text with [MASK] in it stays: which mask is whose could not be told.
    spans = [[] if MASK in text else _words(text) for text in texts]
    places = [
        sorted(rng.choice(len(own), _count(share, own), replace=False)) if own else []
        for own in spans
    ]
    masked = [
        _replaced(text, own, dict.fromkeys(where, MASK))
        for text, own, where in zip(texts, spans, places, strict=True)
    ]
    asked = [number for number, where in enumerate(places) if where]
    answers = mask_filler(start, _CANDIDATES).answer([masked[number] for number in asked])
    found = list(texts)
    for number, answer in zip(asked, answers, strict=True):
        words = {}
        # Of a mask that is cut off there are no candidates: its word stays.
        for place, candidates in zip(places[number], answer["masks"], strict=True):
            word = _drawn(candidates, texts[number][slice(*spans[number][place])], rng)
            if word is not None:
                words[place] = word
        found[number] = _replaced(texts[number], spans[number], words)
    return found


def _drawn(candidates, word, rng):
    """One of the pieces that are words, by their probabilities; None where there is none."""
    others = [
        candidate
        for candidate in candidates
        if candidate["token"].lower() != word.lower() and _is_text(candidate["token"])
    ]
    if not others:
        return None
    scores = np.array([candidate["score"] for candidate in others])
    return others[rng.choice(len(others), p=scores / scores.sum())]["token"]


def _is_text(piece):
    return not piece.startswith(("##", "[")) and any(map(str.isalnum, piece))


def _words(text):
    """Where the words stand that are no punctuation."""
    return [span for span in word_spans(text) if any(map(str.isalnum, text[slice(*span)]))]


def _count(share, spans):
    return max(1, round(share * len(spans)))


def _replaced(text, spans, words):
    """The text with other words in the places of some: number of a span -> its word."""
    parts, end = [], 0
    for number, (start, stop) in enumerate(spans):
        parts += [text[end:start], words.get(number, text[start:stop])]
        end = stop
    return "".join([*parts, text[end:]])


_CHANGES = {"delete": _one_by_one(deleted), "swap": _one_by_one(swapped), "fill": _filled}
