"""What an export without a task answers: the vectors of its encoder."""

import dataclasses
from collections.abc import Mapping, Sequence

from kbert.settings import Settings
from kbert.tasks.base import Task
from kbert.tasks.features import Feature
from kbert.tasks.texts import parse_texts, tokenize


@dataclasses.dataclass(frozen=True)
class EncoderOutputs(Settings):
    """In the place of a task where there is none: reads texts, and decodes an encoder's outputs.

    Args:
        sequence_length: tokens at most; a longer text is cut.
        prompt: what is put before every text.
    """

    sequence_length: int
    prompt: str = ""
    name = "embedding"
    instance_fields = ("text",)
    decode_all = Task.decode_all
    takes_pairs = False
    takes_choices = False

    def parse(self, instance: str | Mapping, where: str) -> str:
        """The text of an instance. Raises `DataError` for anything else."""
        return parse_texts(instance, self.instance_fields, where)["text"]

    def encode(self, examples: Sequence[str], tokenizer) -> list[Feature]:
        """The texts as the model sees them."""
        texts = [self.prompt + text for text in examples]
        rows, cut = tokenize(tokenizer, texts, None, self.sequence_length)
        return [
            Feature(row, number, {}, {}, bool(was_cut))
            for number, (row, was_cut) in enumerate(zip(rows, cut, strict=True))
        ]

    def decode(self, outputs: Sequence[Mapping], example: str, features: Sequence[Feature]) -> dict:
        """The vectors of the text's tokens and of the text, ready for JSON."""
        vectors = outputs[0]["sequence_output"][: features[0].length]
        # What an older version exported has no vector of the text: it was the mean.
        embedding = outputs[0].get("embedding", vectors.mean(axis=0))
        pooled = outputs[0].get("pooled_output")  # Not of every encoder: some have no pooler.
        return {
            "sequence_output": vectors.tolist(),
            **({} if pooled is None else {"pooled_output": pooled.tolist()}),
            "embedding": embedding.tolist(),
        }
