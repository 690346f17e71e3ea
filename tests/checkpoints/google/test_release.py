"""Google's releases: a real TF1 checkpoint, and others with the published names."""

import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from kbert import build_encoder, from_google, to_google
from kbert.checkpoints.directory import copy_weights
from kbert.checkpoints.weight_names import all_names
from kbert.checkpoints.weights import model_weights
from kbert.errors import DataError
from tests import reference_bert
from tests.checkpoints.published_models import CONFIG, assert_same, make
from tests.layers.contract import numpy

TF2 = pathlib.Path(__file__).parents[2] / "golden" / "tf2"
INPUTS = ("token_ids", "segment_ids", "padding_mask", "mask_positions")
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


def outputs_of(checkpoint, inputs):
    """All that a checkpoint's model computes, as NumPy arrays, hidden states after each block."""
    encoder = build_encoder(
        checkpoint.config, ("hidden_states", "sequence_output", "pooled_output")
    )
    copy_weights(checkpoint.model, encoder)
    outputs = encoder({name: inputs[name] for name in encoder.input})
    if "masked_lm" in checkpoint.model.output:
        cls_positions = np.zeros((len(inputs["token_ids"]), 1), "int32")
        heads = checkpoint.model({**inputs, "cls_positions": cls_positions})
        outputs |= {"masked_lm": heads["masked_lm"], "next_sentence": heads["next_sentence"][:, 0]}
    outputs["hidden_states"] = np.stack([numpy(s) for s in outputs["hidden_states"][1:]])
    return {name: numpy(output) for name, output in outputs.items()}


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("pretrained", {"next_sentence"}),
        ("trainer", set()),
        ("trainer_v2", set()),
        ("legacy", set()),
        ("legacy_encoder", {"masked_lm", "next_sentence"}),
        ("converted", {"next_sentence"}),
    ],
)
def test_object_based_gives_what_tensorflow_models_gives(name, missing):
    """Checkpoints and outputs of tensorflow/models' own code: tests/golden/make_tf2_golden.py."""
    if missing == {"next_sentence"}:
        with pytest.raises(DataError, match="next_sentence/out_proj/kernel is missing.*left out"):
            from_google(TF2 / name)
        with pytest.warns(UserWarning, match="has no next_sentence_head: newly"):
            checkpoint = from_google(TF2 / name, allow_missing_heads=True)
    else:
        checkpoint = from_google(TF2 / name)
    golden = np.load(TF2 / name / "outputs.npz")
    ours = outputs_of(checkpoint, {key: golden[key] for key in INPUTS})
    compared = set(golden.files) - set(INPUTS)
    assert compared >= {"sequence_output", "pooled_output", "masked_lm", "next_sentence"} - missing
    is_token = golden["padding_mask"] > 0
    for key in compared:
        per_token = key in ("hidden_states", "sequence_output", "masked_lm")
        at = (..., is_token, slice(None)) if per_token else ...
        np.testing.assert_allclose(ours[key][at], golden[key][at], atol=2e-5, err_msg=key)


def write_tf2(folder, checkpoint, state=()):
    """An object-based encoder as in 2020's releases: layers have numbers, heads an axis."""
    to_google(folder, checkpoint)
    for file in folder.glob("bert_model*"):
        file.unlink()
    config = checkpoint.config
    heads, width = config.num_heads, config.hidden_dim // config.num_heads
    weights = {name: np.asarray(w) for name, w in model_weights(checkpoint.model).items()}
    root = tf.train.Checkpoint()
    for names in all_names(config):
        if names.ours not in weights:
            continue
        path, array = names.google_tf2[-1], weights[names.ours]
        if names.third is not None:
            array = np.split(array, 3, axis=-1)[names.third]
            array = array.reshape(*array.shape[:-1], heads, width)
        elif "_attention_output_dense/kernel" in path:
            array = array.reshape(heads, width, -1)
        put(root, path.replace("encoder/", "model/"), array)
    for path in state:
        put(root, path, np.zeros(3))
    root.write(str(folder / "bert_model.ckpt"))


def put(root, path, array):
    *parents, last = path.split("/")
    for name in parents:
        if not hasattr(root, name):
            setattr(root, name, tf.train.Checkpoint())
        root = getattr(root, name)
    setattr(root, last, tf.Variable(array))


def test_object_based_of_2020(tmp_path):
    before = make("encoder")
    write_tf2(tmp_path, before, state=("optimizer/momentum", "model/keras_api/metrics/0/total"))
    assert_same(from_google(tmp_path), before)


def test_object_based_with_more_than_bert(tmp_path):
    write_tf2(tmp_path, make("encoder"), state=("model/classifier/kernel",))
    with pytest.raises(DataError, match="model/classifier/kernel/.* is no weight of this model"):
        from_google(tmp_path)


def test_object_based_with_a_damaged_graph(tmp_path):
    write_tf2(tmp_path, make("encoder"))
    prefix = str(tmp_path / "bert_model.ckpt")
    nodes = TrackableObjectGraph(nodes=[{"children": [{"local_name": "model", "node_id": 7}]}])
    dangling = nodes.SerializeToString()
    said_of = {b"\xff": "cannot be read", b"": "it is empty", dangling: "is missing"}
    for graph, said in said_of.items():
        tf.raw_ops.SaveV2(
            prefix=prefix,
            # As many numbers as the model has, or the file is too small to look into.
            tensor_names=["_CHECKPOINTABLE_OBJECT_GRAPH", "numbers"],
            shape_and_slices=["", ""],
            tensors=[tf.constant(graph), tf.zeros(10_000)],
        )
        with pytest.raises(DataError, match=said):
            from_google(tmp_path)


def test_what_is_not_bert_is_refused_by_name(tmp_path):
    to_google(tmp_path, make("encoder"))
    file = tmp_path / "bert_config.json"
    fields = json.loads(file.read_text())
    file.write_text(json.dumps({**fields, "embedding_size": fields["hidden_size"]}))
    from_google(tmp_path)
    file.write_text(json.dumps({**fields, "embedding_size": 4}))
    with pytest.raises(DataError, match="as wide as the model.*embedding_size 4.*ALBERT"):
        from_google(tmp_path)


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
    from kbert.checkpoints.published_vocabulary import is_cased
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
    with pytest.raises(DataError, match="must hold the weights that its configuration describes"):
        from_google(tmp_path)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"num_hidden_layers": 1}))
    with pytest.raises(DataError, match="bert/encoder/layer_1/.* is no weight of this model"):
        from_google(tmp_path)


def test_the_state_of_training_is_passed_over():
    """Of Google's, LAMB's, Keras's and plain TensorFlow 1's optimizers."""
    import pathlib

    from kbert.checkpoints.google.release import without_state
    from kbert.checkpoints.weight_files import Source

    weight = "bert/encoder/layer_0/output/dense/kernel"
    slots = "adam_m adam_v Adam Adam_1 lamb_m lamb_v LAMB_1 Momentum v vc vr"
    state = [f"{weight}/{slot}" for slot in [*slots.split(), "ExponentialMovingAverage"]]
    state += ["global_step", "beta1_power", "beta2_power", "loss_scale", "good_steps"]
    shapes = dict.fromkeys([weight, *state, "bert/embeddings/v_table"], ())
    left = without_state(Source(pathlib.Path("x"), shapes, None)).shapes
    assert set(left) == {weight, "bert/embeddings/v_table"}
