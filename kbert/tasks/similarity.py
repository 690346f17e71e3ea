"""Similarity: vectors of texts whose cosine says how alike they are (Reimers and Gurevych 2019).

    vector of a text = pooled sequence_output / |pooled sequence_output|

The columns that training is given decide what it learns from:

    two texts and a score    (cosine - score)^2, the file's scores between 0 and 1
    two texts                each first text has to find its second among those of its batch:
                             cross-entropy of the cosines / temperature (in-batch negatives)
    one text                 the same of a text with itself, which dropout makes two of
                             (SimCSE, Gao et al. 2021)

Files are tables, or SQuAD's JSON, of which question and paragraph are a pair. Pairs with scores are
scored by correlation, pairs without by how well each first text finds its second in the file.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from kbert.errors import DataError
from kbert.files import read_object
from kbert.metrics.tally import Tally, mean_of
from kbert.settings import setting
from kbert.tasks.features import Feature, stack
from kbert.tasks.readers.bad_rows import BadRows
from kbert.tasks.readers.labels import parse_number
from kbert.tasks.readers.squad_files import read_questions
from kbert.tasks.texts import (
    CHUNK,
    COLUMNS,
    ColumnsTask,
    TextExample,
    check_texts,
    tokenize,
)

# Of kbert/layers/pooling.py, which needs Keras, those that are trained.
_POOLINGS = ("mean", "cls", "max")
_CORRELATIONS = ("spearman", "pearson")
_LEAST_SQUARES = 1e-12  # of the numbers of a vector, whose sum divides it
_RETRIEVAL = ("mrr", "recall@1", "recall@10")


class Similarity(dict):
    """The answer to a pair, {"similarity": the cosine}, with the vectors that it comes from.

    Attributes:
        vectors: float32 (2, width), of length 1; no part of the JSON.
    """

    def __init__(self, vectors: np.ndarray):
        super().__init__(similarity=float(np.dot(*np.asarray(vectors, "float64"))))
        self.vectors = vectors


@dataclasses.dataclass(frozen=True)
class SimilarityTask(ColumnsTask):
    """Vectors of texts, from scored pairs, from pairs, or from texts alone.

    Args, besides those of ColumnsTask:
        pooling: how a text's vector is made of those of its tokens.
        temperature: what cosines are divided by before the softmax over a batch.
        lowest, highest: of the training file's scores, found by `prepare`.
    """

    name = "similarity"
    metric_names = (*_CORRELATIONS, *_RETRIEVAL)

    pooling: str = setting("mean", "what makes one vector of a text's tokens", choices=_POOLINGS)
    temperature: float = setting(
        0.05, "of the softmax over the texts of a batch, where pairs have no scores", above=0
    )
    sequence_length: int = setting(128, "tokens of each text; longer ones are cut", at_least=4)
    second_column: str | None = setting(
        None, "the second text of a pair", unset="texts alone", group=COLUMNS
    )
    label_column: str | None = setting(
        None, "how alike the two are, a number", unset="no scores", group=COLUMNS
    )
    lowest: float = 0.0
    highest: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        if self.label_column is not None and self.second_column is None:
            raise DataError("A label_column needs a second_column: a score is of two texts.")
        if not self.lowest < self.highest:
            raise DataError(
                f"lowest must be below highest. Received: {self.lowest} and {self.highest}."
            )
        # The first is what the best epoch is chosen by.
        names = _RETRIEVAL if self.label_column is None else _CORRELATIONS
        object.__setattr__(self, "metric_names", names)

    @property
    def takes_pairs(self) -> bool:
        """Always: an answer is of two texts, though training may see them alone."""
        return True

    def parse_label(self, cell: str, where: str) -> float:
        return parse_number(cell, where)

    def read_examples(
        self, path: str | pathlib.Path, labelled: bool = True, bad: BadRows | None = None
    ) -> list[TextExample]:
        path = pathlib.Path(path)
        if path.suffix.lower() == ".json" and _is_squad(path):
            return _pairs_of_questions(path, labelled, bad)
        if not labelled and self.second_column is None:
            raise DataError(f"{path}: expected pairs. Name the column of the second text.")
        return super().read_examples(path, labelled, bad)

    def prepare(self, examples: Sequence[TextExample], where: str) -> "SimilarityTask":
        scores = [example.label for example in examples if example.label is not None]
        if not scores:
            return self
        if len(scores) < len(examples):
            raise DataError(f"{where}: expected a score of all pairs, or of none.")
        if min(scores) == max(scores):
            raise DataError(f"{where}: expected different scores. All are {scores[0]}.")
        self.check_unset("temperature", needs="pairs that have no scores")
        return dataclasses.replace(self, lowest=min(scores), highest=max(scores))

    def check_held_out(self, examples: Sequence[TextExample]) -> None:
        if any(example.second is None for example in examples):
            raise DataError(
                "Texts alone cannot be scored: expected --validation-share 0, and pairs for "
                "`kbert evaluate`."
            )
        scored = examples[0].label is not None
        if any((example.label is not None) != scored for example in examples):
            raise DataError("Expected held-out pairs that all have a score, or none.")

    def target(self, example: TextExample) -> tuple[dict, dict]:
        """The score between 0 and 1, (); nothing to compare with for pairs and texts alone."""
        one = np.ones((), "float32")
        if example.label is None:
            return {}, {"pair": one}
        score = (example.label - self.lowest) / (self.highest - self.lowest)
        return {"score": np.asarray(score, "float32")}, {"score": one}

    def encode(self, examples: Sequence[TextExample], tokenizer) -> list[Feature]:
        """Features with inputs (2, sequence): both texts, or one of them twice."""
        groups = {text: place for place, text in enumerate(map(_second, examples))}
        features = []
        for start in range(0, len(examples), CHUNK):
            chunk = examples[start : start + CHUNK]
            texts = [text for example in chunk for text in (example.text, _second(example))]
            rows, cut = tokenize(tokenizer, texts, None, self.sequence_length)
            for place, example in enumerate(chunk):
                own = slice(2 * place, 2 * place + 2)
                inputs = {name: stack([row[name] for row in rows[own]], 2) for name in rows[0]}
                targets, weights = self.target(example)
                if not targets:
                    # Equal second texts are no wrong answers to each other's first.
                    targets = {"pair": np.asarray(groups[_second(example)], "int32")}
                is_cut = bool(cut[own].any())
                features.append(Feature(inputs, start + place, targets, weights, is_cut))
        return features

    def build_model(self, encoder):
        """From inputs (batch, 2, sequence) to "vectors" (batch, 2, width), float32, of length 1."""
        import keras
        from keras import ops

        from kbert.layers.multiple_choice import FoldChoices
        from kbert.layers.pooling import pool

        inputs = {name: keras.Input((2, None), dtype="int32", name=name) for name in encoder.input}
        folded = {name: FoldChoices(name=f"fold_{name}")(x) for name, x in inputs.items()}
        # Without the pooler, which no vector comes from, and which nothing would train.
        reader = keras.Model(encoder.input, encoder.output["sequence_output"], name=encoder.name)
        states = reader(folded)  # (batch * 2, sequence, hidden)
        pooled = pool(states, folded["padding_mask"], self.pooling)
        # Not `ops.normalize`, whose gradient is NaN for the zeros of a row that fills up a batch.
        squares = ops.sum(ops.square(pooled), axis=-1, keepdims=True)
        vectors = pooled * ops.rsqrt(ops.maximum(squares, _LEAST_SQUARES))
        vectors = ops.reshape(vectors, (-1, 2, vectors.shape[-1]))
        return keras.Model(inputs, {"vectors": vectors}, name=self.name)

    def objective(self, outputs: Mapping, targets: Mapping, weights: Mapping) -> dict:
        """Of pairs without scores the batch is what one device sees of it at once."""
        from keras import ops

        vectors = ops.cast(outputs["vectors"], "float32")
        first, second = vectors[:, 0], vectors[:, 1]  # (batch, width)
        if "score" in targets:
            error = ops.square(ops.sum(first * second, axis=-1) - targets["score"])
            return {"loss": ops.sum(weights["score"] * error)}
        return self._contrast(first, second, targets["pair"], weights["pair"])

    def _contrast(self, first, second, groups, weights) -> dict:
        """Cross-entropy of each first text's own second among all that are not the same text."""
        from keras import ops

        from kbert.layers import IMPOSSIBLE
        from kbert.layers.losses import weighted_cross_entropy

        cosines = ops.matmul(first, ops.transpose(second)) / self.temperature  # (batch, batch)
        own = ops.arange(ops.shape(cosines)[0])
        is_own = ops.equal(own[:, None], own[None, :])
        is_other = ops.not_equal(groups[:, None], groups[None, :])
        # A row that fills up the batch has no weight, and is nobody's answer.
        is_other = ops.logical_and(is_other, (weights > 0)[None, :])
        logits = ops.where(ops.logical_or(is_own, is_other), cosines, IMPOSSIBLE)
        loss, accuracy = weighted_cross_entropy(logits, own, weights)
        return {"loss": loss, "accuracy": accuracy}

    def decode(
        self,
        outputs: Sequence[Mapping[str, np.ndarray]],
        example: TextExample,
        features: Sequence[Feature] = (),
    ) -> Similarity:
        return Similarity(outputs[0]["vectors"])

    def metrics(self, answers: Sequence[Similarity], examples: Sequence[TextExample]) -> dict:
        """Of scored pairs the correlations of cosines and scores; else how well the second texts
        of the file are found: the mean reciprocal rank, and the share among the first 1 and 10."""
        self.check_held_out(examples)
        if examples[0].label is not None:
            # SciPy takes a second to import, and only scores need it.
            from kbert.metrics.regression import regression_scores

            gold = [example.label for example in examples]
            scores = regression_scores(gold, [answer["similarity"] for answer in answers])
            return {name: scores[name] for name in _CORRELATIONS}
        return {name: float(each.mean()) for name, each in _found(answers, examples).items()}

    def tally(
        self, metric: str, answers: Sequence[Similarity], examples: Sequence[TextExample]
    ) -> Tally | None:
        """Of pairs without scores: queries are drawn, all passages stay."""
        if examples[0].label is not None:
            return None
        return mean_of(_found(answers, examples)[metric])

    def trivial_score(self, examples: Sequence[TextExample]) -> float:
        """No correlation; the mean reciprocal rank of a random order."""
        if examples[0].label is not None:
            return 0.0
        count = len({example.second for example in examples})
        return float(np.mean(1 / np.arange(1, count + 1)))

    def report(self, metrics: Mapping) -> str:
        names = [name for name in type(self).metric_names if name in metrics]
        return "\n".join(f"{name:<12}{metrics[name]:.4f}" for name in names)


def _found(answers: Sequence[Similarity], examples: Sequence[TextExample]) -> dict:
    """For each first text how well its second is found among all of the file."""
    from kbert.metrics.retrieval import query_scores

    passages = {example.second: place for place, example in enumerate(examples)}
    numbers = {text: place for place, text in enumerate(passages)}
    queries = np.stack([answer.vectors[0] for answer in answers])
    found = np.stack([answers[place].vectors[1] for place in passages.values()])
    gold = np.array([numbers[example.second] for example in examples])
    return query_scores(queries, found, gold, (1, 10))


def _second(example: TextExample) -> str:
    return example.text if example.second is None else example.second


def _pairs_of_questions(
    path: pathlib.Path, labelled: bool, bad: BadRows | None
) -> list[TextExample]:
    """Questions with their paragraphs; one that the paragraph does not answer is no pair."""
    bad = BadRows() if bad is None else bad
    pairs = []
    for question in read_questions(path, labelled, bad):
        example = TextExample(
            question.question, question.context, None, question.where, question.id
        )
        try:
            check_texts(example)
        except DataError as error:
            bad.add(error)
            continue
        if not (labelled and question.says_impossible):
            pairs.append(example)
    if not pairs:
        raise DataError(f"{path}: expected questions that their paragraphs answer, found none.")
    return pairs


def _is_squad(path: pathlib.Path) -> bool:
    try:
        return "data" in read_object(path)
    except DataError:
        return False  # A list of rows, or what its reader has an error for.
