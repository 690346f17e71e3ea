"""What the views share: instances, and the row of tokens that the model sees of them."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from kbert.errors import DataError
from kbert.tasks.base import Task
from kbert.tasks.features import Feature
from kbert.text.offsets import Pieces
from kbert.text.segments import num_special_tokens, pack_segments, truncated_lengths


class ViewExample(NamedTuple):
    """A text or a pair of texts, and what else the view was asked."""

    text: str
    second: str | None
    options: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class View:
    """Reads texts as [CLS] text [SEP] (second [SEP]), and gives their tokens.

    Args:
        sequence_length: tokens at most; a longer text is cut.
        takes_pairs: whether an instance has a second text.
        special_tokens: whether [MASK] and the like in a text are special tokens.
        characters: whether each character is a word, as those of a tagger may be.
    """

    name: ClassVar[str] = "tokens"
    decode_all = Task.decode_all

    sequence_length: int
    takes_pairs: bool = False
    special_tokens: bool = dataclasses.field(default=False, kw_only=True)
    characters: bool = dataclasses.field(default=False, kw_only=True)

    @property
    def instance_fields(self) -> tuple[str, ...]:
        """The texts in an instance."""
        return ("text", "second") if self.takes_pairs else ("text",)

    def parse(self, instance: str | Mapping, where: str) -> ViewExample:
        """From {"text": ...}, and "second" of pairs, with the view's own options beside them.

        Raises `DataError`, with `where`, for anything else.
        """
        values = {"text": instance} if isinstance(instance, str) else instance
        fields = self.instance_fields
        if not isinstance(values, Mapping) or not all(
            isinstance(values.get(name), str) for name in fields
        ):
            raise DataError(
                f"{where}: expected an object with the texts {', '.join(fields)}. "
                f"Received: {str(instance)[:80]}."
            )
        options = {name: value for name, value in values.items() if name not in fields}
        checked = self.parse_options(options, where)
        return ViewExample(values["text"], values.get("second"), checked)

    def parse_options(self, options: Mapping, where: str) -> Mapping[str, Any]:
        """The options of an instance, checked. Raises `DataError` for unknown ones."""
        if options:
            raise DataError(f"{where}: unknown keys {', '.join(map(str, options))}.")
        return options

    def encode(self, examples: Sequence[ViewExample], tokenizer) -> list[Feature]:
        """A feature for each example; its context is the answer's "tokens" and "cut"."""
        texts = [text for example in examples for text in example[: len(self.instance_fields)]]
        found = iter(self._pieces(texts, tokenizer))
        vocabulary = tokenizer.vocabulary
        features = []
        for number, example in enumerate(examples):
            parts = [next(found) for _ in self.instance_fields]
            shown = self._shown(parts, tokenizer, vocabulary)
            inputs = self.inputs_of(example, shown, tokenizer)
            features.append(Feature(inputs, number, {}, {}, bool(shown["cut"]), shown))
        return features

    def _pieces(self, texts: Sequence[str], tokenizer) -> list[Pieces]:
        if not self.characters:
            return tokenizer.tokenize_with_offsets(texts, self.special_tokens)
        # A space behind each character: number i then stands at 2 i.
        found = tokenizer.tokenize_with_offsets([" ".join(text) for text in texts])
        return [Pieces(ids, starts // 2, (ends + 1) // 2) for ids, starts, ends in found]

    def inputs_of(self, example: ViewExample, shown: Mapping, tokenizer) -> dict[str, np.ndarray]:
        """The model's inputs, (sequence,) each."""
        tokens = shown["tokens"]
        return {
            "token_ids": np.array([token["id"] for token in tokens], "int32"),
            "segment_ids": np.array([token["segment"] for token in tokens], "int32"),
            "padding_mask": np.ones(len(tokens), "int32"),
        }

    def decode(
        self, outputs: Sequence[Mapping], example: ViewExample, features: Sequence[Feature]
    ) -> dict:
        """{"tokens": [{"token", "id", "segment", "text", "start", "end"}, ...], "cut": the same of
        the pieces that did not fit}. "text" is 0 for the first text, 1 for the second and None for
        [CLS] and [SEP]; start and end count characters of that text."""
        return dict(features[0].context)

    def _shown(self, parts: Sequence[Pieces], tokenizer, vocabulary: Sequence[str]) -> dict:
        kept = self._kept(parts)
        ids = [part.ids[:length] for part, length in zip(parts, kept, strict=True)]
        token_ids, segment_ids = pack_segments(
            ids[0],
            ids[1] if self.takes_pairs else None,
            self.sequence_length,
            tokenizer.cls_id,
            tokenizer.sep_id,
        )
        places = list(_places(kept))
        tokens = [
            {"token": vocabulary[piece], "id": int(piece), "segment": int(segment)}
            | _span(parts, place)
            for piece, segment, place in zip(token_ids, segment_ids, places, strict=True)
        ]
        cut = [
            {"token": vocabulary[part.ids[index]], "id": int(part.ids[index]), "segment": number}
            | _span(parts, (number, index))
            for number, part in enumerate(parts)
            for index in range(kept[number], len(part.ids))
        ]
        return {"tokens": tokens, "cut": cut}

    def _kept(self, parts: Sequence[Pieces]) -> list[int]:
        """How many pieces of each text fit."""
        budget = self.sequence_length - num_special_tokens(self.takes_pairs)
        if not self.takes_pairs:
            return [min(len(parts[0].ids), budget)]
        lengths = (len(part.ids) for part in parts)
        return [int(length) for length in truncated_lengths(*lengths, budget)]


def _places(kept: Sequence[int]) -> Iterator[tuple[int, int] | None]:
    """Of each token of a row: text and piece; None for [CLS] and [SEP]."""
    yield None
    for number, length in enumerate(kept):
        yield from ((number, index) for index in range(length))
        yield None


def _span(parts: Sequence[Pieces], place: tuple[int, int] | None) -> dict:
    if place is None:
        return {"text": None, "start": None, "end": None}
    number, index = place
    part = parts[number]
    return {"text": number, "start": int(part.starts[index]), "end": int(part.ends[index])}
