"""pretrain(): what it refuses before it trains, what it leaves, and how it goes on."""

import dataclasses
import errno
import json
import os
import shutil

import keras
import numpy as np
import pytest
import safetensors.numpy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from kbert import BertConfig, build_encoder, build_pretraining_model, load
from kbert.corpus.store import TokenStore
from kbert.engine import tensorflow
from kbert.errors import DataError, TrainingError
from kbert.files import locked
from kbert.pretraining.rows import PretrainingRows
from kbert.pretraining.run import pretrain
from kbert.pretraining.settings import PretrainingSettings, Schedule
from kbert.tasks.classification import ClassificationTask
from tests.small_store import random_documents, write_store

SETTINGS = PretrainingSettings(
    num_steps=12, batch_size=4, sequence_length=16, learning_rate=1e-2, warmup_steps=2
)
# At a rate of nearly 0 the weights at the end are those at the start.
STILL = dataclasses.replace(SETTINGS, num_steps=1, warmup_steps=0, learning_rate=1e-12)
SCHEDULE = Schedule(log_every=3, validate_every=6, validation_batches=2, save_every=4, keep=2)


@pytest.fixture(scope="module")
def store(tiny_store):
    return TokenStore(tiny_store)


@pytest.fixture(scope="module")
def config(store):
    """One layer, with the paper's dropout."""
    return BertConfig(
        len(store.vocabulary),
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        max_sequence_length=16,
    )


@pytest.fixture(scope="module")
def finished(store, config, tmp_path_factory):
    """A whole run and its summary."""
    run = tmp_path_factory.mktemp("runs") / "run"
    return run, pretrain(store, run, config, SETTINGS, SCHEDULE)


@pytest.fixture
def without_xla(monkeypatch):
    """A third of a short run's time is XLA's; what is not compared bit for bit does without."""
    monkeypatch.setattr(tensorflow, "compile_whole_step", lambda: False)


uncompiled = pytest.mark.usefixtures("without_xla")


@pytest.fixture
def copy(finished, tmp_path):
    """The run as it was before its end: without the final checkpoint."""
    run = tmp_path / "run"
    shutil.copytree(finished[0], run)
    for name in ("model.safetensors", "config.json", "vocab.txt"):
        (run / name).unlink()
    return run


def weights(folder):
    return safetensors.numpy.load_file(folder / "model.safetensors")


def assert_same_bits(one, two):
    one, two = weights(one), weights(two)
    assert set(one) == set(two)
    for name, array in one.items():
        assert array.tobytes() == two[name].tobytes(), name


def test_summary_and_files(finished, config):
    run, summary = finished
    assert summary["steps"] == 12 and summary["first_step"] == 0
    assert summary["held_out"]["loss"] > 0
    assert [folder.name for folder in sorted((run / "steps").iterdir())] == ["00000008", "00000012"]
    checkpoint = load(run)
    assert checkpoint.config == config and checkpoint.task is None
    assert set(checkpoint.model.output) == {"masked_lm", "next_sentence"}
    assert_same_bits(run, run / "steps" / "00000012")


def test_curves(finished):
    events = EventAccumulator(str(finished[0] / "logs")).Reload()
    points = {
        name: {e.step: float(make_ndarray(e.tensor_proto)) for e in events.Tensors(name)}
        for name in events.Tags()["tensors"]
        if name.startswith(("train/", "held_out/"))
    }
    losses = ["loss", "masked_lm_loss", "masked_lm_accuracy"]
    losses += ["next_sentence_loss", "next_sentence_accuracy"]
    for name in [*losses, "learning_rate", "gradient_norm", "loss_scale", "tokens_per_second"]:
        assert list(points[f"train/{name}"]) == [3, 6, 9, 12]
    for name in losses:
        assert list(points[f"held_out/{name}"]) == [6, 12]
    # Warm-up 2 of 12 steps: rates 1/2, 1, 10/11 of 1e-2 in the first three steps.
    assert points["train/learning_rate"][3] == pytest.approx(1e-2 * (0.5 + 1 + 10 / 11) / 3)
    assert points["held_out/loss"][12] == pytest.approx(finished[1]["held_out"]["loss"])
    assert "_hparams_/session_start_info" in events.summary_metadata
    assert [event.step for event in events.Tensors("watched/fill_mask")] == [6, 12]


@pytest.mark.parametrize("damage", ["truncated", "gone"])
def test_a_damaged_newest_save_is_passed_over_and_the_end_is_the_same(
    copy, finished, store, config, capsys, damage
):
    """Resumed at step 8 instead of 12: bit for bit the run that was never stopped."""
    newest = copy / "steps" / "00000012" / "training.safetensors"
    newest.write_bytes(newest.read_bytes()[:-9]) if damage == "truncated" else newest.unlink()
    summary = pretrain(store, copy, config, SETTINGS, SCHEDULE)
    assert summary["first_step"] == 8
    assert "00000012 cannot be resumed" in capsys.readouterr().out
    assert_same_bits(copy, finished[0])
    assert summary["held_out"] == finished[1]["held_out"]


# Their masks depend on the step, too.
PHASES = dataclasses.replace(
    SETTINGS, num_steps=8, then="4:2x32", masking="span", masking_rate=0.4, final_masking_rate=0.1
)


@pytest.fixture(scope="module")
def two_phases(store, config, tmp_path_factory):
    """Four steps of 4 rows of 16, then four of 2 rows of 32, with saves at 3, 4, 6 and 8."""
    run = tmp_path_factory.mktemp("runs") / "run"
    longer = dataclasses.replace(config, max_sequence_length=32)
    schedule = dataclasses.replace(SCHEDULE, save_every=3, log_every=1, validate_every=4, keep=9)
    summary = pretrain(store, run, longer, PHASES, schedule)
    assert summary["steps"] == 8
    return run, longer, schedule, summary


def test_a_change_of_rows_keeps_the_optimizer_and_the_rate(two_phases):
    """One line of learning rates over both phases; scores at the end of each."""
    run, *_, summary = two_phases
    assert [int(folder.name) for folder in sorted((run / "steps").iterdir())] == [3, 4, 6, 8]
    events = EventAccumulator(str(run / "logs")).Reload()
    rates = [float(make_ndarray(e.tensor_proto)) for e in events.Tensors("train/learning_rate")]
    expected = np.array([1 / 2, 1, 6 / 7, 5 / 7, 4 / 7, 3 / 7, 2 / 7, 1 / 7])
    np.testing.assert_allclose(rates, 1e-2 * expected, rtol=1e-5)
    assert [e.step for e in events.Tensors("held_out/loss")] == [4, 8]
    assert summary["held_out"]["loss"] > 0


@pytest.mark.parametrize("step", [pytest.param(3, marks=pytest.mark.slow), 6])
def test_resumed_before_and_after_the_change_ends_bit_for_bit_the_same(
    two_phases, store, tmp_path, step
):
    run, config, schedule, summary = two_phases
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "model.safetensors").unlink()
    for folder in (copy / "steps").iterdir():
        if int(folder.name) > step:
            shutil.rmtree(folder)
    resumed = pretrain(store, copy, config, PHASES, schedule)
    assert resumed["first_step"] == step
    assert_same_bits(copy, run)
    assert resumed["held_out"] == summary["held_out"]


def test_a_finished_run_only_writes_its_checkpoint_again(copy, finished, store, config):
    summary = pretrain(store, copy, config, SETTINGS, SCHEDULE)
    assert summary["first_step"] == 12
    assert_same_bits(copy, finished[0])


def test_an_output_has_one_process(tmp_path, store, config):
    with locked(tmp_path / "run"), pytest.raises(DataError, match="Another process is writing"):
        pretrain(store, tmp_path / "run", config, SETTINGS, SCHEDULE)
    assert not (tmp_path / "run").exists()


@uncompiled
def test_without_held_out_text_a_run_has_no_scores(tmp_path, config, tiny_vocabulary, capsys):
    documents = random_documents(12, len(tiny_vocabulary), seed=7)
    store = TokenStore(write_store(tmp_path / "store", documents, [], tiny_vocabulary))
    settings = dataclasses.replace(SETTINGS, num_steps=2)
    summary = pretrain(store, tmp_path / "run", config, settings, SCHEDULE)
    assert summary == {"first_step": 0, "steps": 2, "held_out": {}}
    assert "Not scored: the store holds out fewer than 2 documents." in capsys.readouterr().out
    assert load(tmp_path / "run").config == config


@uncompiled
def test_a_full_disk_is_a_sentence(tmp_path, store, config, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "model.safetensors")

    monkeypatch.setattr("kbert.pretraining.run.save_step", full)
    with pytest.raises(TrainingError, match="Step 4 cannot be saved: .*No space left on device"):
        pretrain(store, tmp_path / "run", config, SETTINGS, SCHEDULE)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 6, "accumulate": 4}, "The batch size must be a multiple of .* 1 x 4"),
        ({"precision": "int8"}, "precision must be one of"),
        ({"sequence_length": 17}, "at most max_sequence_length=16 .* sequence_length=17"),
        ({"then": "6:4x8,8:4x18"}, "at most max_sequence_length=16 .* sequence_length=18"),
    ],
)
def test_a_mistake_leaves_the_folder_free(tmp_path, store, config, changes, message):
    """The corrected command is not refused for the settings of the one that never ran."""
    with pytest.raises(DataError, match=message):
        pretrain(store, tmp_path / "run", config, dataclasses.replace(SETTINGS, **changes))
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_vocabulary_of_another_size_is_refused(tmp_path, store, config):
    other = dataclasses.replace(config, vocabulary_size=99)
    with pytest.raises(DataError, match="60 pieces of the store .* vocabulary_size=99"):
        pretrain(store, tmp_path / "run", other, SETTINGS)


def test_what_only_blocks_of_a_transformer_read_is_refused(tmp_path, store, config):
    settings = dataclasses.replace(SETTINGS, rematerialize=True)
    lstm = dataclasses.replace(config, architecture="bilstm")
    with pytest.raises(DataError, match="rematerialize needs blocks of a Transformer"):
        pretrain(store, tmp_path / "run", lstm, settings)


@uncompiled
def test_a_loss_that_is_no_number_stops_the_run(tmp_path, store, config):
    """With weights of 1e30 already the first loss is none."""
    start = build_pretraining_model(config)
    for weight in start.weights:
        weight.assign(np.full(weight.shape, 1e30))
    settings = dataclasses.replace(SETTINGS, num_steps=3)
    with pytest.raises(TrainingError, match="of step 1 is (nan|inf).*last good checkpoint is none"):
        pretrain(store, tmp_path / "run", config, settings, SCHEDULE, start=start)
    assert not (tmp_path / "run" / "model.safetensors").exists()


def lost_of(start, run):
    """The weights that a run at a rate of nearly 0 has not kept of its start; others are equal."""
    after = weights(run)
    for weight in start.weights:
        if weight.path in after:
            np.testing.assert_allclose(after[weight.path], weight.numpy(), atol=1e-9)
    return {weight.path for weight in start.weights} - set(after)


@uncompiled
@pytest.mark.parametrize("output_layer", [None, "classifier"])
def test_goes_on_with_an_encoder(tmp_path, store, config, capsys, output_layer):
    """Heads begin anew, and the output layer of a fine-tuned model is left behind."""
    keras.utils.set_random_seed(5)
    start = build_encoder(config)
    if output_layer:
        start = ClassificationTask(labels=("a", "b")).build_model(start)
    pretrain(store, tmp_path / "run", config, STILL, SCHEDULE, start=start)
    lost = {path.split("/")[0] for path in lost_of(start, tmp_path / "run")}
    assert lost == ({output_layer} if output_layer else set())
    out = capsys.readouterr().out
    assert "lacks it: masked_lm_bias, masked_lm_head, next_sentence_head." in out
    assert (f"Not kept of the start, an output layer: {output_layer}." in out) == bool(lost)
    assert ("Not kept of the start" in out) == bool(lost)


@uncompiled
def test_every_objective_trains_and_says_what_it_is(tmp_path, store, config, capsys):
    """A left-to-right run from nothing; from it one of sentence order, by what both have."""
    settings = dataclasses.replace(SETTINGS, num_steps=2, objective="left-to-right")
    with pytest.raises(DataError, match="must have the direction left"):
        pretrain(store, tmp_path / "left", config, settings, SCHEDULE)
    left = dataclasses.replace(config, direction="left")
    summary = pretrain(store, tmp_path / "left", left, settings, SCHEDULE)
    losses = {"loss", "next_token_loss", "next_token_accuracy", "next_token_perplexity"}
    assert set(summary["held_out"]) == losses
    events = EventAccumulator(str(tmp_path / "left" / "logs")).Reload()
    assert {f"held_out/{name}" for name in losses} <= set(events.Tags()["tensors"])
    start = load(tmp_path / "left")
    assert set(start.model.output) == {"next_token"} and start.config == left
    other = dataclasses.replace(settings, objective="masked-lm-sentence-order")
    with pytest.raises(DataError, match="objective was 'left-to-right', now 'masked-lm-sentence-o"):
        pretrain(store, tmp_path / "left", left, other, SCHEDULE)
    pretrain(store, tmp_path / "order", config, other, SCHEDULE, start=start.model)
    assert "the start lacks it: pooler, sentence_order_head." in capsys.readouterr().out
    assert set(load(tmp_path / "order").model.output) == {"masked_lm", "sentence_order"}


@uncompiled
def test_both_directions_of_elmo(tmp_path, store, config):
    """Trained, scored and loaded as the others; each direction has scores of its own."""
    apart = dataclasses.replace(config, architecture="bilstm", direction="apart")
    settings = dataclasses.replace(SETTINGS, num_steps=2, objective="two-directional")
    summary = pretrain(store, tmp_path / "elmo", apart, settings, SCHEDULE)
    heads = ("next_token", "previous_token")
    kinds = ("loss", "accuracy", "perplexity")
    losses = {"loss", *(f"{head}_{kind}" for head in heads for kind in kinds)}
    assert set(summary["held_out"]) == losses
    events = EventAccumulator(str(tmp_path / "elmo" / "logs")).Reload()
    assert {f"held_out/{name}" for name in losses} <= set(events.Tags()["tensors"])
    elmo = load(tmp_path / "elmo")
    assert set(elmo.model.output) == set(heads) and elmo.config == apart


@pytest.fixture(scope="module")
def of_texts(store, config, tmp_path_factory):
    """A masked LM of single texts, nearly as it began, and its summary."""
    run = tmp_path_factory.mktemp("runs") / "texts"
    settings = dataclasses.replace(STILL, objective="masked-lm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensorflow, "compile_whole_step", lambda: False)
        return run, pretrain(store, run, config, settings, SCHEDULE)


@uncompiled
def test_single_sentences_are_learned_from_and_texts_are_scored(tmp_path, store, config, of_texts):
    """One row a sentence; held-out scores compare with those of any masked LM."""
    settings = dataclasses.replace(STILL, objective="masked-lm")
    sentences = dataclasses.replace(settings, single_sentences=True, packing=False)
    rows = {
        name: PretrainingRows(
            store,
            "train",
            own.built(store),
            sequence_length=own.sequence_length,
            batch_size=own.batch_size,
            seed=0,
            packing=False,
        )
        for name, own in (("texts", settings), ("sentences", sentences))
    }
    lengths = {name: own.batch(0)[0]["padding_mask"].sum(axis=1) for name, own in rows.items()}
    longest = np.diff(store["train"].sentences).max()
    assert lengths["sentences"].max() <= longest + 2 < lengths["texts"].max()
    found = pretrain(store, tmp_path / "sentences", config, sentences, SCHEDULE)["held_out"]
    expected = of_texts[1]["held_out"]["masked_lm_loss"]
    assert found["masked_lm_loss"] == pytest.approx(expected, rel=1e-4)
    with pytest.raises(DataError, match="single_sentences is not for masked-lm-next-sentence"):
        PretrainingSettings(single_sentences=True)
    with pytest.raises(DataError, match="short_probability needs examples of more than a sent"):
        PretrainingSettings(objective="masked-lm", single_sentences=True, short_probability=0.5)


@uncompiled
def test_second_texts_find_a_segment_that_is_trained(tmp_path, store, config, finished, of_texts):
    """Single texts are all of the first segment; what knew pairs keeps its second one."""

    def table(folder):
        return weights(folder)["embedding/segment_table"]

    def after(start, **changes):
        changes |= {"objective": "masked-lm", "num_steps": 1, "warmup_steps": 0}
        settings, run = dataclasses.replace(SETTINGS, **changes), tmp_path / start.parent.name
        pretrain(store, run, config, settings, SCHEDULE, start=load(start).model)
        return table(run)

    first, second = table(of_texts[0])
    np.testing.assert_array_equal(first, second)
    further, again = after(of_texts[0], seed=1)
    np.testing.assert_array_equal(further, again)
    assert np.abs(further - first).max() > 0
    first, second = table(finished[0])
    assert np.abs(first - second).max() > 0
    _, kept = after(finished[0], weight_decay=0.0)
    np.testing.assert_array_equal(kept, second)


@uncompiled
def test_a_run_goes_on_from_its_own_start_alone(tmp_path, store, config, capsys):
    """Of a pre-training model it keeps all."""
    start, other = build_pretraining_model(config), build_pretraining_model(config)
    for _ in range(2):
        pretrain(store, tmp_path / "run", config, STILL, SCHEDULE, start=start)
    assert not lost_of(start, tmp_path / "run")
    out = capsys.readouterr().out
    assert "Begins anew" not in out and "Not kept" not in out
    for another in (other, None):
        with pytest.raises(DataError, match="start was 'crc32:[0-9a-f]{8}', now"):
            pretrain(store, tmp_path / "run", config, STILL, SCHEDULE, start=another)


@pytest.mark.parametrize("name", ["num_steps", "batch_size", "accumulate", "clip_norm"])
def test_impossible_settings(name):
    with pytest.raises(DataError, match=f"{name} must be .* Received: 0"):
        PretrainingSettings(**{name: 0})
    with pytest.raises(DataError, match="save_every must be at least 1. Received: 0"):
        Schedule(save_every=0)
    with pytest.raises(DataError, match="profile must be two numbers"):
        Schedule(profile="5")


def test_run_json_tells_what_ran(finished, config):
    told = json.loads((finished[0] / "run.json").read_text())
    assert told["config"] == config.to_dict()
    assert told["settings"] == dataclasses.asdict(SETTINGS) | {"start": None}
