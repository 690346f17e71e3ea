"""What becomes of a run's folder where its block fails."""

import pytest

from kbert.claim import claimed
from kbert.errors import DataError, RunnerError


def test_what_a_failed_runner_did_is_there_for_the_next_try(tmp_path):
    output, wanted = tmp_path / "out", {"job": {"files": "a"}}
    with pytest.raises(RunnerError), claimed(output, wanted) as folder:
        (folder / "part").touch()
        raise RunnerError("The cluster is gone.")
    with claimed(output, wanted) as folder:
        assert (folder / "part").exists()
    assert not folder.exists()


def test_what_wrong_input_left_is_removed(tmp_path):
    with pytest.raises(DataError), claimed(tmp_path / "out", {"job": {}}) as folder:
        raise DataError("a.txt has no words.")
    assert not folder.exists()
