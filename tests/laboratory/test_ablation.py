"""A grid: what is run and what is not run again, and its plan."""

import itertools
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert import predict
from kbert.checkpoints.formats import load_any
from kbert.errors import DataError, TrainingError
from kbert.files import locked
from kbert.laboratory import ablation, cells, running
from kbert.laboratory.ablation import ablate
from kbert.laboratory.cells import chains_of
from kbert.laboratory.grid import Finetuning, Pretraining
from kbert.laboratory.plan import measured
from kbert.laboratory.recipe.file import read_recipe
from kbert.laboratory.running import run_chain
from tests.laboratory.small_recipe import RECIPE, run, write_recipe


def test_every_cell_is_run_once_and_only_what_changed_again(tmp_path, tiny_store, pretend):
    recipe, output = write_recipe(tmp_path, tiny_store), tmp_path / "out"
    report = run(recipe, output)
    assert len(pretend) == 2 * 2 * 3  # Variants, seeds; pre-training and two tasks.
    assert run(recipe, output) == report == json.loads((output / "report.json").read_text())
    assert len(pretend) == 12
    # Another title or figure changes no cell, a setting of one task those of this task.
    write_recipe(tmp_path, tiny_store, RECIPE.replace("78.5", "70.5").replace("Rates", "Shares"))
    run(recipe, output)
    assert len(pretend) == 12
    changed = RECIPE.replace('kind = "classification"', 'kind = "classification"\nlimit = 30')
    write_recipe(tmp_path, tiny_store, changed)
    run(recipe, output)
    assert [type(cell.what) for cell in pretend[12:]] == [Finetuning] * 4
    # Another file does, too; and another seed is one more.
    with open(tmp_path / "pairs.jsonl", "a") as file:
        file.write('\n{"good": "a1", "bad": "a2"}')
    write_recipe_text(recipe, changed.replace("seeds = 2", "seeds = 3"), tiny_store)
    run(recipe, output)
    assert len(pretend) == 12 + 4 + 4 + 2 * 3
    # What was there before is still there.
    write_recipe(tmp_path, tiny_store)
    assert run(recipe, output) == report
    assert len(pretend) == 26


def write_recipe_text(recipe, text, store):
    recipe.write_text(text.replace("{store}", str(store)), encoding="utf-8")


@pytest.mark.parametrize("number", [0, 1, 11])
def test_a_grid_that_was_stopped_goes_on_to_the_same_report(tmp_path, tiny_store, pretend, number):
    recipe = write_recipe(tmp_path, tiny_store)
    whole = run(recipe, tmp_path / "whole")
    del pretend[:]
    pretend.fail(number, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        run(recipe, tmp_path / "out")
    assert run(recipe, tmp_path / "out") == whole
    assert len(pretend) == 12
    pages = [(tmp_path / name / "report.md").read_text() for name in ("whole", "out")]
    whole, resumed = ([line.split("|") for line in page.splitlines()] for page in pages)
    assert [row[:7] for row in whole] == [row[:7] for row in resumed]  # All but the minutes.


def test_variants_that_are_the_same_share_their_cells(tmp_path, tiny_store, pretend):
    text = RECIPE.replace("masking_rate = 0.5", "masking_rate = 0.15")
    report = run(write_recipe(tmp_path, tiny_store, text), tmp_path / "out")
    assert len(pretend) == 6
    same = report["tasks"]["words"]["variants"]["many"]["difference"]
    assert (same["mean"], same["sign"]) == (0, "0")


CONTINUED = """\
[variants.many.pretraining]
masking_rate = 0.5
[variants.many.continued]
store = "{store}"
num_steps = 4
[variants.many.tasks.words]
members = 2
[variants.many.tasks.words.continued]
store = "{store}"
num_steps = 2
objective = "masked-lm"
"""


def continued():
    return RECIPE.replace("[variants.many.pretraining]\nmasking_rate = 0.5\n", CONTINUED)


def test_pre_training_that_goes_on_is_a_run_of_its_own(tmp_path, tiny_store, pretend, capsys):
    recipe, output = write_recipe(tmp_path, tiny_store, continued()), tmp_path / "out"
    report = ablate(recipe, output)
    many = [cell for cell in pretend if cell.with_starts()[0].what.settings.masking_rate == 0.5]
    seed = [cell for cell in many if cell.seed == 1]
    # The first run, the one after it, one more for the words; words, pairs.
    kinds = [type(cell.what).__name__ for cell in seed]
    assert kinds == ["Pretraining", "Pretraining", "Pretraining", "Finetuning", "Judging"]
    first, second, third, words, pairs = seed
    assert [cell.what.settings.num_steps for cell in (first, second, third)] == [6, 4, 2]
    assert (second.start, third.start, words.start, pairs.start) == (first, second, third, second)
    assert third.what.settings.objective == "masked-lm" != second.what.settings.objective
    # Of the same text, other rows than the run before has seen.
    seeds = {cell.inputs["seed"] for cell in pretend if isinstance(cell.what, Pretraining)}
    assert first.inputs["seed"] == 1 and len(seeds) == 2 * 3
    # What a run does not say is the variant's own, also what follows from its steps.
    assert second.what.settings.masking_rate == 0.5 and third.what.settings.batch_size == 4
    assert len(pretend) == 2 * (3 + 5)
    own = report["variants"]["many"]
    assert (own["steps"], own["positions"]) == (6 + 4 + 2, (6 + 4 + 2) * 4 * 32)
    assert own["runs"] == 2 * 3
    assert ["many", "3.0", "1.0", "1.0", "10", "0", "10.0"] in [
        line.split() for line in capsys.readouterr().out.splitlines()
    ]
    # Another first run changes all that follows it.
    write_recipe(tmp_path, tiny_store, continued().replace("0.5", "0.4"))
    run(recipe, output)
    assert len(pretend) == 2 * (3 + 5 + 5)


@given(st.lists(st.frozensets(st.integers(0, 5), min_size=1, max_size=3), max_size=8))
def test_chains_beside_each_other_share_no_cell(keys):
    chains = [SimpleNamespace(cells=[SimpleNamespace(key=key) for key in own]) for own in keys]
    parts = ablation._apart(chains)
    assert sorted(map(id, chains)) == sorted(id(chain) for part in parts for chain in part)
    for part in parts:
        cells = [cell.key for chain in part for cell in chain.cells]
        assert len(cells) == len(set(cells))


def test_a_full_disk_is_no_result(tmp_path, tiny_store, pretend):
    error = TrainingError("Step 4 cannot be saved.")
    error.__cause__ = OSError(28, "No space left on device")
    pretend.fail(0, error)
    recipe = write_recipe(tmp_path, tiny_store)
    with pytest.raises(TrainingError, match="cannot be saved"):
        run(recipe, tmp_path / "out")
    run(recipe, tmp_path / "out")
    assert len(pretend) == 12


def test_the_plan_runs_nothing(tmp_path, tiny_store, pretend, capsys):
    recipe, output = write_recipe(tmp_path, tiny_store), tmp_path / "out"
    ablate(recipe, output, plan_only=True, workers=2)
    assert len(pretend) == 0 and not (output / "report.json").exists()
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["few", "1.0", "1.0", "1.0", "6", "0", "6.0"]
    assert "About 0.1 hours are left with 2 at a time" in lines[-1]


def test_what_a_killed_call_left_is_removed(tmp_path, tiny_store, pretend):
    recipe, output = write_recipe(tmp_path, tiny_store), tmp_path / "out"
    run(recipe, output)
    chain = chains_of(read_recipe(recipe))[0]
    left = [output / "probe-abc", chain.pretraining.checkpoint(output) / "steps"]
    for folder in left:
        folder.mkdir(parents=True)
    run_chain(chain, output)
    measured([chain], output)
    assert not any(folder.exists() for folder in left)


def test_how_often_a_run_is_saved_is_no_other_cell(tmp_path, tiny_store):
    grids = [
        chains_of(read_recipe(write_recipe(tmp_path, tiny_store, text)))
        for text in (RECIPE, RECIPE.replace("epochs = 1", "epochs = 1\nsave_every = 3"))
    ]
    keys = [[cell.key for chain in grid for cell in chain.cells] for grid in grids]
    assert keys[0] == keys[1]


def test_an_output_belongs_to_one_ablation(tmp_path, tiny_store, pretend):
    recipe = write_recipe(tmp_path, tiny_store)
    with pytest.raises(DataError, match="holds what no ablation wrote"):
        run(recipe, tmp_path)
    with locked(tmp_path / "out"), pytest.raises(DataError, match="Another process"):
        run(recipe, tmp_path / "out")
    with pytest.raises(DataError, match="one worker at least"):
        run(recipe, tmp_path / "out", workers=0)


@pytest.mark.slow
def test_real_cells(tmp_path, tiny_store, unmeasured):
    """One model, fine-tuned, judged, scored on held-out text."""
    text = RECIPE.replace("seeds = 2", "seeds = [3]")
    text = text.replace("[variants.many.pretraining]\nmasking_rate = 0.5\n", "")
    text = re.sub(r"many = .*\n", "", text)
    report = run(write_recipe(tmp_path, tiny_store, text), tmp_path / "out")
    assert report["cells_done"] == report["cells"] == 3
    scores = {name: task["variants"]["few"]["mean"] for name, task in report["tasks"].items()}
    assert 0 <= scores["words"] <= 1 and 0 <= scores["pairs"] <= 1
    assert scores["loss"] == pytest.approx(4.0, abs=0.3)  # log 60: nearly nothing is learned.
    left = {path.name for path in (tmp_path / "out/cells").glob("*/*")}
    assert left == {"result.json", "log.txt", "checkpoint", "finetuned"}
    assert not list((tmp_path / "out/cells").glob("*/checkpoint/steps"))
    assert not list((tmp_path / "out/cells").glob("*/finetuned/model.safetensors"))


@pytest.mark.slow
def test_real_pre_training_that_goes_on(tmp_path, tiny_store, unmeasured):
    """Its model is the first run's, tuned; two models answer as one."""
    text = continued().replace("seeds = 2", "seeds = [3]").replace("[variants.few]\n", "")
    text = text.replace('"few"', '"many"').replace("few = 80.0\n", "").replace('many = "+"', "")
    recipe, output = write_recipe(tmp_path, tiny_store, text), tmp_path / "out"
    report = run(recipe, output)
    assert report["cells_done"] == report["cells"] == 3
    chain = cells.chains_of(read_recipe(recipe))[0]
    first, second, third, words, _ = chain.cells
    vectors = [
        load_any(cell.checkpoint(output)).model.get_layer("embedding").get_weights()[0]
        for cell in (first, second, third)
    ]
    # A few steps at a small rate: each is near the one before, none is the same.
    for before, after in itertools.pairwise(vectors):
        assert 0 < np.abs(before - after).max() < 0.02
    left = {path.name for path in words.folder(output).iterdir()}
    assert left == {"result.json", "log.txt", "finetuned", "finetuned_1"}
    assert [path.name for path in words.folder(output).glob("finetuned*/*")] == ["logs"] * 2


@pytest.mark.slow
def test_several_models_answer_with_their_mean(tmp_path, tiny_store, monkeypatch):
    """The score is that of the models one by one put together by `kbert ensemble`."""
    text = RECIPE.replace("seeds = 2", "seeds = [3]").replace("epochs = 1", "epochs = 4")
    text = text.replace("[variants.few]", "[variants.few.tasks.words]\nmembers = 2")
    recipe, output = write_recipe(tmp_path, tiny_store, text), tmp_path / "out"
    chain = cells.chains_of(read_recipe(recipe))[0]
    (output / "cells").mkdir(parents=True)
    monkeypatch.setattr(running, "_clean", lambda folder: None)
    running.run_chain(chain, output)
    words = chain.tasks["words"]
    folder = words.folder(output)
    rows = [line.split("\t") for line in (tmp_path / "test.tsv").read_text().splitlines()[1:]]
    texts = [text for text, _ in rows]
    answers = [predict(folder / name, texts) for name in ("finetuned", "finetuned_1")]
    assert answers[0] != answers[1]
    right = 0
    for (_, label), *both in zip(rows, *answers, strict=True):
        mean = {name: sum(each["probabilities"][name] for each in both) for name in "01"}
        right += max(mean, key=mean.get) == label
    assert words.result(output)["scores"]["accuracy"] == right / len(rows)


@pytest.mark.slow
def test_real_cells_stopped_at_any_place_give_the_same(
    tmp_path, tiny_store, monkeypatch, unmeasured
):
    """One seed. Killed between the last step of a run and its result, which is the worst moment."""
    recipe = write_recipe(tmp_path, tiny_store, RECIPE.replace("seeds = 2", "seeds = [3]"))
    whole = run(recipe, tmp_path / "whole")
    assert whole["cells_done"] == whole["cells"] == 6
    write_json, calls = running.write_json, []

    def write(path, value):
        calls.append(path)
        if len(calls) in (1, 3):
            raise KeyboardInterrupt
        write_json(path, value)

    monkeypatch.setattr(running, "write_json", write)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(recipe, tmp_path / "out")
    assert run(recipe, tmp_path / "out") == whole


@pytest.mark.slow
def test_two_workers_find_what_one_finds(tmp_path, tiny_store, unmeasured):
    """Each with its own threads, so that sums may round in another way."""
    recipe = write_recipe(tmp_path, tiny_store, RECIPE.replace("seeds = 2", "seeds = [3]"))
    one, two = (run(recipe, tmp_path / str(count), workers=count) for count in (1, 2))
    assert two["cells_done"] == two["cells"] == 6
    for name, task in two["tasks"].items():
        for variant, found in task["variants"].items():
            expected = one["tasks"][name]["variants"][variant]["mean"]
            assert found["mean"] == pytest.approx(expected, abs=0.06), (name, variant)
