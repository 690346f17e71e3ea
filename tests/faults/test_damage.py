"""One flipped bit, or an end that is missing, in every file that kbert reads: it is named."""

import random
import shutil
import signal

import pytest

from kbert.checkpoints.formats import load_any
from kbert.corpus.store import TokenStore
from kbert.errors import DataError
from kbert.serving.checkpoint_or_export import load_answerer
from tests.faults.commands import COMMANDS, digests
from tests.faults.processes import Started, run

pytestmark = pytest.mark.slow


def flipped(data: bytes, generator) -> bytes:
    changed = bytearray(data)
    changed[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
    return bytes(changed)


def truncated(data: bytes, generator) -> bytes:
    return data[: generator.randrange(len(data))]


READERS = {
    "store": ("store", TokenStore),
    "checkpoint": ("start", load_any),
    "fine-tuned": ("tuned", load_any),
    "export": ("exported/1", load_answerer),
    "onnx": ("onnx/1", load_answerer),
}


@pytest.fixture(scope="module")
def folders(inputs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("damage")
    for name in ("start", "tuned"):
        shutil.copytree(inputs / name, folder / name)
    prepared = COMMANDS["prepare"].line(inputs, folder / "store")
    assert run(prepared).code == 0
    for name, output in (("export", "exported"), ("export-onnx", "onnx")):
        assert run(COMMANDS[name].line(inputs, folder / output)).code == 0
    return folder


@pytest.mark.parametrize("damage", [flipped, truncated])
@pytest.mark.parametrize("kind", READERS)
def test_it_is_named(folders, kind, damage):
    name, read = READERS[kind]
    read(folders / name)
    generator = random.Random(kind)
    files = [path for path in sorted((folders / name).rglob("*")) if path.is_file()]
    files = [path for path in files if "logs" not in path.parts and path.name != "finetune.json"]
    assert len(files) >= 3
    for path in files:
        whole = path.read_bytes()
        if not whole:
            continue
        for _ in range(4):
            path.write_bytes(damage(whole, generator))
            if path.read_bytes() == whole:
                continue
            try:
                with pytest.raises(DataError, match=path.name.replace(".", r"\.")):
                    read(folders / name)
            finally:
                path.write_bytes(whole)
    read(folders / name)


@pytest.mark.parametrize("damage", [flipped, truncated])
@pytest.mark.parametrize("name", ["pretrain", "finetune"])
def test_the_save_before_is_taken(inputs, tmp_path, name, damage):
    """Of a run that was killed every file of the last save is damaged, one after another."""
    command, generator = COMMANDS[name], random.Random(name)
    assert run(command.line(inputs, tmp_path / "whole")).code == 0
    stopped = _stopped(command, inputs, tmp_path / "stopped")
    last = _saves(stopped)[-1]
    for path in sorted(last.iterdir()):
        again = tmp_path / path.name / stopped.name
        shutil.copytree(stopped, again)
        damaged = again / path.relative_to(stopped)
        damaged.write_bytes(damage(path.read_bytes(), generator))
        output = again.with_name("stopped")
        ended = run(command.line(inputs, output))
        assert ended.code == 0, (path, ended)
        assert digests(command, output) == digests(command, tmp_path / "whole"), path


def _saves(folder):
    return sorted(folder.glob("steps/[0-9]*"))


def _stopped(command, inputs, output):
    """The folder of a run that was killed once it had two saves."""
    process = Started(command.line(inputs, output))
    places = (output, output.with_name(f"{output.name}.unfinished"))
    while not (found := [place for place in places if len(_saves(place)) >= 2]):
        assert process.ended(0.001) is None, "it was done before it could be stopped"
    process.send(signal.SIGKILL)
    process.ended()
    return found[0]


@pytest.mark.parametrize("damage", [flipped, truncated])
def test_shards_are_made_again(inputs, tmp_path, damage):
    """Those of a store that was not finished."""
    command, generator = COMMANDS["prepare"], random.Random(0)
    assert run(command.line(inputs, tmp_path / "whole"), small_parts).code == 0
    output = tmp_path / "stopped"
    process = Started(command.line(inputs, output), small_parts)
    while len(list(output.glob("shards/*.npz"))) < 5:
        assert process.ended(0.001) is None, "it was done before it could be stopped"
    process.send(signal.SIGKILL)
    process.ended()
    for path in sorted(output.glob("shards/*.npz"))[:4]:
        path.write_bytes(damage(path.read_bytes(), generator))
    ended = run(command.line(inputs, output), small_parts)
    assert ended.code == 0, ended
    assert digests(command, output) == digests(command, tmp_path / "whole")


def small_parts():
    """Many shards of few words."""
    from kbert.corpus import prepare

    prepare.TASK_CHARACTERS = 2000
