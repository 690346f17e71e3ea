"""Questions whose tokens are words: a task of short windows, one of long ones, a tokenizer."""

import re

import numpy as np

from kbert.tasks.question_answering import QuestionAnsweringTask
from kbert.tasks.readers.squad_files import Answer, Question
from kbert.text.offsets import Pieces

CLS, SEP = 1, 2
SHORT = QuestionAnsweringTask(
    sequence_length=12, stride=3, max_question_length=3, max_answer_length=4, n_best=5
)
OPEN = QuestionAnsweringTask(
    sequence_length=32, stride=8, max_question_length=8, unanswerable=True, n_best=3
)
WORDS = "zero one two three four five six seven eight nine ten eleven twelve"


class Tokenizer:
    """Words as pieces; a word's id is its length + 10."""

    cls_id, sep_id = CLS, SEP

    def tokenize_with_offsets(self, texts):
        return [self.pieces(text) for text in texts]

    def pieces(self, text):
        words = list(re.finditer(r"[^\s\u0301-]+", text))
        columns = [
            [word.end() - word.start() + 10 for word in words],
            [word.start() for word in words],
            [word.end() for word in words],
        ]
        return Pieces(*(np.array(column, "int32") for column in columns))


def question(text="a b", context=WORDS, answer=None, **changes):
    """Labelled by `answer`: a text, "" for none, or None for unlabelled."""
    answers = None if answer is None else ()
    if answer:
        answers = (Answer(answer, context.find(answer)),)
    return Question("q", text, context, answers, "here")._replace(**changes)


def encode(task, *examples):
    return task.encode(examples, Tokenizer())
