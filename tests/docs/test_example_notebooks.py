"""Notebooks in docs/examples are sound, and each runs from its first cell to its last."""

import json
import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT

FOLDER = ROOT / "docs" / "examples"
# What each prints that shows that its model has learned, with the least that counts as learned.
SCORES = {
    "sentiment": (r"^accuracy ([\d.]+)$", 0.8),
    "ner_zh": (r"^F1 ([\d.]+)$", 0.6),
    "documents": (r"'recall@10': ([\d.]+)", 0.6),
    "moderation": (r"^F1 ([\d.]+)$", 0.7),
    "tensorflow_serving": (r"^\w+ (0\.\d+|1\.0)$", 0.3),
    "custom_task": (r"'accuracy': ([\d.]+)", 0.5),
    "keras_layers": (r"^accuracy ([\d.]+)$", 0.5),
}
PAGES = [FOLDER / f"{name}.ipynb" for name in SCORES]


def cells_of(page):
    return json.loads(page.read_text(encoding="utf-8"))["cells"]


def source(cell):
    return "".join(cell["source"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_notebook_without_outputs(page):
    """As nbformat 4.5 has it, in the form that is committed; text and code in turn."""
    text = page.read_text(encoding="utf-8")
    notebook = json.loads(text)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert text == json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    cells = notebook["cells"]
    assert [cell["cell_type"] for cell in cells] == ["markdown", "code"] * (len(cells) // 2)
    assert len({cell["id"] for cell in cells}) == len(cells)
    for cell in cells[1::2]:
        assert cell["outputs"] == [] and cell["execution_count"] is None
        compile(source(cell), cell["id"], "exec")
    for link in re.findall(r"\]\(([^)#:]+)", "\n".join(map(source, cells[::2]))):
        assert (FOLDER / link).exists(), link


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_notebook_runs(page, tmp_path):
    script = tmp_path / f"{page.stem}.py"
    script.write_text("\n".join(map(source, cells_of(page)[1::2])), encoding="utf-8")
    result = subprocess.run(
        [sys.executable, script],
        cwd=FOLDER,
        env={
            **os.environ,
            "PYTHONIOENCODING": "utf-8",
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(tmp_path),
        },
        capture_output=True,
        encoding="utf-8",
    )
    assert result.returncode == 0, result.stderr[-3000:]
    pattern, least = SCORES[page.stem]
    found = re.search(pattern, result.stdout, re.MULTILINE)
    assert found and float(found[1]) >= least, result.stdout
