"""Google's releases: a real TF1 checkpoint, and others with the published names."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from kbert import from_google, to_google
from kbert.checkpoints.names import all_names
from kbert.checkpoints.weights import model_weights
from kbert.errors import DataError
from tests import reference_bert
from tests.checkpoints.published_models import CONFIG, assert_same, make
from tests.layers.contract import numpy

FILES = ("bert_config.json", "vocab.txt", "bert_model.ckpt.index")


@pytest.fixture
def toy(shared_data):
    return shared_data("checkpoint_toy_cyberzhg")


def test_a_real_checkpoint_gives_what_the_formulas_give(toy):
    model, _, config, _ = from_google(toy)
    weights = {name: np.asarray(weight, "float64") for name, weight in model_weights(model).items()}
    inputs = reference_bert.random_inputs(
        np.random.default_rng(0), config, [[1] * 9, [1] * 6 + [0] * 3]
    )
    expected = reference_bert.pretrain_logits(weights, config, inputs)
    for name, value in model(inputs).items():
        np.testing.assert_allclose(numpy(value), expected[name], atol=1e-5)


def test_a_real_checkpoint_is_written_back_bit_for_bit(toy, tmp_path):
    before = from_google(toy)
    to_google(tmp_path, before)
    theirs = tf.train.load_checkpoint(str(toy / "bert_model.ckpt"))
    ours = tf.train.load_checkpoint(str(tmp_path / "bert_model.ckpt"))
    names = set(ours.get_variable_to_shape_map())
    wanted = {n for n in theirs.get_variable_to_shape_map() if n.startswith(("bert/", "cls/"))}
    assert names == {n for n in wanted if not n.endswith(("/adam_m", "/adam_v"))}
    for name in names:
        np.testing.assert_array_equal(ours.get_tensor(name), theirs.get_tensor(name))
    written, published = (
        json.loads((path / "bert_config.json").read_text()) for path in (tmp_path, toy)
    )
    assert written.items() <= published.items()
    assert_same(from_google(tmp_path), before)


@pytest.mark.parametrize("kind", ["encoder", "pretraining"])
@pytest.mark.parametrize("activation", ["gelu_tanh", "relu"])
def test_round_trip(tmp_path, kind, activation):
    before = make(kind, dataclasses.replace(CONFIG, activation=activation))
    to_google(tmp_path, before)
    assert sorted(path.name for path in tmp_path.glob("*.*")) == sorted(
        [*FILES, "bert_model.ckpt.data-00000-of-00001"]
    )
    assert_same(from_google(tmp_path), before)


def write_tf2(folder, checkpoint, with_heads):
    """An object-based checkpoint as tensorflow/models writes it: heads have axes of their own."""
    to_google(folder, checkpoint)
    for file in folder.glob("bert_model*"):
        file.unlink()
    config, arrays = checkpoint.config, {}
    heads, width = config.num_heads, config.hidden_dim // config.num_heads
    reader = {name: np.asarray(w) for name, w in model_weights(checkpoint.model).items()}
    for names in all_names(config):
        path = names.google_tf2
        if path is None or (path.startswith("masked_lm/") and not with_heads):
            continue
        array = reader[names.ours]
        if names.third is not None:
            array = np.split(array, 3, axis=-1)[names.third]
            array = array.reshape(*array.shape[:-1], heads, width)
        elif "_attention_layer/_output_dense/kernel" in path:
            array = array.reshape(heads, width, -1)
        arrays[path] = array
    objects = tf.train.Checkpoint()
    for path, array in arrays.items():
        *parents, last = path.split("/")
        place = objects
        for name in parents:
            if not hasattr(place, name):
                setattr(place, name, tf.train.Checkpoint())
            place = getattr(place, name)
        setattr(place, last, tf.Variable(array))
    objects.write(str(folder / "bert_model.ckpt"))


def test_object_based(tmp_path):
    """tensorflow/models' own checkpoints lack a next-sentence head that we know the name of."""
    before = make("pretraining")
    write_tf2(tmp_path, before, with_heads=True)
    with pytest.raises(DataError, match="nothing gives next_sentence_head/bias"):
        from_google(tmp_path)
    with pytest.warns(UserWarning, match="no next_sentence_head"):
        after = from_google(tmp_path, allow_missing_heads=True)
    found = model_weights(after.model)
    for name, weight in model_weights(before.model).items():
        if not name.startswith("next_sentence_head"):
            np.testing.assert_array_equal(numpy(weight), numpy(found[name]), name)


def test_object_based_encoder(tmp_path):
    before = make("pretraining")
    write_tf2(tmp_path, before, with_heads=False)
    after = from_google(tmp_path)
    found = model_weights(after.model)
    assert set(found) == set(model_weights(make("encoder").model))
    for name, weight in found.items():
        expected = model_weights(before.model)[name]
        np.testing.assert_array_equal(numpy(weight), numpy(expected), name)


@pytest.mark.parametrize(("capitals", "lowercase"), [(0, True), (4, False)])
def test_the_vocabulary_tells_the_case(tmp_path, capitals, lowercase):
    to_google(tmp_path, make("encoder"))
    file = tmp_path / "vocab.txt"
    pieces = file.read_text().splitlines()
    pieces[5:15] = [f"word{n}" for n in range(10)]
    pieces[5 : 5 + capitals] = [f"Word{n}" for n in range(capitals)]
    file.write_text("\n".join(pieces) + "\n")
    assert from_google(tmp_path).tokenizer.lowercase == lowercase
    assert from_google(tmp_path, lowercase=not lowercase).tokenizer.lowercase != lowercase


@pytest.mark.parametrize("name", ["uncased", "cased", "multilingual-cased", "chinese"])
def test_published_vocabularies_tell_their_case(shared_data, name):
    from kbert.checkpoints.published import is_cased
    from kbert.text.vocabulary import load_vocabulary

    file = shared_data("vocab") / f"bert-base-{name}.vocab.txt"
    assert is_cased(load_vocabulary(file)) == name.endswith("cased") - (name == "uncased")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"activation": "gelu_erf"}, "no erf-GELU"),
        ({"layer_norm_epsilon": 1e-7}, "epsilon of 1e-12"),
    ],
)
def test_what_the_format_cannot_hold(tmp_path, changes, said):
    with pytest.raises(DataError, match=said):
        to_google(tmp_path, make("encoder", dataclasses.replace(CONFIG, **changes)))
    with pytest.raises(DataError, match="no place for the task classification"):
        to_google(tmp_path, make("task"))


@pytest.mark.parametrize("name", [*FILES, "bert_model.ckpt.data-00000-of-00001"])
def test_a_file_that_is_missing_or_cut(tmp_path, name):
    to_google(tmp_path / "whole", make("encoder"))
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    (tmp_path / "whole" / name).unlink()
    with pytest.raises((DataError, FileNotFoundError)):
        from_google(tmp_path / "whole")
    file = tmp_path / "cut" / name
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(DataError):
        from_google(tmp_path / "cut")


def test_two_checkpoints(tmp_path):
    to_google(tmp_path, make("encoder"))
    shutil.copy(tmp_path / "bert_model.ckpt.index", tmp_path / "other.ckpt.index")
    with pytest.raises(DataError, match=r"one checkpoint \(\*.index\)"):
        from_google(tmp_path)


def test_weights_that_do_not_fit_are_named(tmp_path):
    to_google(tmp_path, make("encoder"))
    file = tmp_path / "bert_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"num_hidden_layers": 3}))
    with pytest.raises(DataError, match="bert/encoder/layer_2/.* is missing"):
        from_google(tmp_path)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"num_hidden_layers": 1}))
    with pytest.raises(DataError, match="bert/encoder/layer_1/.* is no weight of this model"):
        from_google(tmp_path)
