"""The notebooks of docs/examples are sound, and run from their first cell to their last."""

import json
import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "docs/examples").glob("*.ipynb"))
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells_of(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


@every_notebook
def test_a_notebook_without_outputs(path):
    text = path.read_text(encoding="utf-8")
    notebook = json.loads(text)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert text == json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])


def run(path, folder, steps):
    script = folder / "notebook.py"
    code = ["".join(c["source"]) for c in cells_of(path) if c["cell_type"] == "code"]
    script.write_text("\n".join(code), encoding="utf-8")
    options = {"KBERT_EXAMPLE_STEPS": str(steps), "MPLBACKEND": "Agg"}
    options |= {"PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, script],
        cwd=path.parent,
        env={**os.environ, **options},
        capture_output=True,
        encoding="utf-8",
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


@pytest.mark.slow
def test_dates_are_translated(tmp_path):
    """With attention nearly all; a convolution sees four tokens to each side, attention all."""
    printed = run(ROOT / "docs/examples/dates.ipynb", tmp_path, steps=800)
    right = dict(re.findall(r"(with|without) attention: ([\d.]+)%", printed))
    assert float(right["with"]) > 90
    rows = {
        name: [float(value) for value in values.split()]
        for name, values in re.findall(r"^(bilstm|cnn|transformer) +(.*)$", printed, re.MULTILINE)
    }
    assert min(rows["cnn"][:3]) > 0 == max(rows["cnn"][3:])
    assert rows["bilstm"][0] > 10 * rows["bilstm"][6]
    assert max(rows["transformer"]) < 10 * min(rows["transformer"])


@pytest.mark.slow
def test_senses_are_told_apart_above_the_embedding(tmp_path):
    printed = run(ROOT / "docs/examples/senses.ipynb", tmp_path, steps=0)
    gained = re.findall(r"gained on the embedding: ([+-][\d.]+)", printed)
    assert len(gained) == 4 and all(float(value) > 0 for value in gained)
