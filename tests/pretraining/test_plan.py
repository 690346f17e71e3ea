"""kbert plan beside what was measured and what others have published."""

import dataclasses
import re

import pytest

from kbert.config import BertConfig
from kbert.errors import DataError
from kbert.models import build_pretraining_model
from kbert.pretraining.plan import CHIPS, Machine, beside, plan, row_bytes, step_flop
from kbert.pretraining.settings import Phase, PretrainingSettings
from tests.conftest import ROOT

VOCABULARY = 30_522


def flop(preset, rows, length):
    return step_flop(BertConfig.preset(preset, VOCABULARY), Phase(0, 1, rows, length, 0))


def test_measured_steps():
    """All steps in float32 of the table, of models of two widths with rows of two lengths."""
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    row = r"^\| (\w+), (\d+) x (\d+), float32 \| \*\*([\d,]+) ms\*\*"
    measured = re.findall(row, text, re.MULTILINE)
    assert len(measured) == 4
    for preset, rows, length, milliseconds in measured:
        config = BertConfig.preset(preset, VOCABULARY)
        settings = PretrainingSettings(batch_size=int(rows), sequence_length=int(length))
        [seconds] = plan(config, settings, Machine(chip="cpu")).step_seconds
        assert seconds == pytest.approx(float(milliseconds.replace(",", "")) / 1000, rel=0.15)


def test_a_measured_rate_in_bfloat16():
    """docs/benchmarks.md: base's step in a quiet hour, 942 ms at 594 GFLOP/s."""
    assert flop("base", 8, 128) / 594e9 == pytest.approx(0.942, rel=0.15)


# NVIDIA's DeepLearningExamples, TensorFlow2/LanguageModeling/BERT: BERT-large, sequences a second.
@pytest.mark.parametrize(
    ("chip", "length", "rows_a_second"), [("a100", 128, 485.6), ("a100", 512, 96.5)]
)
def test_the_default_utilisation_is_that_of_published_steps(chip, length, rows_a_second):
    rate = Machine(chip=chip).rate()
    assert flop("large", 1, length) / rate == pytest.approx(1 / rows_a_second, rel=0.15)


# docs/benchmarks.md, "Memory": megabytes of a row in bfloat16, without and with rematerialisation.
@pytest.mark.parametrize(
    ("preset", "length", "measured", "rematerialized"),
    [
        ("base", 128, 105, 21),
        ("base", 512, 480, 129),
        ("large", 128, 213, 37),
        ("large", 512, 1096, 236),
    ],
)
def test_measured_memory(preset, length, measured, rematerialized):
    config = BertConfig.preset(preset, VOCABULARY)
    assert row_bytes(config, length, False) / 1e6 == pytest.approx(measured, rel=0.15)
    assert row_bytes(config, length, True) / 1e6 == pytest.approx(rematerialized, rel=0.25)


def test_an_estimate_is_of_a_transformer():
    config = BertConfig.preset("tiny", 99, architecture="cnn")
    with pytest.raises(DataError, match="of a Transformer's products. Received: .* cnn"):
        plan(config, PretrainingSettings(), Machine())


def test_published_rows_take_here_what_the_plan_says():
    machine = Machine(chip="cpu", devices=4)
    run, hours, _ = beside(machine)[0]
    config = BertConfig.preset("base", machine.vocabulary_size)
    assert hours == plan(config, run.settings, machine).hours


def test_parameters_are_the_models():
    config = dataclasses.replace(BertConfig.preset("tiny", 99), max_sequence_length=16)
    found = plan(config, PretrainingSettings(), Machine()).parameters
    model = build_pretraining_model(config)
    assert found == model.count_params()


def test_a_run_is_the_sum_of_its_phases():
    config = BertConfig.preset("base", VOCABULARY)
    settings = PretrainingSettings(num_steps=100, batch_size=8, then="90:2x512")
    found = plan(config, settings, Machine(devices=2, price=3.0))
    assert (found.steps, found.tokens) == (100, 100 * 1024)
    assert found.flop == 90 * flop("base", 8, 128) + 10 * flop("base", 2, 512)
    first, second = found.step_seconds
    assert found.hours == pytest.approx((90 * first + 10 * second) / 3600)
    assert found.cost == pytest.approx(found.hours * 2 * 3.0)
    assert found.input_rate == pytest.approx(1024 / first)
    assert found.memory[0] > found.memory[1]


def test_more_chips_take_less_time_and_memory():
    config, settings = BertConfig.preset("base", VOCABULARY), PretrainingSettings()
    one, eight = (plan(config, settings, Machine(devices=number)) for number in (1, 8))
    assert eight.hours == pytest.approx(one.hours / 8)
    assert eight.memory[0] < one.memory[0]
    again = plan(config, dataclasses.replace(settings, rematerialize=True), Machine())
    assert again.hours == pytest.approx(one.hours * 4 / 3) and again.flop == one.flop


def test_published_runs_reach_less_than_the_peak():
    found = {row.published.name: row for row in beside(Machine(devices=8, chip="a100"))}
    paper, mosaic = found["BERT-base, the paper"], found["BERT-base, MosaicML"]
    assert 0.02 < paper.reached < mosaic.reached < 0.5
    assert mosaic.hours == pytest.approx(11.5 * mosaic.reached / CHIPS["a100"].utilisation)
    assert found["cramming"].hours is None
