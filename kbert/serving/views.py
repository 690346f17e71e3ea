"""Which views a served model has: name -> what answers, or why it does not."""

import threading
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kbert.errors import DataError
from kbert.inference.answerer import Answerer
from kbert.inference.forward import Forward, forward_of
from kbert.inference.views.base import View

if TYPE_CHECKING:
    from kbert.checkpoints.directory import Checkpoint
    from kbert.checkpoints.sentence_vectors import Pooling

# Tasks whose answer is one number, or a probability of each label.
EXPLAINED = ("classification", "multilabel", "regression")
# Why a view is not there, for a client to put into words.
NEEDS_CHECKPOINT = "needs-checkpoint"
NO_BLOCKS = "no-attention"
NO_GRADIENT = "no-gradient"
NEEDS_MEMBER = "needs-member"


class Views(NamedTuple):
    """The views that a model has, by name, and why the page lacks one of its tabs."""

    answerers: dict[str, Answerer]
    lacking: dict[str, str]


def views_of_checkpoint(checkpoint: "Checkpoint", pooling: "Pooling") -> Views:
    """Those of a checkpoint: all that suit its kind. What they compute with is built on demand."""
    from kbert.checkpoints.ensemble import is_ensemble
    from kbert.inference.views import attention, contributions, hidden_words, vectors

    model, tokenizer, config, task = checkpoint
    length = config.max_sequence_length if task is None else task.sequence_length
    pairs = task is not None and (task.takes_pairs or task.takes_choices)
    # A masked LM reads [MASK] in a text as the mask.
    reads = {
        "special_tokens": task is None and "masked_lm" in model.output,
        "characters": getattr(task, "characters", False),
    }
    views = {"tokens": (View(length, pairs, **reads), _nothing)}
    if is_ensemble(model):
        answerers = {"tokens": Answerer(views["tokens"][0], tokenizer, _nothing)}
        return Views(answerers, dict.fromkeys(("attention", "contributions"), NEEDS_MEMBER))
    lacking = {}
    if has_attention(model):
        short = min(length, attention.MOST_TOKENS)
        view = attention.AttentionScores(short, pairs, **reads)
        views["attention"] = view, _on_demand(lambda: attention.attention_forward(checkpoint))
    else:
        lacking["attention"] = NO_BLOCKS
    if task is None:
        view = vectors.vectors_of(pooling, length)
        views["vectors"] = view, _on_demand(lambda: vectors.vectors_forward(checkpoint, pooling))
    if task is None and "masked_lm" in model.output:
        forward = hidden_words.hidden_words_forward(model, tokenizer)
        views["fill-mask"] = hidden_words.HiddenWords(length), forward
    if task is not None and task.name in EXPLAINED:
        try:
            forward = contributions.contributions_forward(model, task)
            view = contributions.Contributions(length, pairs, getattr(task, "labels", ()))
            views["contributions"] = view, forward
        except DataError:
            lacking["contributions"] = NO_GRADIENT
    answerers = {n: Answerer(view, tokenizer, found) for n, (view, found) in views.items()}
    return Views(answerers, lacking)


def views_of_export(answerer: Answerer) -> Views:
    """Those of an export, which has neither gradients nor attention."""
    task, tokenizer = answerer.task, answerer.tokenizer
    takes_choices = getattr(task, "takes_choices", False)
    pairs = takes_choices or len(task.instance_fields) > 1
    view = View(
        task.sequence_length,
        pairs,
        special_tokens=task.name == "fill-mask",
        characters=getattr(task, "characters", False),
    )
    answerers = {"tokens": Answerer(view, tokenizer, _nothing)}
    lacking = {"attention": NEEDS_CHECKPOINT}
    if task.name == "embedding":
        from kbert.inference.views.vectors import Vectors

        view = Vectors(task.sequence_length, prompt=task.prompt)
        answerers["vectors"] = Answerer(view, tokenizer, _means(forward_of(answerer.model)))
        lacking["fill-mask"] = NEEDS_CHECKPOINT
    if task.name == "fill-mask":  # It gives the likeliest of each mask, no more.
        lacking |= dict.fromkeys(("fill-mask", "similarity"), NEEDS_CHECKPOINT)
    if task.name in EXPLAINED:
        lacking["contributions"] = NEEDS_CHECKPOINT
    return Views(answerers, lacking)


def has_attention(model) -> bool:
    """Whether a model, or an encoder inside of it, has blocks of a transformer."""
    from kbert.layers.encoder_block import TransformerEncoderBlock

    return any(
        isinstance(layer, TransformerEncoderBlock) or has_attention(layer)
        for layer in getattr(model, "layers", ())
    )


# Of a view that shows what went into the model alone.
_nothing = Forward(lambda inputs: {})


def _on_demand(build) -> Forward:
    """What `build` builds, at the first call: it copies the weights, and few ask for it."""
    built, lock = [], threading.Lock()

    def run(inputs):
        with lock:
            if not built:
                built.append(build())
        return built[0].run(inputs)

    return Forward(run)


def _means(forward: Forward) -> Forward:
    """The vector of a text, of an encoder's outputs; of older exports the mean over its tokens."""

    def run(inputs):
        outputs = forward.run(inputs)
        if "embedding" in outputs:
            return {"mean": outputs["embedding"]}
        vectors = outputs["sequence_output"]
        weights = np.asarray(inputs["padding_mask"] != 0, "float32")[:, :, None]
        return {"mean": (vectors * weights).sum(axis=1) / weights.sum(axis=1)}

    return Forward(run)
