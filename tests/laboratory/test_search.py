"""The search for placements: what is stopped, what is found, that it goes on where it stopped."""

import json

import pytest

from kbert.config import NORM_PLACEMENTS
from kbert.errors import DataError, TrainingError
from kbert.laboratory import search as module
from kbert.laboratory.ablation import ablate
from kbert.laboratory.grid import FOUND, Pretraining
from kbert.laboratory.recipe.file import read_recipe
from kbert.laboratory.search import found, search, steps_left
from tests.laboratory.small_recipe import RECIPE, write_recipe

pytest.importorskip("optuna")

SEARCH = """
[search]
trials = 12
first_steps = 2
reduction = 2

[search.pretraining]
num_steps = 8
"""


def read(tmp_path, tiny_store, change=SEARCH):
    return read_recipe(write_recipe(tmp_path, tiny_store, RECIPE + change))


@pytest.fixture
def pretend(monkeypatch):
    """Runs do no work: the loss counts the letters that are not "b". Gives (code, step) of each
    comparison; `pretend.fail(n, error)`: the n-th raises before it."""

    class Ran(list):
        error_at = {}

        def fail(self, number, error):
            self.error_at = {number: error}

    ran = Ran()

    def pretrain(store, output, config, settings, schedule, on_scores):
        output.mkdir(exist_ok=True)
        saved = output / "step"
        first = int(saved.read_text()) if saved.is_file() else 0
        code = config.norm_placement
        loss = 3.0 + sum(letter != "b" for letter in code)
        for step in range(first + schedule.validate_every, settings.num_steps + 1, 2):
            if len(ran) in ran.error_at:
                raise ran.error_at.pop(len(ran))
            ran.append((code, step))
            on_scores(step, {"masked_lm_loss": loss + 1 / step})
            saved.write_text(str(step))
        return {"held_out": {"masked_lm_loss": loss + 1 / settings.num_steps}}

    monkeypatch.setattr(module, "pretrain", pretrain)
    return ran


def test_the_best_of_those_that_were_not_behind(tmp_path, tiny_store, pretend):
    what = read(tmp_path, tiny_store).search
    assert what.start.settings.num_steps == 8 and what.settings.reduction == 2
    assert found(what, tmp_path) is None
    # To step 2 all, to 4 a half, to 8 a quarter.
    assert steps_left(what, tmp_path) == 12 * (2 + 2 / 2 + 4 / 4)
    result = search(what, tmp_path, silent=True)
    assert found(what, tmp_path) == result and steps_left(what, tmp_path) == 0
    ended = {code for code, step in pretend if step == 8}
    assert result.trials == 12 and 0 < len(ended) < 12
    assert {code for code, _ in result.best} == ended
    values = [value for _, value in result.best]
    assert values == sorted(values)
    # A run that was stopped was worse than the best that had come so far.
    for number, (code, step) in enumerate(pretend):
        if step == 4 and code not in ended:
            assert any(other in ended for other, _ in pretend[:number])
    # No two codes are one model: the last block's output is normalised in any case.
    assert all(code.split(",")[-1][1] in "aw" for code, _ in pretend)
    # No folder of a run is left, and nothing is run again.
    assert {path.name for path in tmp_path.glob("search/*/*")} == {"study.db", "log.txt"}
    count = len(pretend)
    assert search(what, tmp_path, silent=True) == result and len(pretend) == count


def test_a_search_that_was_stopped_goes_on_to_the_same_end(tmp_path, tiny_store, pretend):
    what = read(tmp_path, tiny_store).search
    whole = search(what, tmp_path / "whole", silent=True)
    compared = list(pretend)
    for number in (0, 1, 5, 11):
        del pretend[:]
        output = tmp_path / f"stopped-{number}"
        pretend.fail(number, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            search(what, output, silent=True)
        assert search(what, output, silent=True) == whole, number
        assert pretend == compared, number  # In it nothing is done twice.


@pytest.mark.parametrize("letters", [1, 2])
def test_a_search_that_was_stopped_at_a_proposal_goes_on_to_the_same_end(
    tmp_path, tiny_store, pretend, monkeypatch, letters
):
    what = read(tmp_path, tiny_store, SEARCH.replace("12", "3")).search
    whole = search(what, tmp_path / "whole", silent=True)
    compared, drawn = list(pretend), []
    real = module._proposed

    class Stopped:
        def __init__(self, trial):
            self.trial = trial

        def suggest_categorical(self, *args):
            if len(drawn) == letters:
                raise KeyboardInterrupt
            drawn.append(self.trial.suggest_categorical(*args))
            return drawn[-1]

    monkeypatch.setattr(module, "_proposed", lambda trial, layers: real(Stopped(trial), layers))
    with pytest.raises(KeyboardInterrupt):
        search(what, tmp_path / "out", silent=True)
    monkeypatch.setattr(module, "_proposed", real)
    del pretend[:]
    assert search(what, tmp_path / "out", silent=True) == whole
    assert pretend == compared


def test_more_trials_go_on_from_those_before(tmp_path, tiny_store, pretend):
    few = read(tmp_path, tiny_store, SEARCH.replace("12", "5")).search
    search(few, tmp_path, silent=True)
    count = len(pretend)
    many = read(tmp_path, tiny_store).search
    result = search(many, tmp_path, silent=True)
    again = list(pretend)
    del pretend[:]
    assert search(many, tmp_path / "whole", silent=True) == result
    assert again == pretend and len(pretend) > count
    # Another setting of the runs is another search.
    other = read(tmp_path, tiny_store, SEARCH.replace("num_steps = 8", "num_steps = 6")).search
    assert found(other, tmp_path) is None


def test_a_run_that_diverges_is_stopped_and_a_full_disk_is_no_result(tmp_path, tiny_store, pretend):
    what = read(tmp_path, tiny_store, SEARCH.replace("12", "3")).search
    pretend.fail(0, TrainingError("The loss of step 1 is nan."))
    result = search(what, tmp_path / "a", silent=True)
    assert result.trials == 3 and 1 <= result.stopped <= 2
    full = TrainingError("Step 4 cannot be saved.")
    full.__cause__ = OSError(28, "No space left on device")
    pretend.fail(len(pretend), full)
    with pytest.raises(TrainingError, match="cannot be saved"):
        search(what, tmp_path / "b", silent=True)


def test_an_ablation_has_the_winner_as_a_variant(
    tmp_path, tiny_store, pretend, monkeypatch, unmeasured, capsys
):
    """The cells too do no work: the loss counts letters that are not "b", as above."""

    def run(cell, output):
        if isinstance(cell.what, Pretraining):
            placement = cell.what.config.norm_placement
            code = NORM_PLACEMENTS.get(placement, placement)
            loss = 3.0 + sum(letter != "b" for letter in code)
            return {"scores": {"masked_lm_loss": loss}, "steps": 6}
        return {"scores": {"accuracy": 0.5}, "test_rows": 20, "drawn": [0.5] * 100}

    text = RECIPE.replace("[variants.many.pretraining]\nmasking_rate = 0.5\n", "")
    text = text.replace("many = 78.5\n", "").replace('[expected.pairs]\nmany = "+"\n', "")
    text = text[: text.index("[tasks.words]")] + text[text.index("[tasks.loss]") :]
    text = text[: text.index("[finetuning]")] + text[text.index("[variants.few]") :]
    text = text[: text.index("[paper.words]")] + f'[expected.loss]\n"{FOUND}" = "-"\n' + SEARCH
    recipe = write_recipe(tmp_path, tiny_store, text)
    monkeypatch.setattr("kbert.laboratory.running._run", run)
    report = ablate(recipe, tmp_path / "out", plan_only=True)
    assert "The search: about " in capsys.readouterr().out and not pretend
    assert FOUND not in report["variants"]
    report = ablate(recipe, tmp_path / "out", verbose=0)
    (code, value), *_ = report["search"]["best"]
    loss = report["tasks"]["loss"]["variants"]
    assert loss[FOUND]["mean"] == pytest.approx(value - 1 / 8)
    assert loss[FOUND]["mean"] < loss["few"]["mean"] and loss[FOUND]["expected"] == "-"
    assert json.loads((tmp_path / "out/report.json").read_text()) == json.loads(json.dumps(report))
    page = (tmp_path / "out/report.md").read_text()
    assert "12 placements, of which" in page and f"| {code} | {value:.3f} |" in page


def test_a_search_begins_with_new_models(tmp_path, tiny_store):
    """What goes on after the baseline's would be the baseline's, not the winner's."""
    lines = '[variants.few.tasks.words.continued]\nstore = "{store}"\n'
    text = RECIPE.replace("[variants.few]", lines) + SEARCH
    with pytest.raises(DataError, match="a baseline without continued. Received: few"):
        read_recipe(write_recipe(tmp_path, tiny_store, text))


@pytest.mark.slow
def test_a_real_search(tmp_path, tiny_store):
    what = read(tmp_path, tiny_store, SEARCH.replace("12", "4").replace("= 8", "= 4")).search
    result = search(what, tmp_path, silent=True)
    assert result.trials == 4 and result.best[0][1] == pytest.approx(4.0, abs=0.4)  # log 60


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("trials = 12", "trial = 12", "unknown key 'trial' in .search."),
        ("trials = 12", "trials = 0", "trials must be at least 1"),
        ("trials = 12", "seed = 1", "its seed must be none of seeds. Received: 1"),
        ("first_steps = 2", "first_steps = 9", "first_steps must be at most num_steps"),
        ("num_steps = 8", 'architecture = "bag"', "only a transformer has LayerNorms"),
        ("num_steps = 8", 'initialization = "corpus"', "without scaling cannot start from the"),
        ("num_steps = 8", "num_layers = 5", "expected . layers, as the baseline few has"),
        ("num_steps = 8", 'attention_score = "dot"', "may lose their scaling. Received: dot"),
        ("num_steps = 8", "save_every = 2", "line .*: save_every is set by the search itself"),
    ],
)
def test_a_mistake_is_named(tmp_path, tiny_store, old, new, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, tiny_store, SEARCH.replace(old, new))
