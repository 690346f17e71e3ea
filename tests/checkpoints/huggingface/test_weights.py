"""Names of weights: what wrappers and old versions of transformers made of them."""

import pathlib

import numpy as np
import pytest

from kbert.checkpoints.huggingface.weights import plainly_named
from kbert.checkpoints.weight_files import Source
from kbert.errors import DataError

FILE = pathlib.Path("model.safetensors")


def source(*names):
    arrays = {name: np.full(2, number) for number, name in enumerate(names)}
    return Source(FILE, {name: (2,) for name in names}, arrays.__getitem__)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.module."])
def test_names_of_today(prefix):
    theirs = ("embeddings.LayerNorm.gamma", "bert.pooler.dense.bias", "classifier.weight")
    named = plainly_named(source(*(prefix + name for name in theirs)))
    ours = ("bert.embeddings.LayerNorm.weight", "bert.pooler.dense.bias", "classifier.weight")
    assert tuple(named.shapes) == ours
    for number, name in enumerate(ours):
        np.testing.assert_array_equal(named.read(name), [number, number])


def test_two_names_for_one_weight():
    with pytest.raises(DataError, match="has classifier.bias twice, as module.classifier.bias too"):
        plainly_named(source("module.classifier.bias", "classifier.bias"))
