"""The notebooks of docs/examples are sound, and run from their first cell to their last."""

import json
import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "docs/examples").glob("*.ipynb"))
# What each prints that shows that its model has learned, with the least that counts as learned.
SCORES = {
    "sentiment": (r"^accuracy ([\d.]+)$", 0.8),
    "ner_zh": (r"^F1 ([\d.]+)$", 0.6),
    "documents": (r"'recall@10': ([\d.]+)", 0.8),
    "few_labels": (r"^descriptions: accuracy ([\d.]+)", 0.7),
    "moderation": (r"^F1 ([\d.]+)$", 0.7),
    "tensorflow_serving": (r"^\w+ (0\.\d+|1\.0)$", 0.3),
    "custom_task": (r"'accuracy': ([\d.]+)", 0.8),
    "keras_layers": (r"^accuracy ([\d.]+)$", 0.5),
}
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells_of(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def source(cell):
    return "".join(cell["source"])


@every_notebook
def test_a_notebook_without_outputs(path):
    """In the form that is committed, as nbformat 4.5 has it; all code is Python; links lead on."""
    text = path.read_text(encoding="utf-8")
    notebook = json.loads(text)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert text == json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    cells = notebook["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells)
    for cell in cells:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
            compile(source(cell), cell["id"], "exec")
        else:
            for link in re.findall(r"\]\(([^)#:]+)[)#]", source(cell)):
                assert (path.parent / link).exists(), link


def run(name, folder, **options):
    """What a notebook prints, started where Jupyter would; what it writes lies in the folder."""
    path = ROOT / "docs/examples" / f"{name}.ipynb"
    script = folder / "notebook.py"
    code = [source(cell) for cell in cells_of(path) if cell["cell_type"] == "code"]
    script.write_text("\n".join(code), encoding="utf-8")
    options |= {"MPLBACKEND": "Agg", "TMPDIR": str(folder)}
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


def test_every_notebook_is_run():
    assert {path.stem for path in NOTEBOOKS} == {*SCORES, "dates", "senses"}


@pytest.mark.slow
@pytest.mark.parametrize("name", SCORES)
def test_a_notebook_runs(name, tmp_path):
    printed = run(name, tmp_path)
    pattern, least = SCORES[name]
    found = re.search(pattern, printed, re.MULTILINE)
    assert found and float(found[1]) >= least, printed


@pytest.mark.slow
def test_dates_are_translated(tmp_path):
    """With attention nearly all; a convolution sees four tokens to each side, attention all."""
    printed = run("dates", tmp_path, KBERT_EXAMPLE_STEPS="800")
    right = dict(re.findall(r"(with|without) attention: ([\d.]+)%", printed))
    assert float(right["with"]) > 90
    # What a vector of fixed size loses of a long text, attention does not.
    copied = re.findall(r"^ +(4|8|12|16) +(\d+)% +(\d+)%$", printed, re.MULTILINE)
    without, attends = ({int(row[0]): int(row[n]) for row in copied} for n in (1, 2))
    assert without[16] < min(without[4], attends[16]), copied
    rows = {
        name: [float(value) for value in values.split()]
        for name, values in re.findall(r"^(bilstm|cnn|transformer) +(.*)$", printed, re.MULTILINE)
    }
    assert min(rows["cnn"][:3]) > 0 == max(rows["cnn"][3:])
    assert rows["bilstm"][0] > 10 * rows["bilstm"][6]
    assert max(rows["transformer"]) < 10 * min(rows["transformer"])


@pytest.mark.slow
def test_senses_are_told_apart_above_the_embedding(tmp_path):
    printed = run("senses", tmp_path)
    gained = re.findall(r"gained on the embedding: ([+-][\d.]+)", printed)
    assert len(gained) == 4 and all(float(value) > 0 for value in gained)
