"""The time that a grid takes: of what is done, and of a short run of each kind."""

import json

import pytest

from apps.cli import main
from kbert.laboratory import plan
from kbert.laboratory.cells import chains_of
from kbert.laboratory.plan import measured, minutes_of, seconds_left
from kbert.laboratory.recipe.file import read_recipe
from tests.laboratory.small_recipe import RECIPE, write_recipe

ONE = RECIPE.replace("seeds = 2", "seeds = [3]")


def chains(folder, store, text=ONE):
    return chains_of(read_recipe(write_recipe(folder, store, text)))


def write_result(cell, output, **result):
    folder = cell.folder(output)
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps({"error": None, **result}))


def test_what_is_done_has_taken_its_time(tmp_path, tiny_store):
    """By kind, not by seed; a run that went on has measured its last part alone."""
    few, many, *_ = grid = chains(tmp_path, tiny_store, RECIPE)
    first = few.pretraining
    write_result(first, tmp_path, seconds=30.0, first_step=0, steps=6)
    times = plan._times_of_done(grid, tmp_path)
    assert times == {first.shape: 30.0}
    again = next(c for c in grid[1:] if c.pretraining.shape == first.shape).pretraining
    assert again.key != first.key
    write_result(again, tmp_path, seconds=20.0, first_step=4, steps=6)
    assert plan._times_of_done(grid, tmp_path) == {first.shape: 45.0}  # Median of 30 and 60.
    assert minutes_of(grid, tmp_path) == {}  # The tasks wait.
    for cell in few.cells[1:]:
        write_result(cell, tmp_path, seconds=3.0)
    assert minutes_of(grid, tmp_path) == {"few": pytest.approx((45 + 3 + 3) / 60)}


def test_steps_of_copies_count(tmp_path, tiny_store):
    text = ONE.replace("epochs = 1", "epochs = 3")
    words = chains(tmp_path, tiny_store, text)[0].tasks["words"].what
    assert plan._finetuning_steps(words, {"train_rows": 36}) == 3 * 3
    text = text.replace("epochs = 3", 'epochs = 3\naugment = 2\naugment_by = ["swap"]')
    words = chains(tmp_path, tiny_store, text)[0].tasks["words"].what
    assert plan._finetuning_steps(words, {"train_rows": 36}) == 3 * 7  # 108 rows of 16 a batch.


def test_a_variant_that_diverges_has_a_time(tmp_path, tiny_store, monkeypatch):
    monkeypatch.setattr(plan, "run_cell", lambda cell, folder: {"error": "NaN", "scores": {}})
    times = measured(chains(tmp_path, tiny_store), tmp_path)
    assert all(seconds >= 0 for seconds in times.values())


@pytest.mark.slow
def test_every_kind_is_measured_once_and_the_command_runs_them(tmp_path, tiny_store, capsys):
    grid, output = chains(tmp_path, tiny_store), tmp_path / "out"
    output.mkdir()
    times = measured(grid, output)
    cells = [cell for chain in grid for cell in chain.cells]
    assert times.keys() == {cell.shape for cell in cells}
    assert all(0 < seconds < 600 for seconds in times.values())
    assert json.loads((output / "times.json").read_text()) == times
    assert measured(grid, output) == times  # Of the file.
    assert not list(output.glob("probe-*"))
    (output / "cells").mkdir()
    command = ["ablate", str(tmp_path / "recipe.toml"), "--output", str(output)]
    assert main([*command, "--plan"]) == 0
    assert "hours are left with 1 at a time" in capsys.readouterr().out
    assert main(command) == 0
    assert seconds_left(grid, times, output) == 0
    page = (output / "report.md").read_text()
    assert page in capsys.readouterr().out
    assert "6 of 6 scores are there" in page
