"""Restarts and sweeps: what is run, what goes on after a stop, which run is kept, what failed."""

import dataclasses
import json
import math
import shutil

import pytest
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

from kbert import evaluate, finetune, load, save
from kbert.checkpoints.formats import load_finetuned
from kbert.claim import unfinished
from kbert.errors import DataError, TrainingError
from kbert.finetuning import several_runs
from kbert.finetuning.settings import FinetuningSettings
from kbert.finetuning.several_runs import finetune_several, grid, seeds
from kbert.finetuning.summary import summary_lines
from kbert.tasks.classification import ClassificationTask
from tests.tiny_checkpoint import write_checkpoint, write_rows

TASK = ClassificationTask(dropout=0.0, sequence_length=16)
SETTINGS = FinetuningSettings(epochs=1, batch_size=16, learning_rate=5e-3, encoder_dropout=0.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    write_checkpoint(folder / "start")
    write_rows(folder / "train.tsv", 48, seed=1)
    write_rows(folder / "dev.tsv", 31, seed=2)  # 16 are "bad", so the majority is 16/31
    return folder


def several(folder, output, changes, settings=SETTINGS, **options):
    return finetune_several(
        TASK,
        folder / "start",
        folder / "train.tsv",
        output,
        settings,
        changes,
        **{"validation_path": folder / "dev.tsv", "verbose": 0, **options},
    )


@pytest.fixture
def pretend(monkeypatch):
    """`pretend(scores)`: runs do no work; a run's accuracy is its seed's. Returns the seeds run.

    A score may be an exception to raise.
    """

    def replace(scores):
        ran = []

        def finetune_on(rows, checkpoint, output, settings, *_):
            ran.append(settings.seed)
            score = scores[settings.seed]
            if isinstance(score, BaseException):
                (unfinished(output) / "logs").mkdir(parents=True)
                raise score
            output.mkdir(parents=True)
            for name in ("task.json", "config.json", "vocab.txt", "model.safetensors"):
                (output / name).write_text(f"{name} of {settings.seed}")
            summary = {**dataclasses.asdict(settings), "best_epoch": 1, "seconds": 0.1}
            summary["scores"] = {"accuracy": score, "loss": 1 - score}
            (output / "finetune.json").write_text(json.dumps(summary))

        monkeypatch.setattr(several_runs, "finetune_on", finetune_on)
        return ran

    return replace


def test_names_of_runs():
    assert seeds(3, 2) == {"seed=3": {"seed": 3}, "seed=4": {"seed": 4}}
    cells = grid({"batch_size": [16, 32], "learning_rate": [5e-5]})
    assert cells["batch_size=32,learning_rate=5e-05"] == {"batch_size": 32, "learning_rate": 5e-5}
    assert len(cells) == 2
    with pytest.raises(DataError, match="one seed at least"):
        seeds(0, 0)


def test_mean_deviation_best_and_failed(folder, tmp_path, pretend):
    majority = 16 / 31
    pretend([0.7, majority, TrainingError("The loss became nan."), 0.9, 0.4])
    report = several(folder, tmp_path / "out", seeds(0, 5))
    assert report["best"] == "seed=3"
    assert report["trivial_score"] == majority
    failed = [name for name, run in report["runs"].items() if run["failed"]]
    assert failed == ["seed=1", "seed=2", "seed=4"] and report["failed"] == 3
    assert report["runs"]["seed=2"]["error"] == "The loss became nan."
    scores = [0.7, majority, 0.9, 0.4]
    mean = sum(scores) / 4
    deviation = math.sqrt(sum((score - mean) ** 2 for score in scores) / 3)
    assert report["mean"]["accuracy"] == pytest.approx(mean)
    assert report["standard_deviation"]["accuracy"] == pytest.approx(deviation)
    assert json.loads((tmp_path / "out/runs.json").read_text()) == report


def test_the_best_checkpoint_is_kept_alone(folder, tmp_path, pretend):
    pretend([0.7, 0.9, 0.9])
    output = tmp_path / "out"
    several(folder, output, seeds(0, 3))
    assert (output / "model.safetensors").read_text() == "model.safetensors of 1"
    assert (output / "task.json").read_text() == "task.json of 1"
    assert json.loads((output / "finetune.json").read_text())["seed"] == 1
    left = sorted(str(p.relative_to(output)) for p in output.glob("runs/*/*"))
    assert left == [f"runs/seed={seed}/finetune.json" for seed in range(3)]
    # By loss the lower one is the better.
    lowest = several(folder, tmp_path / "loss", seeds(0, 2), metric="loss")
    assert lowest["best"] == "seed=1"


def test_stopped_and_started_again_it_does_what_is_missing(folder, tmp_path, pretend):
    output, scores = tmp_path / "out", [0.9, KeyboardInterrupt(), 0.6]
    ran = pretend(scores)
    with pytest.raises(KeyboardInterrupt):
        several(folder, output, seeds(0, 3))
    scores[1] = 0.8
    report = several(folder, output, seeds(0, 3))
    assert ran == [0, 1, 1, 2] and report["best"] == "seed=0"
    # More seeds go on as well, and nothing is done twice.
    scores.append(0.95)
    report = several(folder, output, seeds(0, 4))
    assert ran[4:] == [3] and report["best"] == "seed=3"
    assert (output / "model.safetensors").read_text() == "model.safetensors of 3"
    # Overwritten it begins from the start.
    several(folder, output, seeds(0, 1), overwrite=True)
    assert ran[5:] == [0]


def test_other_rows_in_the_same_file_are_other_runs(folder, tmp_path, pretend):
    output, train = tmp_path / "out", folder / "changed.tsv"
    write_rows(train, 48, seed=1)
    scores = [0.9, KeyboardInterrupt()]
    ran = pretend(scores)

    def call(**options):
        files = folder / "start", train, output
        more = {"validation_path": folder / "dev.tsv", "verbose": 0, **options}
        return finetune_several(TASK, *files, SETTINGS, seeds(0, 2), **more)

    with pytest.raises(KeyboardInterrupt):
        call()
    write_rows(train, 48, seed=3)
    with pytest.raises(DataError, match="runs with another digest of the rows"):
        call()
    scores[1] = 0.8
    call(overwrite=True)
    assert ran == [0, 1, 0, 1]  # None of the earlier rows is left.


def test_another_start_is_another_run_and_how_often_it_saves_is_none(folder, tmp_path, pretend):
    shutil.copytree(folder / "start", tmp_path / "start")
    scores = [0.9, KeyboardInterrupt()]
    pretend(scores)

    def call(settings=SETTINGS):
        files = tmp_path / "start", folder / "train.tsv", tmp_path / "out"
        more = {"validation_path": folder / "dev.tsv", "verbose": 0}
        return finetune_several(TASK, *files, settings, seeds(0, 2), **more)

    with pytest.raises(KeyboardInterrupt):
        call()
    scores[1] = 0.8
    other = load(tmp_path / "start")
    other.model.weights[0].assign(other.model.weights[0] + 1)
    shutil.rmtree(tmp_path / "start")
    save(tmp_path / "start", other)
    with pytest.raises(DataError, match="runs with another digest of the start"):
        call()
    shutil.rmtree(tmp_path / "start")
    shutil.copytree(folder / "start", tmp_path / "start")
    assert call(dataclasses.replace(SETTINGS, log_every=7, save_every=3))["best"] == "seed=0"


def test_the_output_may_be_the_current_folder(folder, tmp_path, pretend, monkeypatch):
    pretend([0.9])
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    several(folder, ".", seeds(0, 1))
    assert (tmp_path / "here/model.safetensors").read_text() == "model.safetensors of 0"
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_other_runs_are_refused(folder, tmp_path, pretend):
    pretend([0.9, 0.8])
    output = tmp_path / "out"
    several(folder, output, seeds(0, 2))
    other = dataclasses.replace(SETTINGS, layer_decay=0.9)
    with pytest.raises(DataError, match="runs with another layer_decay"):
        several(folder, output, seeds(0, 2), other)
    with pytest.raises(DataError, match="runs with another rows_drawn_by, digest .*, limit"):
        several(folder, output, seeds(1, 2), dataclasses.replace(SETTINGS, seed=1), limit=40)
    (output / "runs.json").write_text("{}")
    with pytest.raises(DataError, match="does not say what runs"):
        several(folder, output, seeds(0, 2))
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    with pytest.raises(DataError, match="is not empty"):
        several(folder, tmp_path / "full", seeds(0, 2))
    with pytest.raises(DataError, match="held-out rows"):
        several(folder, tmp_path / "new", seeds(0, 2), validation_path=None, validation_share=0.0)
    assert not (tmp_path / "new").exists()


def test_no_run_has_a_score(folder, tmp_path, pretend):
    pretend([TrainingError("nan"), TrainingError("nan")])
    with pytest.raises(TrainingError, match="None of 2 runs has a score"):
        several(folder, tmp_path / "out", seeds(0, 2))


@pytest.fixture(scope="module")
def two_rates(folder):
    return several(folder, folder / "rates", grid({"learning_rate": [5e-3, 1e-7]}))


def test_the_record_has_the_command_of_all_runs(folder, tmp_path, two_rates):
    record = json.loads((folder / "rates" / "finetune.json").read_text())
    expected = f"--learning-rate 0.005 1e-07 --output {folder / 'rates'}"
    assert record["command"].startswith("kbert sweep classification --from ")
    assert record["command"].endswith(expected)
    settings = dataclasses.replace(SETTINGS, max_steps=1, seed=4)
    several(folder, tmp_path / "seeds", seeds(4, 2), settings)
    for name in ("finetune.json", "runs/seed=5/finetune.json"):
        record = json.loads((tmp_path / "seeds" / name).read_text())
        assert record["command"].startswith("kbert finetune classification --from ")
        assert record["command"].endswith(f"--seed 4 --seeds 2 --output {tmp_path / 'seeds'}")


def test_a_run_is_that_of_finetune(folder, two_rates):
    name = "learning_rate=0.005"
    alone = finetune(
        TASK,
        folder / "start",
        folder / "train.tsv",
        folder / "alone",
        SETTINGS,
        validation_path=folder / "dev.tsv",
        verbose=0,
    )
    assert two_rates["runs"][name]["scores"]["loss"] == alone["scores"]["loss"]
    checkpoint = load_finetuned(folder / "rates")
    scores = evaluate(checkpoint.task, checkpoint, folder / "dev.tsv")
    assert scores["loss"] == pytest.approx(
        two_rates["runs"][two_rates["best"]]["scores"]["loss"], abs=1e-5
    )


def test_tensorboard_shows_the_runs_as_hyperparameters(folder, two_rates):
    """Read by the HParams plugin itself."""
    events = EventMultiplexer().AddRunsFromDirectory(str(folder / "rates/runs"))
    events.Reload()
    provider = MultiplexerDataProvider(events, str(folder / "rates/runs"))
    context, request = backend_context.Context(TBContext(data_provider=provider)), RequestContext()
    metadata = context.hparams_metadata(request, "")
    experiment = context.experiment_from_metadata(
        request, "", True, metadata, provider.list_hyperparameters(request, experiment_ids=[""])
    )
    names = {info.name for info in experiment.hparam_infos}
    assert {"learning_rate", "batch_size", "epochs", "layer_decay"} <= names
    metrics = {info.name.tag for info in experiment.metric_infos}
    assert {"kept/accuracy", "kept/loss"} <= metrics
    question = api_pb2.ListSessionGroupsRequest(
        allowed_statuses=[api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_RUNNING], slice_size=10
    )
    found = list_session_groups.Handler(request, context, "", question).run()
    rates = {group.hparams["learning_rate"].number_value for group in found.session_groups}
    assert rates == {5e-3, 1e-7}


def test_what_a_failed_run_is_compared_by():
    """Of pairs without scores a similarity has no correlation, but ranks."""
    names = ("train", "validation")
    summary = {f"{name}_{what}": 0 for name in names for what in ("rows", "rows_cut")}
    summary |= {f"{name}_counts": {} for name in names}
    summary |= {"task": "similarity", "output_layer": "new", "best_epoch": 1, "epochs": 1}
    summary |= {"learning_rate": 1e-3, "steps": 1, "seconds": 1.0, "failed": True}
    summary |= {"scores": {"mrr": 0.01}, "trivial_score": 0.02}
    assert "ignores the text (mrr 0.0200)" in summary_lines(summary)[-1]
