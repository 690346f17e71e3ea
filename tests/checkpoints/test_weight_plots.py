"""The picture of a checkpoint's weights, of every architecture, from `kbert inspect --plot`."""

import keras
import numpy as np
import pytest

from apps.cli import run_command
from kbert import BertConfig, Checkpoint, WordPieceTokenizer, build_pretraining_model, save
from kbert.checkpoints.inspection import read_weights
from kbert.checkpoints.weight_plots import _by_block, _each, _part, plot_weights
from tests.small_store import vocabulary_of

VOCABULARY = vocabulary_of(20)
SIZES = {"num_layers": 2, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}


def weights_of(**changes):
    keras.utils.set_random_seed(0)
    config = BertConfig(len(VOCABULARY), max_sequence_length=16, **SIZES, **changes)
    model = build_pretraining_model(config)
    return config, {w.path: keras.ops.convert_to_numpy(w) for w in model.weights}


@pytest.mark.parametrize(
    "changes",
    [{}, {"position": "rotary", "norm_placement": "nn"}, {"architecture": "bilstm"}],
    ids=str,
)
def test_every_architecture_has_a_picture(tmp_path, changes):
    pytest.importorskip("matplotlib")
    plot_weights(tmp_path / "weights.png", *weights_of(**changes))
    assert (tmp_path / "weights.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_drawn_by_block():
    _, weights = weights_of()
    kernels = _by_block(weights, "kernel")
    assert set(kernels) == {"query", "key", "value", "output projection", "intermediate", "output"}
    whole = weights["block_1/attention/query_key_value/kernel"]
    np.testing.assert_array_equal(kernels["key"][1], whole[:, 8:16])
    assert _each(kernels["output"], np.std)[0] == pytest.approx(
        weights["block_0/output/kernel"].std()
    )
    assert set(_by_block(weights, "gamma")) == {"attention norm", "output norm"}
    parts = {_part(name) for name in weights}
    assert {"token table", "positions, segments", "attention", "feed-forward", "pooler"} <= parts


def test_the_command(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    config, _ = weights_of()
    model = build_pretraining_model(config)
    save(tmp_path / "model", Checkpoint(model, WordPieceTokenizer(VOCABULARY), config))
    read = read_weights(tmp_path / "model")
    assert set(read) == {weight.path for weight in model.weights}
    for weight in model.weights:
        np.testing.assert_array_equal(read[weight.path], weight.numpy())
    plot = str(tmp_path / "weights.svg")
    assert run_command("inspect", [str(tmp_path / "model"), "--plot", plot]) == 0
    assert f"{plot} shows the weights." in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        run_command("inspect", ["--preset", "tiny", "--vocabulary-size", "20", "--plot", plot])
    assert run_command("inspect", [str(tmp_path / "model"), "--plot", "a.jpg"]) == 1
