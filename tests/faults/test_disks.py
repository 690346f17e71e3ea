"""Disks that are full, forbidden or gone: a sentence, nothing half written, and it goes on."""

import errno
import functools
import shutil
import signal
import time

import pytest

from tests.faults import disks
from tests.faults.commands import COMMANDS, digests
from tests.faults.processes import Started, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def mounts():
    if not disks.may_mount():
        pytest.skip("this system lets no process mount for itself")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_small_disk(mounts, inputs, tmp_path, name):
    """No room for what the command writes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    line = COMMANDS[name].line(inputs, disk / "output")
    ended = run(line, functools.partial(disks.small, str(disk), 2))
    assert ended.code == 1 and ended.is_a_sentence, ended
    assert str(disk) in ended.error
    assert "No space left on device" in ended.error or "no room left" in ended.error


@pytest.mark.parametrize("name", COMMANDS)
def test_a_disk_that_may_only_be_read(mounts, inputs, tmp_path, name):
    disk = tmp_path / "disk"
    disk.mkdir()
    line = COMMANDS[name].line(inputs, disk / "output")
    ended = run(line, functools.partial(disks.read_only, str(disk)))
    assert ended.code == 1 and ended.is_a_sentence, ended
    assert str(disk) in ended.error


@pytest.mark.parametrize("name", COMMANDS)
def test_a_quota_is_used_up_and_then_raised(inputs, tmp_path, name):
    """The same command goes on, to what a run with room makes."""
    command, output = COMMANDS[name], tmp_path / "output"
    line = command.line(inputs, output)
    ended = run(line, functools.partial(disks.over_quota, errno.EDQUOT))
    assert ended.code == 1 and ended.is_a_sentence, ended
    assert "quota" in ended.error or "room" in ended.error
    assert not any(path.suffix == ".tmp" for path in tmp_path.rglob("*"))
    again = run(line)
    assert again.code == 0, again
    assert run(command.line(inputs, tmp_path / "whole")).code == 0
    assert digests(command, output) == digests(command, tmp_path / "whole")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_folder_that_vanishes(inputs, tmp_path, name):
    """The folder of the output is removed while the command works, as an unmounted disk is."""
    command, folder = COMMANDS[name], tmp_path / "folder"
    folder.mkdir()
    process = Started(command.line(inputs, folder / "output"))
    while not any(folder.iterdir()) and (ended := process.ended(0)) is None:
        time.sleep(0.001)
    for _ in range(100):  # While it writes there.
        shutil.rmtree(folder, ignore_errors=True)
    ended = process.ended(120)
    if ended is None:
        process.send(signal.SIGKILL)
    assert ended is not None
    whole = run(command.line(inputs, tmp_path / "whole"))
    assert whole.code == 0
    if ended.code == 0:  # What wrote everything at its end has made the folder again, or was done.
        found = digests(command, folder / "output")
        assert found in ({}, digests(command, tmp_path / "whole"))
    else:
        assert ended.code == 1 and ended.is_a_sentence, ended
