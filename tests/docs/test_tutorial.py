"""docs/tutorial.ipynb is a sound notebook, and runs from its first cell to its last."""

import json
import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT

PAGE = ROOT / "docs" / "tutorial.ipynb"
TEXT = PAGE.read_text(encoding="utf-8")
NOTEBOOK = json.loads(TEXT)
CELLS = NOTEBOOK["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]
STEPS = 20


def source(cell):
    return "".join(cell["source"])


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """What the notebook printed, and the folder that it wrote; it starts where Jupyter would."""
    folder = tmp_path_factory.mktemp("tutorial")
    script, output = folder / "tutorial.py", folder / "output"
    parts = [f"# cell {cell['id']}\n{source(cell)}\n" for cell in CODE]
    script.write_text("\n".join(parts), encoding="utf-8")
    result = subprocess.run(
        [sys.executable, script],
        cwd=PAGE.parent,
        env={
            **os.environ,
            "KBERT_TUTORIAL_OUTPUT": str(output),
            "KBERT_TUTORIAL_STEPS": str(STEPS),
            "MPLBACKEND": "Agg",
            "PYTHONIOENCODING": "utf-8",
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        encoding="utf-8",
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout, output


def test_a_notebook_without_outputs():
    """As nbformat 4.5 has it, in the form that is committed, so that changes are easy to read."""
    assert (NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]) == (4, 5)
    assert TEXT == json.dumps(NOTEBOOK, indent=1, ensure_ascii=False) + "\n"
    for cell in CODE:
        assert cell["outputs"] == [] and cell["execution_count"] is None
    for cell in CELLS:
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", cell["id"])
        assert cell["source"] and all(isinstance(line, str) for line in cell["source"])
        assert all(line.endswith("\n") for line in cell["source"][:-1])
    assert len({cell["id"] for cell in CELLS}) == len(CELLS)


def test_text_and_code_in_turn():
    kinds = [cell["cell_type"] for cell in CELLS]
    assert kinds == ["markdown", "code"] * (len(kinds) // 2)
    for cell in CODE:  # Python only: what is for IPython stands in the text.
        compile(source(cell), cell["id"], "exec")


def test_links_lead_somewhere():
    text = "\n".join(source(cell) for cell in CELLS if cell["cell_type"] == "markdown")
    links = re.findall(r"\]\(([^)#]+)", text)
    assert links
    for link in links:
        assert (PAGE.parent / link).exists(), link


@pytest.mark.slow
def test_text_becomes_pieces_and_rows(ran):
    printed, output = ran
    assert re.search(r"^The café's .* -> \[CLS\] the c.* ##\S+ .*\[SEP\]$", printed, re.MULTILINE)
    assert "她在厨房里煮米饭。 -> [CLS] 她 在 厨 房 里 煮 米 饭 。 [SEP]" in printed
    assert (output / "store" / "store.json").is_file()
    first, rest = re.findall(r"^  ([AB]): (.*)$", printed, re.MULTILINE)[:2]
    assert first[0] == "A" and first[1].startswith("[CLS] ") and first[1].endswith(" [SEP]")
    assert rest[0] == "B" and rest[1].endswith(" [SEP]") and "[CLS]" not in rest[1]


@pytest.mark.slow
def test_a_packed_row_is_shown(ran):
    """Two examples at least, one of each kind, and as many pieces to predict as there should be."""
    printed, _ = ran
    assert printed.count(": B follows A") >= 1 and printed.count(": B is from elsewhere") >= 1
    shown = " ".join(re.findall(r"^  [AB]: (.*)$", printed, re.MULTILINE)).split()
    hidden = re.findall(r"^  position (\d+): (\S+) -> \S+$", printed, re.MULTILINE)
    assert 0.1 * len(shown) < len(hidden) < 0.2 * len(shown)
    assert "[MASK]" in dict(hidden).values()
    for position, piece in hidden:
        assert shown[int(position)] == piece


@pytest.mark.slow
def test_pretraining_learns_and_is_drawn(ran):
    printed, output = ran
    assert "tiny: 876,672 parameters" in printed
    assert f"tiny-{STEPS} is a checkpoint after {STEPS} steps" in printed
    found = re.search(r"masked LM loss in training: ([\d.]+) at first, ([\d.]+) at last", printed)
    first, last = map(float, found.groups())
    assert last < first - 0.3
    assert (output / "curves.png").stat().st_size > 5000


@pytest.mark.slow
def test_masks_are_filled(ran):
    printed, _ = ran
    candidates = dict(re.findall(r"^(tiny|mini): (\S+ 0\.\d+, .*)$", printed, re.MULTILINE))
    assert set(candidates) == {"tiny", "mini"}
    assert "19th 0." in candidates["mini"]


@pytest.mark.slow
def test_the_classifier_is_far_above_chance(ran):
    """Of four labels, equally frequent; 64 sentences."""
    printed, output = ran
    accuracies = dict(re.findall(r"^(tiny|mini): accuracy ([\d.]+)$", printed, re.MULTILINE))
    assert set(accuracies) == {"tiny", "mini"}
    assert float(accuracies["mini"]) > 0.65
    assert (output / "topics.png").stat().st_size > 5000


@pytest.mark.slow
def test_plain_keras_trains(ran):
    printed, _ = ran
    loss = float(re.search(r"plain Keras: loss ([\d.]+) after 3 batches", printed)[1])
    assert 0 < loss < 5


@pytest.mark.slow
def test_the_saved_model_answers(ran):
    printed, output = ran
    assert (output / "served" / "topics" / "1" / "saved_model.pb").is_file()
    assert re.search(
        r"^Stir the soup and add salt\. -> cooking \(0\.\d\d\)$", printed, re.MULTILINE
    )
    assert re.search(r"^Dark clouds .* -> weather \(0\.\d\d\)$", printed, re.MULTILINE)


@pytest.mark.slow
def test_everything_is_written_into_the_output_folder(ran):
    _, output = ran
    written = {path.name for path in output.iterdir()}
    folders = {"store", f"tiny-{STEPS}", "topics-tiny", "topics-mini", "served"}
    assert written == folders | {"vocab.txt", "curves.png", "topics.png"}
