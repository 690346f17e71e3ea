"""What each token contributed to an answer: integrated gradients (arXiv 1703.01365).

    contribution_i = (e_i - e'_i) . integral_0^1 dF(e' + t (e - e')) / de_i dt

e are the outputs of the embedding layer, e' those of the baseline, in which every piece is [MASK],
and F is what the answer shows: a label's probability, or a number. The contributions add up to
F(e) - F(e'), as far as the sum over `steps` points of Gauss and Legendre is the integral.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kbert.errors import DataError
from kbert.inference.forward import Forward
from kbert.inference.views.base import View, ViewExample
from kbert.inference.views.gradients import gradient_of
from kbert.tasks.features import Feature
from kbert.tasks.texts import TextTask

if TYPE_CHECKING:
    import keras

STEPS = 50
_LIKELIEST = -1
# Padded, of the points that are computed together: their activations fill the memory.
_TOKENS_AT_ONCE = 2048


@dataclasses.dataclass(frozen=True)
class Contributions(View):
    """The contributions of a text's tokens to the answer of a classifier or a regression.

    An instance has "text", of pairs "second", and maybe "label": whose probability is explained;
    without it, the likeliest.
    """

    name: ClassVar[str] = "contributions"

    labels: tuple[str, ...] = ()

    def parse_options(self, options: Mapping, where: str) -> Mapping[str, Any]:
        label = options.get("label")
        if label is not None and label not in self.labels:
            raise DataError(f"{where}: label must be one of {', '.join(self.labels) or 'none'}.")
        super().parse_options({k: v for k, v in options.items() if k != "label"}, where)
        return {"label": _LIKELIEST if label is None else self.labels.index(label)}

    def inputs_of(self, example: ViewExample, shown: Mapping, tokenizer) -> dict[str, np.ndarray]:
        inputs = super().inputs_of(example, shown, tokenizer)
        is_word = [token["text"] is not None for token in shown["tokens"]]
        return inputs | {
            "baseline_ids": np.where(is_word, tokenizer.mask_id, inputs["token_ids"]),
            "label": np.full_like(inputs["token_ids"], example.options["label"]),
        }

    def decode(
        self, outputs: Sequence[Mapping], example: ViewExample, features: Sequence[Feature]
    ) -> dict:
        """The tokens, each with its "contribution"; "label", where there are labels; "answer" and
        "baseline": F of the text and of the masks; "steps"."""
        found, length = outputs[0], features[0].length
        answer = super().decode(outputs, example, features)
        pairs = zip(answer["tokens"], found["contributions"][:length], strict=True)
        answer["tokens"] = [token | {"contribution": float(value)} for token, value in pairs]
        if self.labels:
            answer["label"] = self.labels[int(found["label"])]
        return answer | {
            "answer": float(found["answer"]),
            "baseline": float(found["baseline"]),
            "steps": STEPS,
        }


def contributions_forward(model: "keras.Model", task: TextTask, steps: int = STEPS) -> Forward:
    """What computes `Contributions` with the model of a task.

    Raises `DataError` on a backend without gradients.
    """
    import keras
    from keras import ops

    embedding = model.get_layer("embedding")
    behind = keras.Model([embedding.output, model.input["padding_mask"]], model.output)

    def answers(embedded, padding_mask):
        """F of every label: (batch, labels)."""
        return _shown(task, behind([embedded, padding_mask], training=False))

    # Of a row only its own label counts: `chosen` is 1 there, else 0.
    gradient = gradient_of(lambda x, mask, chosen: answers(x, mask) * chosen)

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        names = ("token_ids", "baseline_ids", "segment_ids", "padding_mask")
        *ids, segment_ids, mask = (ops.convert_to_tensor(inputs[name]) for name in names)
        embedded, baseline = (embedding(i, segment_ids, mask, training=False) for i in ids)
        full, empty = (ops.convert_to_numpy(answers(x, mask)) for x in (embedded, baseline))
        label = inputs["label"][:, 0]
        label = np.where(label == _LIKELIEST, full.argmax(axis=1), label)
        chosen = np.eye(full.shape[1], dtype="float32")[label]
        mean = _mean_gradient(gradient, baseline, embedded, (mask, chosen), steps)
        number = np.arange(len(label))
        return {
            "contributions": ops.convert_to_numpy(ops.sum((embedded - baseline) * mean, axis=-1)),
            "label": label,
            "answer": full[number, label],
            "baseline": empty[number, label],
        }

    return Forward(run)


def _shown(task, outputs):
    """The numbers that an answer shows: (batch, labels), of a regression (batch, 1)."""
    from keras import ops

    if task.name == "regression":
        return task.mean + task.deviation * ops.cast(outputs["value"], "float32")
    logits = ops.cast(outputs["logits"], "float32")
    return ops.sigmoid(logits) if task.name == "multilabel" else ops.softmax(logits)


def _mean_gradient(gradient, start, end, others, steps):
    """The mean of gradient(x, *others) on the way from `start` to `end`, (rows, sequence, hidden).

    The first axis of `others` is that of rows.
    """
    from keras import ops

    points, weights = np.polynomial.legendre.leggauss(steps)  # on [-1, 1]
    rows, sequence, hidden = end.shape
    at_once, mean = max(1, _TOKENS_AT_ONCE // (rows * sequence)), 0.0
    for first in range(0, steps, at_once):
        point, weight = (
            ops.convert_to_tensor(x[first : first + at_once, None, None, None], "float32")
            for x in ((points + 1) / 2, weights / 2)
        )
        between = start + point * (end - start)  # (points, rows, sequence, hidden)
        found = gradient(
            ops.reshape(between, (-1, sequence, hidden)),
            *(ops.tile(other, (len(point), 1)) for other in others),
        )
        mean = mean + ops.sum(weight * ops.reshape(found, between.shape), axis=0)
    return mean
