"""Each command killed a few times; campaign.py does it as often as one likes."""

import signal

import pytest

from tests.faults.campaign import campaign
from tests.faults.commands import COMMANDS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_and_given_again_the_end_is_the_same(inputs, tmp_path, name):
    assert campaign(name, inputs, tmp_path, times=4) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", COMMANDS)
def test_told_to_end_it_says_so_and_goes_on(inputs, tmp_path, name, number):
    assert campaign(name, inputs, tmp_path, times=1, seed=int(number), number=number) == []
