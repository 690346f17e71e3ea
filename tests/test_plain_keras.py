"""kbert for a plain Keras user: docs/keras.md is run, block by block, and looked at."""

import json
import os
import re
import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "keras.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)

# Run before the page in a process with two devices; and after it.
TWO_DEVICES = """
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
_strategy = tf.distribute.MirroredStrategy
tf.distribute.MirroredStrategy = lambda: _strategy(["CPU:0", "CPU:1"])
"""
REPORT = """
import json
before = [w.numpy().copy() for w in mirrored.weights]
losses = [mirrored.train_on_batch(inputs, labels) for _ in range(5)]
print(json.dumps({
    "replicas": strategy.num_replicas_in_sync,
    "losses": [float(x) for x in losses],
    "learned": sum(not np.array_equal(w.numpy(), b) for w, b in zip(mirrored.weights, before)),
}))
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The names that the page's code leaves behind, and the folder where it ran."""
    folder, before = tmp_path_factory.mktemp("page"), os.getcwd()
    keras.utils.set_random_seed(0)
    os.chdir(folder)
    names = {}
    try:
        for block in BLOCKS:
            exec(compile(block, "docs/keras.md", "exec"), names)
    finally:
        os.chdir(before)
        keras.config.set_dtype_policy("float32")
    return {**names, "folder": folder}


def test_the_page_shows_what_it_promises():
    text = "\n".join(BLOCKS)
    for call in ("compile(", "fit(", "EarlyStopping", ".save(", "load_model(", "from_config("):
        assert call in text
    for call in ("get_config(", ".export(", "MirroredStrategy(", "set_dtype_policy("):
        assert call in text


def test_fit_with_callbacks(page):
    losses = page["history"].history["loss"]
    assert losses[-1] < losses[0]
    assert "val_accuracy" in page["history"].history


def test_saved_and_loaded_computes_the_same(page):
    expected = page["model"].predict(page["inputs"], verbose=0)
    np.testing.assert_array_equal(page["loaded"].predict(page["inputs"], verbose=0), expected)
    assert page["loaded"].optimizer.iterations > 0  # compiled, with its optimizer's state


def test_rebuilt_from_its_config(page):
    rebuilt = page["rebuilt"]
    assert rebuilt.count_params() == page["model"].count_params()
    rebuilt.set_weights(page["model"].get_weights())
    np.testing.assert_array_equal(
        rebuilt.predict(page["inputs"], verbose=0), page["model"].predict(page["inputs"], verbose=0)
    )


def test_tied_weights_stay_tied(page):
    """After loading, a change of the one table is seen on both sides."""
    assert page["tables"] == ["embedding/token_table"]
    model = page["pretraining"]
    inputs = {name: array[:1] for name, array in page["inputs"].items()}
    inputs |= {"mask_positions": np.array([[1]]), "cls_positions": np.array([[0]])}
    before = model.predict(inputs, verbose=0)["masked_lm"]
    table = model.get_layer("embedding").token_table
    unused = np.setdiff1d(np.arange(1000), inputs["token_ids"])[0]
    table.assign(np.where(np.arange(1000)[:, None] == unused, 5.0, table.numpy()))
    after = model.predict(inputs, verbose=0)["masked_lm"]
    changed = np.flatnonzero(~np.isclose(before, after, atol=1e-4)[0, 0])
    assert changed.tolist() == [unused]


def test_exported_answers_the_same(page):
    expected = page["model"].predict(page["inputs"], verbose=0)
    np.testing.assert_allclose(page["answers"].numpy(), expected, atol=1e-6)


def test_a_model_from_the_layers(page):
    tokens, mask = page["inputs"]["token_ids"], page["inputs"]["padding_mask"]
    scores = page["tagger"].predict([tokens, mask], verbose=0)
    assert scores.shape == (64, 16, 5)


def test_16_bits(page):
    assert page["dtype"] == "bfloat16"


def test_a_fresh_process_loads_the_file(page):
    """With the one import that the page names."""
    code = (
        "import kbert.models, keras, numpy as np\n"
        "model = keras.models.load_model('classifier.keras')\n"
        "x = {k: np.ones((1, 4), 'int32') for k in ('token_ids', 'segment_ids', 'padding_mask')}\n"
        "print(model.predict(x, verbose=0).tolist())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=page["folder"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    ones = {name: np.ones((1, 4), "int32") for name in page["inputs"]}
    expected = page["model"].predict(ones, verbose=0)
    np.testing.assert_allclose(json.loads(result.stdout), expected, atol=1e-6)


def test_under_mirrored_strategy(tmp_path):
    """The last-but-one block with the data of the first, on two logical CPU devices."""
    mirrored = next(block for block in BLOCKS if "MirroredStrategy" in block)
    data, model, _ = BLOCKS[0].partition("\nhidden = ")
    assert model and "\nlabels = " in data
    code = "\n".join([TWO_DEVICES, data, mirrored, REPORT])
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    report = json.loads(result.stdout.splitlines()[-1])
    assert report["replicas"] == 2
    assert report["losses"][-1] < report["losses"][0]
    assert report["learned"] > 0
