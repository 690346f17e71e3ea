"""ONNX files: ONNX Runtime computes what Keras computes."""

import itertools

import keras
import numpy as np
import onnx
import pytest

from kbert.config import BertConfig
from kbert.errors import DataError
from kbert.models import build_encoder
from kbert.serving.onnx.model import save_onnx
from kbert.serving.onnx.session import load_session
from kbert.serving.versions import ONNX_MODEL
from kbert.tasks.classification import ClassificationTask
from kbert.tasks.heads.output_heads import HEADS
from kbert.tasks.multilabel import MultiLabelTask
from kbert.tasks.multiple_choice import MultipleChoiceTask
from kbert.tasks.question_answering import QuestionAnsweringTask
from kbert.tasks.regression import RegressionTask
from kbert.tasks.tagging import TaggingTask
from tests.reference_bert import randomized

PIECES = 40
SIZES = {"num_layers": 2, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}


def config_of(**changes):
    return BertConfig(PIECES, **{**SIZES, **changes})


def rows(rng, *shape):
    """Random inputs of a model; the texts of a batch have different lengths."""
    *batch, sequence = shape
    lengths = rng.integers(3, sequence + 1, (*batch, 1))
    mask = (np.arange(sequence) < lengths).astype("int32")
    return {
        "token_ids": rng.integers(0, PIECES, shape).astype("int32") * mask,
        "segment_ids": (np.arange(sequence) >= 2) * mask,
        "padding_mask": mask,
    }


def assert_same(model, folder, inputs):
    """Of tokens; what stands at padding means nothing."""
    expected = model({name: keras.ops.convert_to_tensor(x) for name, x in inputs.items()})
    found = load_session(folder)[0].run(inputs)
    assert found.keys() == expected.keys()
    tokens = inputs["padding_mask"] > 0
    for name, array in expected.items():
        array = keras.ops.convert_to_numpy(array)
        of_tokens = array.ndim > 1 and array.shape[:2] == tokens.shape and name != "logits"
        of_tokens |= name == "logits" and array.shape[:2] == tokens.shape
        pick = tokens if of_tokens else ...
        assert found[name].shape == array.shape and found[name].dtype == np.float32
        np.testing.assert_allclose(found[name][pick], array[pick], rtol=0, atol=1e-5)


def check(model, tmp_path, *shapes):
    randomized(model)
    save_onnx(model, tmp_path / ONNX_MODEL)
    rng = np.random.default_rng(0)
    for shape in shapes:
        assert_same(model, tmp_path, rows(rng, *shape))


@pytest.mark.parametrize(
    "changes",
    [
        {"activation": "gelu_tanh"},
        {"activation": "gelu_erf"},
        {"activation": "relu"},
        {"activation": "geglu"},
        {"position": "none"},
        {"position": "sinusoidal"},
        {"position": "rotary"},
        {"position": "learned", "position_at": "every_layer"},
        {"position": "sinusoidal", "position_at": "every_layer", "hidden_dim": 9, "num_heads": 1},
        {"attention_score": "dot"},
        {"attention_score": "multiplicative"},
        {"attention_score": "additive", "direction": "left"},
        {"direction": "left"},
        {"norm_placement": "pre"},
        {"norm_placement": "wnu,ab"},
    ],
    ids=str,
)
def test_encoders(changes, tmp_path):
    check(build_encoder(config_of(**changes)), tmp_path, (3, 7), (1, 12))


@pytest.mark.parametrize(
    ("architecture", "direction"),
    [*itertools.product(("bilstm", "cnn", "bag"), ("both", "left")), ("bilstm", "apart")],
)
def test_encoders_that_are_no_transformers(architecture, direction, tmp_path):
    config = config_of(architecture=architecture, activation="relu", direction=direction)
    check(build_encoder(config), tmp_path, (3, 7), (1, 12), (2, 3))


@pytest.mark.parametrize("head", HEADS)
def test_heads_of_texts(head, tmp_path):
    task = ClassificationTask(labels=("a", "b", "c"), head=head)
    check(task.build_model(build_encoder(config_of())), tmp_path, (3, 7))


@pytest.mark.parametrize(
    "features", ["sum-last-four", "weighted-sum-last-four", "weighted-sum-all"]
)
def test_features_of_a_frozen_encoder(features, tmp_path):
    task = TaggingTask(labels=("A", "B"), features=features, lstm_size=3)
    check(task.build_model(build_encoder(config_of(num_layers=4))), tmp_path, (3, 7))


@pytest.mark.parametrize(
    "task",
    [
        TaggingTask(labels=("A", "B"), crf=True),
        TaggingTask(labels=("A", "B"), crf=True, lstm_size=3),
        MultiLabelTask(labels=("a", "b")),
        RegressionTask(),
        QuestionAnsweringTask(),
        QuestionAnsweringTask(lstm_size=3),
    ],
    ids=lambda task: f"{task.name}{getattr(task, 'lstm_size', None) or ''}",
)
def test_tasks(task, tmp_path):
    check(task.build_model(build_encoder(config_of())), tmp_path, (3, 7), (1, 9))


def test_choices(tmp_path):
    check(MultipleChoiceTask().build_model(build_encoder(config_of())), tmp_path, (2, 3, 7))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"position": "rotary"},
        {"position": "sinusoidal", "position_at": "every_layer"},
        {"architecture": "cnn", "activation": "relu"},
        {"architecture": "bag", "activation": "relu"},
    ],
    ids=str,
)
def test_packed_rows_see_their_own_sequence(changes, tmp_path):
    """The rule of `padding_mask` holds: numbers, not only 0 and 1."""
    model = build_encoder(config_of(**changes), ("sequence_output",))
    randomized(model)
    save_onnx(model, tmp_path / ONNX_MODEL)
    inputs = rows(np.random.default_rng(1), 2, 9)
    inputs["padding_mask"] = np.array(
        [[1, 1, 1, 2, 2, 2, 3, 0, 0], [1, 1, 2, 2, 2, 2, 2, 2, 2]], "int32"
    )
    assert_same(model, tmp_path, inputs)


def test_the_file_is_standard_onnx_with_each_weight_once(tmp_path):
    model = build_encoder(config_of())
    save_onnx(model, tmp_path / ONNX_MODEL)
    graph = onnx.load(tmp_path / ONNX_MODEL).graph
    assert {node.domain for node in graph.node} == {""}
    numbers = sum(int(np.prod(weight.shape)) for weight in model.weights)
    assert numbers <= sum(int(np.prod(array.dims)) for array in graph.initializer) < numbers + 100
    axes = [[axis.dim_param for axis in value.type.tensor_type.shape.dim] for value in graph.input]
    assert axes == [["batch", "sequence"]] * 3


def test_what_has_no_form_is_refused_by_name(tmp_path):
    inputs = {"x": keras.Input((None, 4), name="x")}
    model = keras.Model(inputs, {"y": keras.layers.UnitNormalization()(inputs["x"])})
    with pytest.raises(DataError, match="kbert writes no layer UnitNormalization to ONNX"):
        save_onnx(model, tmp_path / ONNX_MODEL)
    assert not (tmp_path / ONNX_MODEL).exists()


def test_a_damaged_file_is_a_sentence(tmp_path):
    (tmp_path / ONNX_MODEL).write_bytes(b"not a model")
    with pytest.raises(DataError, match="no ONNX file that can be loaded"):
        load_session(tmp_path)
