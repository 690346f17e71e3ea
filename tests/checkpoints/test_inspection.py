"""Parameter counts: arithmetic against real models, and what `kbert inspect` prints."""

import dataclasses
import math

import pytest

from apps.cli import run_command
from kbert import (
    BertConfig,
    Checkpoint,
    WordPieceTokenizer,
    build_encoder,
    build_pretraining_model,
    save,
    to_huggingface,
)
from kbert.checkpoints.inspection import count_encoder, format_counts, inspect_checkpoint
from kbert.checkpoints.weights import write_arrays
from kbert.config import PRESETS
from kbert.errors import DataError
from kbert.tasks.classification import ClassificationTask
from tests.checkpoints.published_models import TASKS, make

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"]
CONFIGS = [
    BertConfig(7, num_layers=2, num_heads=2, hidden_dim=8, intermediate_dim=16),
    BertConfig(
        7,
        num_layers=1,
        num_heads=3,
        hidden_dim=12,
        intermediate_dim=20,
        max_sequence_length=9,
        num_segments=3,
    ),
    BertConfig(
        7,
        num_layers=3,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        activation="geglu",
        attention_score="multiplicative",
        norm_placement="nw,ab,nn",
        position="rotary",
    ),
    BertConfig(
        7,
        num_layers=2,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        attention_score="additive",
        norm_placement="pre",
        position_at="every_layer",
    ),
]


def counted(model):
    """Parameters by layer, from the variables of a real model."""
    counts = {}
    for weight in model.weights:
        layer = weight.path.split("/")[0]
        counts[layer] = counts.get(layer, 0) + math.prod(weight.shape)
    return counts


@pytest.mark.parametrize("config", CONFIGS)
def test_arithmetic_is_what_a_model_has(config):
    counts = {count.layer: count.exact for count in count_encoder(config)}
    assert counts == counted(build_encoder(config))
    assert sum(counts.values()) == config.num_parameters()
    for num_layers in range(config.num_layers + 1):
        names = [*(f"block_{index}" for index in range(num_layers)), "embedding", "position"]
        expected = sum(counts.get(name, 0) for name in names)
        assert config.num_parameters(num_layers, pooler=False) == expected


@pytest.mark.parametrize("name", PRESETS)
def test_layers_sum_to_the_whole(name):
    config = BertConfig.preset(name, 30522)
    layers = count_encoder(config)
    assert sum(count.exact for count in layers) == config.num_parameters()
    formula = sum(count.formula for count in layers if count.formula is not None)
    assert formula == config.parameters_by_formula()


def write(folder, model, task=None):
    save(folder, Checkpoint(model, WordPieceTokenizer(VOCABULARY), CONFIGS[0], task))
    return folder


@pytest.mark.parametrize("kind", ["encoder", "pretraining", "task"])
def test_a_checkpoint_is_counted_from_its_file(kind, tmp_path):
    task = ClassificationTask(labels=("no", "yes")) if kind == "task" else None
    if kind == "pretraining":
        model = build_pretraining_model(CONFIGS[0])
    else:
        model = build_encoder(CONFIGS[0])
        model = model if task is None else task.build_model(model)
    config, settings, layers = inspect_checkpoint(write(tmp_path, model, task))
    assert config == CONFIGS[0]
    assert settings["tokenizer"]["lowercase"] is True
    assert ("task" in settings) == (kind == "task")
    assert {count.layer: count.exact for count in layers} == counted(model)
    assert [count.layer for count in layers[:4]] == ["embedding", "block_0", "block_1", "pooler"]


def test_table():
    config = BertConfig.preset("base", 30522)
    lines = format_counts(config, count_encoder(config)).splitlines()
    assert lines[1].split() == ["embedding", "23,440,896", "23,837,184"]
    assert lines[2].split() == ["block_0", "7,077,888", "7,087,872"]
    assert lines[14].split() == ["pooler", "590,592"]
    assert lines[15].split() == ["encoder", "108,375,552", "109,482,240"]
    assert lines[16] == "formula: 30,522 x 768 + 12 x 12 x 768^2, -1.0 % beside the exact count"


def test_checkpoints_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="must be a folder with a BERT"):
        inspect_checkpoint(tmp_path)
    write(tmp_path, build_encoder(CONFIGS[0]))
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match="is not a whole safetensors file"):
        inspect_checkpoint(tmp_path)
    write_arrays(weights, {"embedding/token_table": build_encoder(CONFIGS[0]).weights[0].numpy()})
    with pytest.raises(DataError, match="has no weights of block_0, block_1"):
        inspect_checkpoint(tmp_path)
    weights.unlink()
    with pytest.raises(DataError, match="model.safetensors is not there"):
        inspect_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["classification", "tagging"])
def test_other_formats_and_models_without_a_pooler(tmp_path, name):
    checkpoint = make("task", task=TASKS[name])
    save(tmp_path / "ours", checkpoint)
    to_huggingface(tmp_path / "theirs", checkpoint)
    ours, theirs = (inspect_checkpoint(tmp_path / name) for name in ("ours", "theirs"))
    assert {count.layer: count.exact for count in ours.layers} == counted(checkpoint.model)
    assert ours.layers == theirs.layers and ours.config == theirs.config
    assert ours.settings["tokenizer"] == theirs.settings["tokenizer"]
    assert ours.settings["task"]["name"] == theirs.settings["task"]["name"] == name


@pytest.mark.parametrize("features", ["embeddings", "second-to-last"])
def test_a_model_on_lower_layers_has_none_of_the_upper(tmp_path, features):
    checkpoint = make("task", task=dataclasses.replace(TASKS["tagging"], features=features))
    save(tmp_path, checkpoint)
    layers = {count.layer: count.exact for count in inspect_checkpoint(tmp_path).layers}
    assert layers == counted(checkpoint.model)


def test_command(tmp_path, capsys):
    task = ClassificationTask(labels=("no", "yes"))
    write(tmp_path, task.build_model(build_encoder(CONFIGS[0])), task)
    assert run_command("inspect", [str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    for line in ("hidden_dim            8", "lowercase             True", "with heads"):
        assert f"\n  {line}" in printed or f"\n{line}" in printed
    assert "['no', 'yes']" in printed
    variant = "--preset tiny --vocabulary-size 30522 --position none --norm-placement bb".split()
    assert run_command("inspect", variant) == 0
    # Without the position table, with one more LayerNorm after the last block.
    assert f"{4_385_920 - 512 * 128 + 2 * 128:,}" in capsys.readouterr().out
    other = "--preset tiny --vocabulary-size 30522 --architecture cnn".split()
    assert run_command("inspect", other) == 0
    assert "formula:" not in capsys.readouterr().out  # It is of Transformers.
    assert run_command("inspect", ["--preset", "base", "--vocabulary-size", "30522"]) == 0
    assert "109,482,240" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "Expected either a checkpoint or --preset"),
        (["x", "--preset", "base", "--vocabulary-size", "5"], "Expected either a checkpoint or"),
        (["--preset", "base"], "belong together"),
        (["x", "--vocabulary-size", "5"], "belong together"),
        (["--preset", "base", "--vocabulary-size", "0"], "must be at least 1. Received: 0"),
    ],
)
def test_command_refuses_options(arguments, expected, capsys):
    with pytest.raises(SystemExit) as stop:
        run_command("inspect", arguments)
    assert stop.value.code == 2 and expected in capsys.readouterr().err


def test_command_refuses_what_is_not_there(capsys):
    assert run_command("inspect", ["nowhere"]) == 1
    assert "There is no folder nowhere" in capsys.readouterr().err
