"""Question answering: the answer is a span of a given text (BERT paper, sections 4.2 and 4.3).

    [CLS] question [SEP] context [SEP] -> sequence_output -> dense -> start and end logits

A span from token i to token j scores S·T_i + E·T_j; no answer scores S·[CLS] + E·[CLS]. A context
that is too long becomes several windows. The answer is cut from the original text at the
characters where its tokens begin and end. Files are SQuAD's JSON; see
kbert/tasks/readers/squad_files.py.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from kbert.errors import DataError
from kbert.layers import IMPOSSIBLE
from kbert.metrics import squad
from kbert.metrics.cmrc import cmrc_score, cmrc_scores
from kbert.settings import setting
from kbert.tasks.base import Part, Task
from kbert.tasks.features import Feature
from kbert.tasks.heads import encoder_features, output_layer
from kbert.tasks.readers.bad_rows import BadRows
from kbert.tasks.readers.squad_files import Question, is_squad2, read_questions
from kbert.tasks.texts import parse_texts
from kbert.tasks.windows.question_windows import cut_answer, window_features
from kbert.tasks.windows.spans import best_spans, score_spans
from kbert.text.segments import num_special_tokens

RULES = ("squad", "cmrc")
# Questions given to the tokenizer at once: many for its speed, few for the memory.
CHUNK = 512


@dataclasses.dataclass(frozen=True)
class QuestionAnsweringTask(Task):
    """The answer to a question, as a span of a text.

    Args:
        sequence_length: tokens of a window with its question.
        stride: tokens from the beginning of one window to that of the next.
        max_question_length: a longer question loses its end.
        max_answer_length: tokens of an answer at most.
        n_best: answers in the list that comes with each answer.
        rules: of the scores: "squad", or "cmrc" for Chinese.
        lstm_size: width of each direction of a BiLSTM on the encoder; None for none.
        unanswerable: whether a question may have no answer, found in the training file.
        null_threshold: how much higher than the best span "no answer" must score to be the answer;
            found on the held-out questions.
    """

    name = "qa"
    links: ClassVar = {"start_logits": "softmax", "end_logits": "softmax"}
    metric_names = ("f1", "exact")
    scores_in_percent = True
    token_outputs = True
    # Where answers begin and end is said of tokens.
    teachers_share_pieces = True
    takes_pairs = True
    reading_options = ("rules", "n_best")

    sequence_length: int = setting(384, "tokens of a window with its question", at_least=1)
    stride: int = setting(128, "tokens from one window of a long text to the next", at_least=1)
    max_question_length: int = setting(64, "tokens; a longer question loses its end", at_least=1)
    max_answer_length: int = setting(30, "tokens of an answer at most", at_least=1)
    n_best: int = setting(20, "answers in the list that comes with each answer", at_least=1)
    rules: str = setting("squad", "of the scores; cmrc is for Chinese", choices=RULES)
    lstm_size: int | None = encoder_features.lstm_size_setting(
        "width of each direction of a BiLSTM on the tokens", "none"
    )
    unanswerable: bool = False
    null_threshold: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        shortest = self.max_question_length + num_special_tokens(pair=True) + 1
        if self.sequence_length < shortest:
            raise DataError(
                f"sequence_length must be at least {shortest}, for questions of "
                f"{self.max_question_length} tokens. Received: {self.sequence_length}."
            )

    def read_examples(
        self, path: str | pathlib.Path, labelled: bool = True, bad: BadRows | None = None
    ) -> list[Question]:
        """All questions of a file: those with a problem too, for the official scripts score them.

        Nothing is learned from those. What has no question's shape is left out.
        """
        bad = BadRows() if bad is None else bad
        questions = read_questions(path, labelled, bad)
        for question in questions:
            if question.problem is not None:
                bad.add(DataError(f"{question.where}: {question.problem}."))
        return questions

    def begins_rows(self, line: str) -> bool:
        """SQuAD's JSON, under whatever name."""
        return line.startswith(("{", "["))

    def parse(self, instance: str | Mapping, where: str) -> Question:
        """A line is a question and its context with a tab between.

        An object has "question" and "context", or as in an exported model "text" and "second".
        """
        keys = ("question", "context")
        if isinstance(instance, Mapping) and set(instance) == set(self.instance_fields):
            keys = self.instance_fields
        values = parse_texts(instance, keys, where)
        question, context = (values[key] for key in keys)
        return Question(None, question, context, None, where)

    def prepare(self, examples: Sequence[Question], where: str) -> "QuestionAnsweringTask":
        good = [question for question in examples if question.problem is None]
        if not any(question.answers for question in good):
            raise DataError(f"{where}: expected questions with answers. Found none.")
        unanswerable = not all(question.answers for question in good)
        return dataclasses.replace(self, unanswerable=unanswerable)

    def encode(self, examples: Sequence[Question], tokenizer) -> list[Feature]:
        """The windows of each example in order; without weight where nothing can be learned."""
        features = []
        for begin in range(0, len(examples), CHUNK):
            chunk = examples[begin : begin + CHUNK]
            questions = tokenizer.tokenize_with_offsets([example.question for example in chunk])
            # Most contexts have several questions.
            contexts = list({example.context: None for example in chunk})
            pieces = dict(zip(contexts, tokenizer.tokenize_with_offsets(contexts), strict=True))
            for number, (example, question) in enumerate(zip(chunk, questions, strict=True), begin):
                features += window_features(
                    number,
                    example,
                    question.ids,
                    pieces[example.context],
                    tokenizer,
                    sequence_length=self.sequence_length,
                    stride=self.stride,
                    max_question_length=self.max_question_length,
                )
        return features

    def feature_errors(
        self, examples: Sequence[Question], features: Sequence[Feature]
    ) -> list[DataError]:
        """One for each question whose answer no window holds."""
        lost = dict.fromkeys(feature.example for feature in features if feature.context.lost)
        return [
            DataError(
                f"{question.where}: no window of {self.sequence_length} tokens, the question's "
                f"among them, holds the answer {question.answers[0].text[:60]!r}. A shorter stride "
                "or a longer sequence might."
            )
            for question in map(examples.__getitem__, lost)
        ]

    def counts(self, examples: Sequence[Question], features: Sequence[Feature]) -> dict[str, int]:
        return {"windows": len(features)}

    def build_model(self, encoder):
        """Adds "start_logits" and "end_logits" (batch, sequence), float32 in every precision.

        They are `IMPOSSIBLE` but at the context's tokens and [CLS].
        """
        import keras
        from keras import ops

        vectors = encoder.output["sequence_output"]  # (batch, sequence, hidden)
        if self.lstm_size is not None:
            vectors = encoder_features.with_lstm(encoder, vectors, self.lstm_size)
        logits = output_layer.output_layer(2, name="span")(vectors)
        segment_ids, real = encoder.input["segment_ids"], encoder.input["padding_mask"]
        followed = ops.pad(real[:, 1:], ((0, 0), (0, 1)))  # The last token is a [SEP].
        context = ops.logical_and(ops.equal(segment_ids, 1), ops.not_equal(followed, 0))
        cls = ops.ones_like(context[:, :1])
        possible = ops.concatenate([cls, context[:, 1:]], axis=1)
        outputs = {
            name: ops.where(possible, logits[:, :, column], IMPOSSIBLE)
            for column, name in enumerate(("start_logits", "end_logits"))
        }
        return keras.Model(encoder.input, outputs, name=self.name)

    def objective(self, outputs: Mapping, targets: Mapping, weights: Mapping) -> dict:
        """The mean of the cross-entropies of start and end, over the tokens of a window; "exact" is
        the share of windows of which both are right."""
        from keras import ops

        from kbert.layers.losses import is_right, weighted_cross_entropy

        loss, right = 0.0, True
        for name in ("start", "end"):
            logits = outputs[f"{name}_logits"]  # (batch, sequence)
            loss = loss + weighted_cross_entropy(logits, targets[name], weights[name])[0] / 2
            right = ops.logical_and(right, is_right(logits, targets[name]))
        return {"loss": loss, "exact": ops.sum(weights["start"] * ops.cast(right, "float32"))}

    def taught(self, feature: Feature, said: Part) -> tuple[dict, np.ndarray]:
        """The logits of the window's tokens, of which the other model reads the same."""
        outputs, _, features = said
        (output,) = (out for out, own in zip(outputs, features, strict=True) if own is feature)
        logits = {name: output[name][: feature.length] for name in self.links}
        return logits, np.ones((), "float32")

    def decode(
        self,
        outputs: Sequence[Mapping[str, np.ndarray]],
        example: Question,
        features: Sequence[Feature] = (),
    ) -> dict:
        """The answer's text, score, start and end, and the `n_best` in a list of the same.

        A score is the probability among all spans (and no answer); start and end count characters
        of the context. No answer is the text "" from None to None. Where questions may have none,
        "null_score" says by how much no answer scores higher than the best span.
        """
        # SciPy takes a second to import, and a command's `--help` does not need it.
        from scipy.special import logsumexp

        found, everything, nulls = [], [], []
        for output, window in zip(outputs, (feature.context for feature in features), strict=True):
            start, end = (np.asarray(output[f"{n}_logits"], "float64") for n in ("start", "end"))
            tokens = slice(window.offset, window.offset + len(window.starts))
            scores = score_spans(start[tokens], end[tokens], window.scored, self.max_answer_length)
            everything.append(scores.ravel())
            nulls.append(start[0] + end[0])
            for score, first, last in best_spans(scores, self.n_best):
                found.append((score, int(window.starts[first]), int(window.ends[last])))
        found.sort(key=lambda span: -span[0])
        # Every window without the answer says "none"; so the one that doubts it most counts.
        null = float(min(nulls)) if self.unanswerable else -np.inf
        total = logsumexp(np.concatenate([*everything, [null]]))
        nbest = [
            {"text": text, "score": float(np.exp(score - total)), "start": start, "end": end}
            for score, start, end in found[: self.n_best]
            for text, end in [cut_answer(example.context, start, end)]
        ]
        answer = {} if example.id is None else {"id": example.id}
        answer |= {"text": "", "score": 0.0, "start": None, "end": None}
        if self.unanswerable:
            answer["score"] = float(np.exp(null - total))
            answer["null_score"] = null - (found[0][0] if found else 2 * IMPOSSIBLE)
        if nbest and answer.get("null_score", -np.inf) <= self.null_threshold:
            answer |= nbest[0]
        return answer | {"nbest": nbest}

    def tune(
        self, answers: Sequence[Mapping], examples: Sequence[Question]
    ) -> "QuestionAnsweringTask":
        """With the threshold that gives the best F1 by the task's rules; as it is if every question
        has an answer."""
        gold = _right_answers(examples)
        if not self.unanswerable or all(gold.values()):
            return self
        score = {"squad": squad.score2, "cmrc": cmrc_score}[self.rules]
        found = _best_texts(answers)
        answered = {key: score(gold[key], found[key]).f1 for key in gold}
        unanswered = {key: score(gold[key], "").f1 for key in gold}
        threshold = squad.tune_threshold(answered, unanswered, _null_odds(answers))
        return dataclasses.replace(self, null_threshold=threshold)

    def metrics(self, answers: Sequence[Mapping], examples: Sequence[Question]) -> dict:
        """By the task's rules and under their official names, percentages; always f1 and exact.

        The threshold is the task's, whatever it was when the answers were decoded.
        """
        gold, found = _right_answers(examples), _best_texts(answers)
        odds = _null_odds(answers) if self.unanswerable else None
        if self.rules == "cmrc":
            if odds is not None:
                found = {key: "" if odds[key] > self.null_threshold else found[key] for key in gold}
            scores = cmrc_scores(gold, found)
            return {"f1": scores["F1"], "exact": scores["EM"], **scores}
        if odds is None and not is_squad2(examples):
            return squad.squad1_scores(gold, found)
        scores = squad.squad2_scores(gold, found, odds, self.null_threshold)
        return scores | ({} if odds is None else {"null_threshold": self.null_threshold})

    def trivial_score(self, examples: Sequence[Question]) -> float:
        """The percentage of questions without an answer: F1 of giving none."""
        gold = _right_answers(examples)
        return 100 * sum(not answers for answers in gold.values()) / len(gold)

    def report(self, metrics: Mapping) -> str:
        return "\n".join(
            f"{name:<18}{value:.4f}" if isinstance(value, float) else f"{name:<18}{value}"
            for name, value in metrics.items()
            if not name.startswith("rows") and isinstance(value, int | float)
        )


def _right_answers(examples: Sequence[Question]) -> dict[int, list[str]]:
    return {
        number: [answer.text for answer in example.answers]
        for number, example in enumerate(examples)
    }


def _best_texts(answers: Sequence[Mapping]) -> dict[int, str]:
    """The best span of each answer, also where the answer is that there is none."""
    return {
        number: answer["nbest"][0]["text"] if answer["nbest"] else ""
        for number, answer in enumerate(answers)
    }


def _null_odds(answers: Sequence[Mapping]) -> dict[int, float]:
    return {number: answer["null_score"] for number, answer in enumerate(answers)}
