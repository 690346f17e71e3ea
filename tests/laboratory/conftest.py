"""Grids whose cells do no work, or whose time is not measured."""

import pytest

from kbert.laboratory import ablation, running
from kbert.laboratory.grid import Finetuning, Pretraining


class _Seconds(dict):
    def __missing__(self, shape):
        return 60.0


@pytest.fixture
def unmeasured(monkeypatch):
    """Every cell takes a minute, says the plan."""
    monkeypatch.setattr(ablation, "measured", lambda chains, output: _Seconds())


@pytest.fixture
def pretend(monkeypatch, unmeasured):
    """Cells do no work: the loss and the accuracy follow the rate of masking and the seed.

    Gives the list of the cells that are run. `pretend.fail(n, error)`: the n-th raises.
    """

    class Ran(list):
        error_at = {}

        def fail(self, number, error):
            self.error_at = {number: error}

    ran = Ran()

    def run(cell, output):
        if len(ran) in ran.error_at:
            raise ran.error_at.pop(len(ran))
        ran.append(cell)
        first = cell.start or cell
        high = first.what.settings.masking_rate > 0.3
        if isinstance(cell.what, Pretraining):
            return {"scores": {"masked_lm_loss": 4.0 + high + cell.seed / 10}, "steps": 6}
        if isinstance(cell.what, Finetuning):
            score = 0.5 + 0.2 * high + cell.seed / 100
            drawn = [score - 0.01, score + 0.01] * 50
            return {"scores": {"accuracy": score}, "test_rows": 20, "drawn": drawn}
        shares = {"order": {"pairs": 12, "accuracy": 0.5}}
        return {"scores": {"accuracy": 0.5}, "drawn": [0.5] * 100, "phenomena": shares}

    monkeypatch.setattr(running, "_run", run)
    return ran
