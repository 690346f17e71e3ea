"""A clock that jumps, folders that hold what is no text, sizes that nobody has."""

import functools
import gzip
import json
import os
import random
import resource
import shutil

import pytest

from tests.faults.commands import COMMANDS, digests
from tests.faults.processes import run
from tests.tiny_checkpoint import WORDS

pytestmark = pytest.mark.slow

_DECADE = 10 * 365 * 86400


def jumping_clock():
    """The system's time is another decade at every look, forward or back."""
    import time

    generator, now = random.Random(0), time.time

    def jumps():
        return max(0.0, now() + generator.uniform(-_DECADE, _DECADE))

    time.time = jumps
    time.time_ns = lambda: int(jumps() * 1e9)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_clock_that_jumps(inputs, tmp_path, name):
    command = COMMANDS[name]
    for output, before in (("whole", None), ("jumping", jumping_clock)):
        ended = run(command.line(inputs, tmp_path / output), before)
        assert ended.code == 0, ended
    assert digests(command, tmp_path / "jumping") == digests(command, tmp_path / "whole")


@pytest.mark.parametrize("when", [0, -(10**9), 4 * 10**9])
def test_files_of_another_time(inputs, tmp_path, when):
    """Of 1970, of before, of the next century: text like any other."""
    shutil.copy(inputs / "text.txt", tmp_path / "text.txt")
    os.utime(tmp_path / "text.txt", (when, when))
    line = ["prepare", str(tmp_path / "text.txt"), "--output", str(tmp_path / "store")]
    assert run([*line, "--vocabulary", str(inputs / "start" / "vocab.txt")]).code == 0


def in_little_memory(num_bytes):
    """More than the imports have, and a little beside it."""
    with open("/proc/self/statm") as file:
        held = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + num_bytes, held + num_bytes))


@pytest.mark.parametrize("name", ["vocabulary", "prepare"])
def test_a_corpus_of_loops_pipes_devices_and_bombs(inputs, tmp_path, name):
    """It is read as if they were not there; of the bomb, what is text, in little memory."""
    corpus = tmp_path / "corpus"
    (corpus / "deep" / "deeper").mkdir(parents=True)
    shutil.copy(inputs / "text.txt", corpus / "text.txt")
    (corpus / "deep" / "deeper" / "up").symlink_to(corpus)
    (corpus / "self.txt").symlink_to("self.txt")
    os.mkfifo(corpus / "pipe.txt")
    for device in ("zero", "random", "tty"):
        (corpus / f"{device}.txt").symlink_to(f"/dev/{device}")
    output = tmp_path / "output"
    line = COMMANDS[name].line(inputs, output)
    line = [str(corpus) if text.endswith("/text.txt") else text for text in line]
    ended = run(line)
    assert ended.code == 0, ended
    # A thousand times its size, in one line: 64 MB.
    bomb = gzip.compress(((" ".join(WORDS) + " ") * 60 + "\n").encode() * 20_000)
    (corpus / "bomb.txt.gz").write_bytes(bomb)
    ended = run([*line[:-1], f"{output}-bomb"], functools.partial(in_little_memory, 3 << 30))
    assert ended.code == 0, ended
    for path in ("pipe.txt", "zero.txt", "random.txt", "self.txt"):
        ended = run([line[0], str(corpus / path), *line[2:-1], f"{output}-{path}"])
        assert ended.code == 1 and ended.is_a_sentence, ended


_SIZES = ("vocabulary_size", "num_layers", "num_heads", "hidden_dim", "intermediate_dim")
_SIZES += ("max_sequence_length", "num_segments")


@pytest.mark.parametrize("size", _SIZES)
@pytest.mark.parametrize("value", [10**6, 10**12, 10**400])
def test_absurd_sizes_allocate_nothing(inputs, tmp_path, size, value):
    folder = tmp_path / "absurd"
    shutil.copytree(inputs / "start", folder)
    values = json.loads((folder / "config.json").read_text())
    values.pop("checksums")
    assert size in values["encoder"]
    values["encoder"][size] = value
    (folder / "config.json").write_text(json.dumps(values))
    line = ["embed", str(folder), str(inputs / "few.txt"), "--output", str(tmp_path / "vectors")]
    ended = run(line, functools.partial(in_little_memory, 1 << 30))
    assert ended.code == 1 and ended.is_a_sentence, ended
    assert not (tmp_path / "vectors").exists()
