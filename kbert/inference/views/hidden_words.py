"""Words that are hidden from a masked LM, and what it puts in their places."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kbert.errors import DataError
from kbert.inference.fill_mask import MASK, MOST_MASKS, mask_logits, mask_positions
from kbert.inference.forward import Forward
from kbert.inference.settings import FillMaskSettings
from kbert.inference.views.base import View, ViewExample
from kbert.tasks.features import Feature

if TYPE_CHECKING:
    import keras

# Of the vocabulary: more are no use to a reader, and all of them would fill the memory.
MOST_CANDIDATES = 50


@dataclasses.dataclass(frozen=True)
class HiddenWords(View):
    """The likeliest pieces for every hidden token of a text, each while the others stay hidden.

    An instance has "text", in which [MASK] is a mask, and maybe "hidden": numbers of tokens
    ([CLS] is 0) that are masked too, and "top": how many candidates.
    """

    name: ClassVar[str] = "fill-mask"

    special_tokens: bool = dataclasses.field(default=True, kw_only=True)

    def parse(self, instance: str | Mapping, where: str) -> ViewExample:
        example = super().parse(instance, where)
        masks = example.text.count(MASK) + len(example.options["hidden"])
        if masks > MOST_MASKS:
            raise DataError(f"{where}: expected at most {MOST_MASKS} masks. Received: {masks}.")
        return example

    def parse_options(self, options: Mapping, where: str) -> Mapping[str, Any]:
        values = {"hidden": [], "top": FillMaskSettings.top, **options}
        hidden, top = values.pop("hidden"), values.pop("top")
        super().parse_options(values, where)
        if not isinstance(hidden, list) or not all(type(n) is int and n > 0 for n in hidden):
            raise DataError(f"{where}: hidden must be a list of tokens' numbers from 1.")
        if type(top) is not int or not 1 <= top <= MOST_CANDIDATES:
            raise DataError(f"{where}: top must be 1 to {MOST_CANDIDATES}. Received: {top!r}.")
        return {"hidden": hidden, "top": top}

    def inputs_of(self, example: ViewExample, shown: Mapping, tokenizer) -> dict[str, np.ndarray]:
        inputs = super().inputs_of(example, shown, tokenizer)
        there = inputs["token_ids"].copy()
        words = {n for n, token in enumerate(shown["tokens"]) if token["text"] is not None}
        inputs["token_ids"][sorted(words & set(example.options["hidden"]))] = tokenizer.mask_id
        return inputs | {"hidden_ids": there}

    def decode(
        self, outputs: Sequence[Mapping], example: ViewExample, features: Sequence[Feature]
    ) -> dict:
        """The tokens, and "masks": [{"position": of the token, "candidates": [{"token", "score"},
        ...], "hidden": the same of what was there, None for [MASK] itself}]."""
        answer = super().decode(outputs, example, features)
        inputs, found, top = features[0].inputs, outputs[0], example.options["top"]
        masks = []
        for number, position in enumerate(np.flatnonzero(found["is_mask"][: features[0].length])):
            pairs = zip(found["tokens"][number][:top], found["scores"][number][:top], strict=True)
            was = {
                "token": answer["tokens"][position]["token"],
                "score": float(found["hidden_scores"][number]),
            }
            is_hidden = inputs["hidden_ids"][position] != inputs["token_ids"][position]
            masks.append(
                {
                    "position": int(position),
                    "candidates": [{"token": t, "score": float(s)} for t, s in pairs],
                    "hidden": was if is_hidden else None,
                }
            )
        return answer | {"masks": masks}


def hidden_words_forward(model: "keras.Model", tokenizer) -> Forward:
    """What computes `HiddenWords` with a model that has the output "masked_lm"."""
    mask_id, vocabulary = tokenizer.mask_id, np.array(tokenizer.vocabulary, object)

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        from scipy.special import softmax

        is_mask = inputs["token_ids"] == mask_id  # (batch, sequence)
        positions = mask_positions(is_mask)
        scores = softmax(mask_logits(model, {**inputs, "mask_positions": positions}), axis=-1)
        there = np.take_along_axis(inputs["hidden_ids"], positions, 1)
        ids = np.argsort(-scores, axis=-1, kind="stable")[..., :MOST_CANDIDATES]
        return {
            "is_mask": is_mask,
            "tokens": vocabulary[ids],
            "scores": np.take_along_axis(scores, ids, -1),
            "hidden_scores": np.take_along_axis(scores, there[..., None], -1)[..., 0],
        }

    return Forward(run)
