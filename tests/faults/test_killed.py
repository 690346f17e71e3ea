"""Each command killed a few times; campaign.py does it as often as one likes."""

import pytest

from tests.faults.campaign import COMMANDS, campaign, write_inputs


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    write_inputs(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_killed_and_given_again_the_end_is_the_same(inputs, tmp_path, name):
    assert campaign(name, inputs, tmp_path, times=3) == []
