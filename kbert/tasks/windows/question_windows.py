"""A question and its context as the windows that the model sees; the way back to characters."""

import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from kbert.tasks.features import Feature
from kbert.tasks.readers.squad_files import Question
from kbert.tasks.windows.cutting import cut_windows, maximal_context
from kbert.tasks.windows.spans import find_tokens
from kbert.text.offsets import Pieces
from kbert.text.segments import num_special_tokens, pack_segments


class Window(NamedTuple):
    """What of the context a feature shows; its `Feature.context`.

    Attributes:
        offset: position of the window's first token in the sequence.
        starts, ends: of its tokens in characters of the context, int32 (tokens,).
        scored: whether the window is the one in which an answer may begin at a token, (tokens,).
        lost: whether no window of the example holds the whole right answer.
    """

    offset: int
    starts: np.ndarray
    ends: np.ndarray
    scored: np.ndarray
    lost: bool


def window_features(
    number: int,
    example: Question,
    question_ids: np.ndarray,
    context: Pieces,
    tokenizer,
    *,
    sequence_length: int,
    stride: int,
    max_question_length: int,
) -> Iterator[Feature]:
    """[CLS] question [SEP] window [SEP] for each window of the context.

    A labelled example has the targets "start" and "end", () each: the places of the answer's first
    and last token in the sequence, or 0 for [CLS] where the window does not hold all of it. Both
    weigh 0 where it is not known what is right, or no window holds it.

    Args:
        number: of the example, for `Feature.example`.
        question_ids: (pieces,).
        context: its pieces.
        tokenizer: gives the ids of [CLS] and [SEP].
    """
    kept = question_ids[:max_question_length]
    size = sequence_length - num_special_tokens(pair=True) - len(kept)
    windows = cut_windows(len(context.ids), size, stride)
    owner = maximal_context(windows)
    span = _find_answer(example, context)
    lost = span is not None and not any(_holds(window, span) for window in windows)
    weight = np.asarray(not lost and example.problem is None, "float32")
    offset = len(kept) + 2
    for index, (begin, end) in enumerate(windows):
        ids = context.ids[begin:end]
        token_ids, segment_ids = pack_segments(
            kept, ids, sequence_length, tokenizer.cls_id, tokenizer.sep_id
        )
        targets = {}
        if example.answers is not None:
            inside = span is not None and _holds((begin, end), span)
            first, last = (token - begin + offset for token in span) if inside else (0, 0)
            targets = {"start": np.asarray(first, "int32"), "end": np.asarray(last, "int32")}
        yield Feature(
            {
                "token_ids": token_ids,
                "segment_ids": segment_ids,
                "padding_mask": np.ones_like(token_ids),
            },
            number,
            targets,
            dict.fromkeys(targets, weight),
            # Once for each example.
            cut=index == 0 and len(kept) < len(question_ids),
            context=Window(
                offset,
                context.starts[begin:end],
                context.ends[begin:end],
                owner[begin:end] == index,
                lost,
            ),
        )


def _find_answer(example: Question, context: Pieces) -> tuple[int, int] | None:
    """The first and last token of the first right answer; None where there is none to be found."""
    if not example.answers or example.problem is not None:
        return None
    text, start = example.answers[0]
    return find_tokens(context.starts, context.ends, start, start + len(text))


def _holds(window: tuple[int, int], span: tuple[int, int]) -> bool:
    """Whether a window [begin, end) has all tokens from the first to the last; a span has some."""
    return window[0] <= span[0] <= span[1] < window[1]


def cut_answer(context: str, start: int, end: int) -> tuple[str, int]:
    """The characters [start, end) and the accents behind them, which belong to no token."""
    while end < len(context) and unicodedata.combining(context[end]):
        end += 1
    return context[start:end], end
