"""The phases of a run, and the mistakes in saying them."""

import pytest

from kbert.errors import DataError
from kbert.pretraining.settings import Phase, PretrainingSettings, Schedule


def phases_of(**changes):
    options = {"num_steps": 100, "batch_size": 256, "sequence_length": 128}
    return PretrainingSettings(**{**options, **changes}).phases()


def test_one_phase_is_the_whole_run():
    assert phases_of() == [Phase(0, 100, 256, 128, 0)]


def test_the_papers_recipe():
    """Nine tenths of the steps with rows of 128."""
    assert phases_of(then="90:64x512") == [
        Phase(0, 90, 256, 128, first_row=0),
        Phase(90, 100, 64, 512, first_row=90 * 256),
    ]


def test_a_ramp_of_batch_sizes_uses_every_row_once():
    """The rows of a phase begin where those of the last one end."""
    ramp = phases_of(batch_size=8, then="10:16x128,30:32x128")
    assert [phase.batch_size for phase in ramp] == [8, 16, 32]
    rows = 0
    for phase in ramp:
        assert phase.first_row == rows
        rows += (phase.end_step - phase.first_step) * phase.batch_size
    assert rows == 10 * 8 + 20 * 16 + 70 * 32


@pytest.mark.parametrize(
    "then", ["x", "90", "90:64", "90:64x", "90:0x512", "0:64x512", "90:64x512,", "9:1x5 ", "-9:1x9"]
)
def test_what_is_no_phase(then):
    with pytest.raises(DataError, match=f"STEP:ROWSxTOKENS.*90000:64x512. Received: {then}"):
        phases_of(then=then)


@pytest.mark.parametrize("then", ["100:64x512", "90:64x512,90:32x512", "50:64x512,40:32x512"])
def test_phases_must_follow_each_other(then):
    with pytest.raises(DataError, match=f"must rise, from 1 to below num_steps=100. .*{then}"):
        phases_of(then=then)


@pytest.mark.parametrize(
    ("steps", "expected"), [(1_000_000, 10_000), (100_000, 10_000), (200, 20), (9, 0), (1, 0)]
)
def test_the_warm_up_follows_the_runs_length(steps, expected):
    """The paper's 10,000 of 1,000,000, but never most of a short run."""
    assert PretrainingSettings(num_steps=steps).warmup() == expected


def test_a_warm_up_longer_than_the_run_is_refused():
    """At 200 steps of 10,000 the rate never passed 2 % of itself."""
    assert PretrainingSettings(num_steps=200, warmup_steps=200).warmup() == 200
    with pytest.raises(DataError, match="at most num_steps=200.*Received: 10000"):
        PretrainingSettings(num_steps=200, warmup_steps=10_000)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": "electra"}, "objective must be one of masked-lm-next-sentence, masked-lm, "),
        ({"masking": "words"}, "masking must be one of token, whole-word, span, low-frequency, e"),
        ({"masked_share": 0.8, "random_share": 0.3}, "at most 1 together. Received: 0.8 and 0.3"),
        ({"words": "jieba"}, "words jieba is for the maskings that choose words. Received: token"),
        ({"mask_together": True}, "mask_together is for the maskings that choose several .* token"),
        ({"teacher_share": 0.1}, "teacher_share needs a teacher. Received: 0.1"),
        ({"hidden_share": 1.0}, "hidden_share needs a teacher. Received: 1.0"),
        (
            {"objective": "left-to-right", "masking": "span"},
            "masking is for a masked LM: the objective left-to-right predicts .* Received: span",
        ),
    ],
)
def test_objectives_and_maskings_that_do_not_fit(changes, message):
    with pytest.raises(DataError, match=message):
        PretrainingSettings(**changes)


@pytest.mark.parametrize("profile", ["20", "20,10", "0,4", "1,x"])
def test_steps_that_cannot_be_profiled(profile):
    assert Schedule(profile="10,10").profile == "10,10"
    with pytest.raises(DataError, match="profile must be two numbers"):
        Schedule(profile=profile)
