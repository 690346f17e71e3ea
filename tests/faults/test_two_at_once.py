"""Two processes on one output: one writes it, the other is refused or finds it done."""

import pytest

from tests.faults.commands import COMMANDS, digests
from tests.faults.processes import Started, run

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", COMMANDS)
def test_two_at_once(inputs, tmp_path, name):
    command = COMMANDS[name]
    assert run(command.line(inputs, tmp_path / "whole")).code == 0
    both = [Started(command.line(inputs, tmp_path / "output")) for _ in range(2)]
    ended = [process.ended() for process in both]
    assert 0 in {each.code for each in ended}, ended
    for each in ended:
        assert each.code == 0 or (each.code == 1 and each.is_a_sentence), each
    assert digests(command, tmp_path / "output") == digests(command, tmp_path / "whole")
    assert not [path for path in tmp_path.rglob("*.tmp")]
