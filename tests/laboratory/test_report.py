"""What a grid reports: scores, differences, what failed, what does not compare."""

import re
from types import SimpleNamespace

import pytest

from kbert.errors import DataError, TrainingError
from kbert.laboratory import cells, running
from kbert.laboratory.grid import Finetuning, Pretraining
from kbert.laboratory.recipe.file import read_recipe
from kbert.laboratory.report import _metric
from kbert.tasks.classification import ClassificationTask
from kbert.tasks.question_answering import QuestionAnsweringTask
from tests.laboratory.small_recipe import RECIPE, run, write_recipe


def test_the_report(tmp_path, tiny_store, pretend):
    output = tmp_path / "out"
    recipe = write_recipe(tmp_path, tiny_store, RECIPE.replace("seeds = 2", "seeds = 5"))
    report = run(recipe, output)
    words, loss = (report["tasks"][name]["variants"]["many"] for name in ("words", "loss"))
    assert words["scores"] == {str(seed): pytest.approx(0.7 + seed / 100) for seed in range(5)}
    assert words["mean"] == pytest.approx(0.72)
    assert words["standard_deviation"] == pytest.approx(0.01581, abs=1e-5)
    assert words["difference"]["mean"] == pytest.approx(0.2)
    assert (words["paper"], words["paper_difference"], words["expected"]) == (78.5, -1.5, "-")
    assert loss["difference"]["mean"] == pytest.approx(1.0)
    page = (output / "report.md").read_text()
    assert "| many | 72.0 ± 1.6 (5) | +20.0 [+20.0, +20.0] |" in page
    overview = page[page.index("## All tasks") : page.index("## words")]
    assert re.search(r"\| few \| 52.0 ± 1.6 \(5\) \| .* \| 4.200 ± 0.158 \(5\) \|", overview)
    assert "| many | **+20.0 [+20.0, +20.0]** | +0.0 [+0.0, +0.0] | **+1.000 [" in overview
    assert re.search(r"\| 78.5 \| -1.5 \| - \| contradicts \|", page)
    assert "| many | 5.200 ± 0.158 (5) | +1.000 [+1.000, +1.000] |" in page
    assert "| order | 50.0 | 50.0 |" in page
    assert (output / "differences.png").is_file()


def test_a_run_that_is_no_better_than_an_answer_without_the_text(
    tmp_path, tiny_store, pretend, monkeypatch
):
    """Of the test rows, and by the task's first metric, whatever the score is."""
    real = running._run

    def run_cell(cell, output):
        found = real(cell, output)
        if isinstance(cell.what, Finetuning):
            accuracy = found["scores"]["accuracy"]
            found |= {"scores": {"accuracy": accuracy, "matthews": 0.3}, "trivial_score": 0.505}
        return found

    monkeypatch.setattr(running, "_run", run_cell)
    text = RECIPE.replace("epochs = 1", 'epochs = 1\nmetric = "matthews"')
    report = run(write_recipe(tmp_path, tiny_store, text), tmp_path / "out")
    words = report["tasks"]["words"]
    assert (words["metric"], words["trivial"]["metric"]) == ("matthews", "accuracy")
    assert [words["variants"][name]["failed"] for name in ("few", "many")] == [1, 0]
    page = (tmp_path / "out/report.md").read_text()
    assert "matthews in percent, 20 test rows; without the text accuracy is 50.5, and *f" in page
    assert "| few | 30.0 ± 0.0 (2, 1 failed) |" in page


def test_held_out_scores_are_of_the_same_rows_or_marked(tmp_path, tiny_store, pretend):
    more = "[variants.half.pretraining]\nbatch_size = 2\n[variants.single.pretraining]\n"
    text = RECIPE.replace("[tasks.words]", f'{more}objective = "masked-lm"\n\n[tasks.words]')
    fixed = write_recipe(tmp_path, tiny_store, text)
    report = run(fixed, tmp_path / "fixed")
    marked = {
        name for name, own in report["tasks"]["loss"]["variants"].items() if own["other_rows"]
    }
    assert marked == {"half", "single"}  # As many batches, of half the rows; other examples.
    page = (tmp_path / "fixed/report.md").read_text()
    assert "; ¹ on other rows" in page and "| half | 4.050 ± 0.071 (2) ¹ |" in page
    assert "(2) ¹" not in page[page.index("## words") : page.index("## loss")]
    assert "+0.000 ¹ |" in page[page.index("## All tasks") : page.index("## words")]
    recipe = read_recipe(
        write_recipe(tmp_path, tiny_store, text.replace("validation_batches = 2\n", ""))
    )
    batches = {name: own.start.schedule.validation_batches for name, own in recipe.variants.items()}
    assert batches == {"few": 20, "many": 20, "half": 40, "single": 20}


def test_a_report_beside_another_baseline(tmp_path, tiny_store, pretend):
    recipe, output = write_recipe(tmp_path, tiny_store), tmp_path / "out"
    run(recipe, output)
    report = run(recipe, output, baseline="many")
    assert len(pretend) == 12
    words, pairs = (report["tasks"][name]["variants"]["few"] for name in ("words", "pairs"))
    assert words["difference"]["mean"] == pytest.approx(-0.2) and words["paper_difference"] == 1.5
    assert (words["expected"], pairs["expected"]) == ("+", None)
    assert "Differences are to many" in (output / "report.md").read_text()
    with pytest.raises(DataError, match="a baseline of few, many. Received: none"):
        run(recipe, output, baseline="none")
    pairs = run(recipe, output, baseline="few")["tasks"]["pairs"]["variants"]
    assert pairs["many"]["expected"] == "+"  # The recipe's own.


@pytest.mark.parametrize(
    ("task", "metric", "factor"),
    [
        (ClassificationTask(), "accuracy", 100),
        (ClassificationTask(), "loss", 1),
        (QuestionAnsweringTask(), "f1", 1),
    ],
)
def test_shares_are_shown_in_percent_and_percentages_as_they_are(task, metric, factor):
    choice = SimpleNamespace(metric=metric)
    what = Finetuning(task, None, None, choice, False, 1, (), None, "test.tsv")
    assert _metric(what) == (metric, factor)


def test_a_score_without_an_end_is_a_failed_run(tmp_path, tiny_store, pretend, monkeypatch):
    """The perplexity of a run that has come apart without becoming NaN."""
    real = running._run

    def run_cell(cell, output):
        found = real(cell, output)
        if isinstance(cell.what, Pretraining) and cell.seed == 1:
            found["scores"]["masked_lm_loss"] = float("inf")
        return found

    monkeypatch.setattr(running, "_run", run_cell)
    report = run(write_recipe(tmp_path, tiny_store), tmp_path / "out")
    few = report["tasks"]["loss"]["variants"]["few"]
    assert list(few["scores"]) == ["0"] and few["failed"] == 1
    assert " (1, 1 failed) |" in (tmp_path / "out/report.md").read_text()


def test_a_run_that_diverges_is_counted_and_its_tasks_have_no_score(
    tmp_path, tiny_store, pretend, monkeypatch
):
    real = running._run

    def run_cell(cell, output):
        if isinstance(cell.what, Pretraining) and cell.what.settings.masking_rate > 0.3:
            raise TrainingError("The loss of step 3 is nan.")
        if isinstance(cell.start, cells.Cell) and cell.start.result(output)["error"]:
            return {"error": "as before", "scores": {}}
        return real(cell, output)

    monkeypatch.setattr(running, "_run", run_cell)
    report = run(write_recipe(tmp_path, tiny_store), tmp_path / "out")
    assert report["variants"]["many"]["diverged"] == 2
    assert report["tasks"]["words"]["variants"]["many"]["difference"] is None
    assert "| many | all failed |" in (tmp_path / "out/report.md").read_text()
