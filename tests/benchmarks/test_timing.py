"""The benchmarks' arithmetic: turns, medians, ratios."""

import sys

from benchmarks import timing
from benchmarks.timing import interleave, machine, summary, versions, write_results


def test_contenders_take_turns_and_the_warmup_does_not_count():
    calls = []
    contenders = {name: lambda name=name: calls.append(name) for name in "ab"}
    seconds = interleave(contenders, rounds=3, warmup=2)
    assert calls == list("ab" * 5)
    assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3}
    assert all(value >= 0 for values in seconds.values() for value in values)


def test_a_contender_may_measure_itself():
    assert interleave({"a": lambda: 7.0}, rounds=2) == {"a": [7.0, 7.0]}


def test_medians_rates_and_ratios():
    found = summary({"ours": [2.0, 1.0, 9.0], "peer": [5.0, 3.0]}, reference="peer", work=8)
    assert found["ours"] == {
        "seconds": 2.0,
        "lowest": 1.0,
        "highest": 9.0,
        "runs": 3,
        "rate": 4.0,
        "times": 2.0,
    }
    assert found["peer"]["seconds"] == 4.0 and found["peer"]["times"] == 1.0


def test_versions_here_and_in_another_environment():
    here = versions("numpy", "no-such-package")
    assert list(here) == ["numpy"]
    assert versions("numpy", "no-such-package", python=sys.executable) == here
    assert machine()["cores"] >= 1


def test_a_benchmark_runs_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(timing, "RESULTS", tmp_path)
    assert write_results("x", {"model": "tiny"}, {"a": 1, "b": 2}) == {"a": 1, "b": 2}
    assert write_results("x", {"model": "tiny"}, {"b": 3}) == {"a": 1, "b": 3}
    assert write_results("x", {"model": "base"}, {"b": 4}) == {"b": 4}
