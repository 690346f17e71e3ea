"""An objective with a teacher beside it, a model that is trained already (DistilBERT, 1910.01108).

    loss = (1 - share) loss of the text + share T^2 KL(teacher || student) + hidden_share (1 - cos)

The divergence is of the two distributions over the vocabulary at each piece that is predicted, both
softened by the temperature T, as DistilBERT's; cos is the mean over all tokens of the cosine of the
two last hidden states; those of a student of another width are projected to the teacher's
(TinyBERT, 1909.10351, equation 8), by a matrix that is trained with it and not kept.
"""

import os
from typing import TYPE_CHECKING

from kbert.checksums import checksum
from kbert.config import BertConfig
from kbert.corpus.store import TokenStore
from kbert.errors import DataError
from kbert.pretraining.objectives.base import VOCABULARY_HEADS, Objective, normalized
from kbert.text.vocabulary import load_vocabulary

if TYPE_CHECKING:
    from kbert.pretraining.settings import PretrainingSettings

_INPUT = "teacher/"  # before the name of an input that the teacher reads
_STATES = "hidden_states"


class Distillation(Objective):
    """Another objective, whose model also learns from a teacher.

    Args:
        objective: the other one.
        teacher: folder of a pre-training checkpoint with its heads over the vocabulary.
        share: of the loss, that compares with the teacher.
        temperature: see above.
        hidden_share: how much the hidden states count beside it; 0 for not at all.
    """

    def __init__(
        self,
        objective: Objective,
        teacher: str | os.PathLike,
        share: float,
        temperature: float,
        hidden_share: float,
    ):
        super().__init__(objective.masking)
        self.objective = objective
        self.path, self.share = teacher, share
        self.temperature, self.hidden_share = temperature, hidden_share
        self.name, self.examples, self.hides = objective.name, objective.examples, objective.hides
        self._teacher = None

    @property
    def marks(self):
        return self.objective.marks

    def with_masking(self, masking):
        parts = (self.path, self.share, self.temperature, self.hidden_share)
        return Distillation(self.objective.with_masking(masking), *parts)

    def check(self, config: BertConfig) -> None:
        self.objective.check(config)

    def num_draws(self, sequence_length):
        return self.objective.num_draws(sequence_length)

    def build_model(self, config, rematerialize=False):
        """The student; the teacher is read beside it, on the same devices."""
        student = self.objective.build_model(config, rematerialize)
        self._teacher = self._read(self.heads(student))
        return student

    @staticmethod
    def heads(model) -> list[str]:
        """The outputs of a pre-training model that are scores of the vocabulary."""
        return [head for head in VOCABULARY_HEADS if head in model.output]

    def trained(self, model):
        import keras

        from kbert.engine.saving import TRAINING_ONLY
        from kbert.layers.dense import TokenDense
        from kbert.models import hidden_states

        states, width = hidden_states(model)[-1], self._teacher.output[_STATES].shape[-1]
        if self.hidden_share and states.shape[-1] != width:
            states = TokenDense(width, use_bias=False, name=TRAINING_ONLY)(states)
        return keras.Model(model.input, {**model.output, _STATES: states})

    def batch(self, rows, draws, progress=0.0):
        inputs, targets, weights = self.objective.batch(rows, draws, progress)
        read = {_INPUT + name: value for name, value in inputs.items()}
        weights = weights | {_STATES: normalized(rows.padding_mask > 0)}
        return inputs, targets | read, weights

    def sums(self, outputs, targets, weights):
        from keras import ops

        from kbert.layers.losses import cosine_distance, divergence

        states = outputs[_STATES]
        plain = {name: logits for name, logits in outputs.items() if name != _STATES}
        found = self.objective.sums(plain, targets, weights)
        read = {name: targets[_INPUT + name] for name in self._teacher.input}
        said = {n: ops.stop_gradient(x) for n, x in self._teacher(read, training=False).items()}
        from_teacher = 0.0
        for head in self.heads(self._teacher):
            target = ops.softmax(ops.cast(said[head], "float32") / self.temperature)
            each = divergence(outputs[head], target, self.temperature)
            from_teacher += ops.sum(weights[head] * each)
        found["teacher_loss"] = from_teacher
        loss = (1 - self.share) * found["loss"] + self.share * from_teacher
        if self.hidden_share:
            distance = ops.sum(weights[_STATES] * cosine_distance(states, said[_STATES]))
            loss, found["hidden_loss"] = loss + self.hidden_share * distance, distance
        return {**found, "loss": loss}

    def scores(self, sums):
        return self.objective.scores(sums)

    def _read(self, heads):
        """The teacher with what it is asked for."""
        import keras

        from kbert.checkpoints.directory import load_model
        from kbert.models import hidden_states

        teacher, _, _ = load_model(self.path)
        missing = [head for head in heads if head not in teacher.output]
        if missing:
            raise DataError(
                f"The teacher {self.path} must predict {', '.join(missing)}. "
                f"Received: the outputs {', '.join(teacher.output)}."
            )
        teacher.trainable = False
        outputs = {head: teacher.output[head] for head in heads}
        outputs[_STATES] = hidden_states(teacher)[-1]
        # Only the inputs that these read.
        needed = {n: x for n, x in teacher.input.items() if n != "cls_positions"}
        return keras.Model(needed, outputs, name="teacher")


def teacher_digest(settings: "PretrainingSettings") -> str | None:
    """Of the weights of a run's teacher; None where it has none."""
    from kbert.checkpoints.directory import checked
    from kbert.checkpoints.hubs import folder_of

    if settings.teacher is None:
        return None
    return checksum(checked(folder_of(settings.teacher), "model.safetensors"))


def distilled(
    objective: Objective, settings: "PretrainingSettings", store: TokenStore
) -> Objective:
    """The objective with the teacher of a run; as it is where it has none.

    Raises `DataError` for a teacher that cannot read the rows.
    """
    from kbert.checkpoints.directory import checked, load_config, load_options
    from kbert.checkpoints.hubs import folder_of

    if settings.teacher is None:
        return objective
    path = folder_of(settings.teacher)
    vocabulary = load_vocabulary(checked(path, "vocab.txt"))
    store.check_reading(path, vocabulary, load_options(path).arguments())
    longest = max(phase.sequence_length for phase in settings.phases())
    most = load_config(path).max_sequence_length
    if longest > most:
        raise DataError(f"The teacher {path} takes {most} tokens. Received: rows of {longest}.")
    shares = settings.teacher_share, settings.teacher_temperature, settings.hidden_share
    return Distillation(objective, path, *shares)
