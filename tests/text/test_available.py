"""Without tensorflow-text everything but SavedModels works, and one sentence says so."""

import os
import subprocess
import sys

import pytest

from kbert.text.available import tokenizer_class
from tests.conftest import ROOT
from tests.tiny_checkpoint import write_checkpoint, write_rows

WITHOUT = """
import sys
sys.modules["tensorflow_text"] = None

import pathlib

import kbert
from apps.cli import main

folder = pathlib.Path(sys.argv[1])


def at(name):
    return str(folder / name)


assert kbert.load(at("start")).tokenizer.__class__ is kbert.PythonTokenizer
finetune = ["finetune", "classification", "--from", at("start"), "--train", at("rows.tsv")]
finetune += ["--epochs", "1", "--sequence-length", "16", "--output", at("tuned")]
assert main(finetune) == 0
assert main(["predict", at("tuned"), at("texts.txt"), "--output", at("answers.jsonl")]) == 0
assert main(["embed", at("tuned"), at("texts.txt"), "--output", at("vectors.npy")]) == 0
assert main(["convert", at("tuned"), "--output", at("hf"), "--to", "huggingface"]) == 0
assert main(["convert", at("hf"), "--output", at("again")]) == 0
prepare = ["prepare", at("texts.txt"), "--vocabulary", at("start/vocab.txt")]
assert main([*prepare, "--output", at("store"), "--processes", "1"]) == 0
assert main(["export", at("tuned"), "--output", at("exported")]) == 1
"""


@pytest.mark.slow
def test_at_work(tmp_path):
    write_checkpoint(tmp_path / "start")
    write_rows(tmp_path / "rows.tsv", 40, seed=0)
    (tmp_path / "texts.txt").write_text("the film was good\n\nbad music\n")
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        encoding="utf-8",
    )
    assert result.returncode == 0, result.stderr[-3000:]
    (said,) = [line for line in result.stderr.splitlines() if "export: error" in line]
    assert "needs tensorflow-text, which has no wheel for Windows" in said
    assert len((tmp_path / "answers.jsonl").read_text().splitlines()) == 3


def test_which_one(monkeypatch):
    from kbert import PythonTokenizer, WordPieceTokenizer

    assert tokenizer_class("tensorflow") is WordPieceTokenizer
    assert tokenizer_class("jax") is PythonTokenizer
    monkeypatch.setitem(sys.modules, "tensorflow_text", None)
    assert tokenizer_class("tensorflow") is PythonTokenizer


@pytest.mark.parametrize("name", ["tensorflow-text", "uvloop"])
def test_what_windows_lacks_is_not_asked_for_there(name):
    import tomllib

    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = {r.name: r for r in map(Requirement, project["dependencies"])}
    assert not found[name].marker.evaluate({"sys_platform": "win32", "python_version": "3.12"})
    assert found[name].marker.evaluate({"sys_platform": "linux", "python_version": "3.12"})
