"""Apache Beam makes the store and the vocabulary of the local commands, however it divides them."""

import gzip
import json
import os
import random
import shutil
import subprocess
import sys
from unittest.mock import Mock

import pytest

pytest.importorskip("apache_beam")

from apache_beam.io.filesystem import FileMetadata, FileSystem  # noqa: E402

from apps.cli import run_command  # noqa: E402
from kbert.corpus import prepare as corpus  # noqa: E402
from kbert.corpus import word_counts  # noqa: E402
from kbert.corpus.documents import TextReader  # noqa: E402
from kbert.corpus.prepare import prepare  # noqa: E402
from kbert.corpus.settings import RunnerSettings  # noqa: E402
from kbert.corpus.store_writer import StoreWriter  # noqa: E402
from kbert.corpus.vocabulary import learn_vocabulary  # noqa: E402
from kbert.corpus.workers import beam, parts  # noqa: E402
from kbert.errors import DataError  # noqa: E402
from tests.conftest import ROOT  # noqa: E402
from tests.corpus.small_corpus import content_of, make_text, small_shards  # noqa: E402

DIRECT = RunnerSettings("direct")
WITH_KBERT = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Files of several kinds, among them empty, damaged and large ones; small parts."""
    small_shards(monkeypatch)
    monkeypatch.setattr(word_counts, "_CHUNK_CHARACTERS", 5000)
    folder = tmp_path / "text"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.txt").write_text(make_text(60, seed=number))
    (folder / "3.txt").write_bytes(b"The \xff dog.\n\n" + make_text(9, seed=9).encode())
    (folder / "4.jsonl").write_text(json.dumps({"text": "The mat. 猫坐。"}) + '\n{"text"\n')
    (folder / "5.txt").write_bytes(b"")
    (folder / "6.txt").write_text(make_text(700, seed=7))
    (folder / "7.pdf").write_bytes(b"%PDF")
    (folder / ".hidden").mkdir()
    return folder


def shuffled(monkeypatch, seed):
    """Workers take the shares in another order."""

    def other_order(*args):
        found = shares(*args)
        random.Random(seed).shuffle(found)
        return found

    shares = beam.shares
    monkeypatch.setattr(beam, "shares", other_order)


def group_bytes(monkeypatch, folder, count):
    """The files are divided into about so many shares. Returns how many there are."""
    sizes = TextReader([folder]).sizes
    monkeypatch.setattr(parts, "GROUP_BYTES", sum(sizes) // count)
    return len(parts.shares(sizes))


@pytest.mark.parametrize(
    "count", [pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow), 8]
)
def test_the_store_is_the_local_commands(folder, tmp_path, vocabulary, monkeypatch, count):
    options = {"validation_share": 0.2, "progress": False}
    prepare([folder], tmp_path / "local", vocabulary, **options)
    assert group_bytes(monkeypatch, folder, count) == {1: 1, 2: 2, 8: 7}[count]
    shuffled(monkeypatch, count)
    result = prepare([folder], tmp_path / "beam", vocabulary, runner=DIRECT, **options)
    assert content_of(tmp_path / "beam") == content_of(tmp_path / "local")
    assert len(result["summary"]["problems"]["listed"]) == 5


FILTERS = {"min_characters": 20, "min_letters": 0.3, "max_repetition": 0.5}


@pytest.mark.parametrize(
    ("size", "deduplicate"),
    [
        pytest.param(1 << 30, True, marks=pytest.mark.slow),
        pytest.param(40_000, True, marks=pytest.mark.slow),
        pytest.param(5_000, False, marks=pytest.mark.slow),
        (5_000, True),
    ],
)
def test_documents_are_left_out_as_by_the_local_command(
    folder, tmp_path, vocabulary, monkeypatch, size, deduplicate
):
    """Duplicates of documents that another worker reads, too; each problem is counted once.

    `size`: of a group of files. Of 5,000 bytes most files are one, divided among workers.
    """
    lines = [json.dumps({"text": text}) for text in make_text(60, seed=60).split("\n\n")]
    (folder / "10.jsonl").write_text("\n".join([*lines, "{", ""]))
    copies = make_text(30, seed=1).upper() + "\n" + make_text(10, seed=50) + "\n"
    (folder / "8.txt").write_text("no\n\n1 2 3 4 5 6 7 8 9 10 11 12 13\n\n" + copies + copies)
    (folder / "9.txt").write_text("The cat sat on the mat.\n" * 3 + "\n" + make_text(9, seed=9))
    options = {"deduplicate": deduplicate, **FILTERS, "validation_share": 0.2, "progress": False}
    expected = prepare([folder], tmp_path / "local", vocabulary, **options)
    monkeypatch.setattr(parts, "GROUP_BYTES", size)
    shuffled(monkeypatch, seed=0)
    prepare([folder], tmp_path / "beam", vocabulary, runner=DIRECT, **options)
    assert content_of(tmp_path / "beam") == content_of(tmp_path / "local")
    listed = expected["summary"]["problems"]["listed"]
    counts = {p["problem"]: p["count"] for p in listed if p["file"] == str(folder / "8.txt")}
    assert counts == {
        "short document, left out": 1,
        "document of few letters, left out": 1,
        **({"duplicate document, left out": 70} if deduplicate else {}),
    }
    assert [p["problem"] for p in listed if p["file"] == str(folder / "9.txt")] == [
        "repetitive document, left out",
        *(["duplicate document, left out"] if deduplicate else []),
    ]


@pytest.mark.parametrize("count", [1, 8])
def test_the_vocabulary_is_the_local_commands(folder, tmp_path, monkeypatch, count):
    """Rare words are forgotten after the same parts, too."""
    monkeypatch.setattr(word_counts, "_MAX_DISTINCT_WORDS", 100)
    group_bytes(monkeypatch, folder, count)
    shuffled(monkeypatch, count)
    local, found = (
        learn_vocabulary([folder], 60, progress=False, output=tmp_path / name, **options)
        for name, options in (("local", {"num_workers": 1}), ("beam", {"runner": DIRECT}))
    )
    assert found.pieces == local.pieces
    assert (tmp_path / "local").read_bytes() == (tmp_path / "beam").read_bytes()
    for name in ("num_bytes", "num_words", "num_distinct_words", "coverage"):
        assert getattr(found, name) == getattr(local, name)
    assert found.problems.as_dict() == local.problems.as_dict()
    assert not list(tmp_path.glob("*.unfinished"))


def test_counters_are_the_summary(folder, tmp_path, vocabulary, monkeypatch):
    """The runner's page shows what the summary says at the end."""
    counted, run = [], beam.run_pipeline
    monkeypatch.setattr(beam, "run_pipeline", lambda *args: counted.append(run(*args)))
    result = prepare([folder], tmp_path / "store", vocabulary, runner=DIRECT)
    for split, counts in result["splits"].items():
        assert counts == {name: counted[0][f"{split}_{name}"] for name in counts}
    assert counted[0]["num_bytes"] == result["summary"]["bytes"]


def test_stopped_it_goes_on_with_what_is_missing(folder, tmp_path, vocabulary, monkeypatch):
    group_bytes(monkeypatch, folder, 4)
    made, stopped, result = [], [], corpus.ShardEncoder.result

    def failing(self, texts, info):
        made.append(info)
        if len(made) == 4 and not stopped:
            stopped.append(True)
            raise OSError("the worker is gone")
        return result(self, texts, info)

    monkeypatch.setattr(corpus.ShardEncoder, "result", failing)
    with pytest.raises(DataError, match="direct runner failed: .*the worker is gone"):
        prepare([folder], tmp_path / "store", vocabulary, runner=DIRECT)
    there = list((tmp_path / "store" / "shards" / "parts").glob("*.npz"))
    assert len(there) == 3
    there[0].write_bytes(there[0].read_bytes()[:500])  # As a power cut leaves it.
    prepare([folder], tmp_path / "store", vocabulary, runner=DIRECT)
    again = len(made) - 4
    prepare([folder], tmp_path / "local", vocabulary, progress=False)
    assert content_of(tmp_path / "store") == content_of(tmp_path / "local")
    made.clear()
    prepare([folder], tmp_path / "whole", vocabulary, runner=DIRECT)
    assert again == len(made) - 2


class OtherMachine(FileSystem):
    """Files of a folder by URLs, as a cloud's storage has them: mem://NAME."""

    root = None

    @classmethod
    def scheme(cls):
        return "mem"

    def _path(self, url):
        return self.root / url.removeprefix("mem://")

    def join(self, basepath, *paths):
        return "/".join([basepath.rstrip("/"), *paths])

    def split(self, path):
        head, _, tail = path.rpartition("/")
        return head, tail

    def mkdirs(self, path):
        raise AssertionError("storage has no folders")

    def has_dirs(self):
        return False

    def _list(self, dir_or_prefix):
        for path in sorted(self.root.rglob("*")):
            url = f"mem://{path.relative_to(self.root)}"
            if path.is_file() and url.startswith(dir_or_prefix):
                yield FileMetadata(url, path.stat().st_size, path.stat().st_mtime)

    def create(self, path, mime_type=None, compression_type=None):
        self._path(path).parent.mkdir(parents=True, exist_ok=True)
        return open(self._path(path), "wb")

    def open(self, path, mime_type=None, compression_type=None):
        if not self.exists(path):
            raise LookupError(path)  # As Google's and Hadoop's clients say it: no OSError.
        return open(self._path(path), "rb")

    def rename(self, source_file_names, destination_file_names):
        for one, other in zip(source_file_names, destination_file_names, strict=True):
            os.replace(self._path(one), self._path(other))

    def delete(self, paths):
        for path in paths:
            shutil.rmtree(self._path(path))

    def exists(self, path):
        return self._path(path).exists()

    def size(self, path):
        return self._path(path).stat().st_size

    def last_updated(self, path):
        return self._path(path).stat().st_mtime

    def checksum(self, path):
        return str(self.last_updated(path))

    def metadata(self, path):
        return FileMetadata(path, self.size(path), self.last_updated(path))

    def copy(self, source_file_names, destination_file_names):
        raise NotImplementedError


def test_text_and_results_may_lie_in_a_clouds_storage(folder, tmp_path, vocabulary, monkeypatch):
    """The text by URLs; what workers make goes to another, and nothing is left there."""
    monkeypatch.setattr(OtherMachine, "root", tmp_path)
    (folder / "z.txt.gz").write_bytes(gzip.compress(make_text(40, seed=20).encode()))
    (folder / ".hidden.txt").write_text("not read")
    runner = RunnerSettings("direct", shared="mem://elsewhere")
    prepare(["mem://text"], tmp_path / "remote", vocabulary, runner=runner)
    prepare([folder], tmp_path / "local", vocabulary, progress=False)
    ours, theirs = content_of(tmp_path / "remote"), content_of(tmp_path / "local")
    assert ours.pop("store.json") != theirs.pop("store.json")  # It names the files.
    assert ours == theirs
    assert not list((tmp_path / "elsewhere").rglob("*"))
    here, there = (
        learn_vocabulary([text], 60, progress=False, output=tmp_path / name, runner=runner)
        for name, text in (("here", folder), ("there", "mem://text"))
    )
    assert here.pieces == there.pieces
    with pytest.raises(DataError, match="no file with a name in"):
        prepare(["mem://nothing"], tmp_path / "none", vocabulary)


def test_stopped_behind_the_copying_it_does_not_begin_anew(
    folder, tmp_path, vocabulary, monkeypatch
):
    runner = RunnerSettings("direct", shared=str(tmp_path / "shared"))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(StoreWriter, "finish", Mock(side_effect=KeyboardInterrupt))
        prepare([folder], tmp_path / "store", vocabulary, runner=runner)
    assert not list((tmp_path / "shared").iterdir())
    monkeypatch.setattr(beam, "run_pipeline", Mock(side_effect=AssertionError("run again")))
    prepare([folder], tmp_path / "store", vocabulary, runner=runner)
    prepare([folder], tmp_path / "local", vocabulary, progress=False)
    assert content_of(tmp_path / "store") == content_of(tmp_path / "local")


def test_workers_with_a_disk_of_their_own_are_found_out(folder, tmp_path, vocabulary, monkeypatch):
    monkeypatch.setattr(beam, "write_whole", lambda path, data: None)
    with pytest.raises(DataError, match="must be a folder that all machines share"):
        prepare([folder], tmp_path / "store", vocabulary, runner=DIRECT)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--parallelism=2"], 2, "unrecognized arguments: --parallelism=2."),
        (["--runner", "direct", "--direct_num_worker=2"], 1, "--direct_num_worker"),
        (
            ["--runner", "direct", "--validation-shar=0.2"],
            2,
            "arguments: --validation-shar=0.2",
        ),
        (["--runner", "direct", "--direct_running_mode=none"], 2, "invalid choice"),
        (["--runner", "hadoop"], 2, "hadoop"),
        (["--shared", "/tmp"], 2, "it needs a --runner"),
        (["--runner", "direct", "--processes", "2"], 1, "--processes is for work on this machine"),
    ],
)
def test_wrong_options_are_one_sentence(
    tmp_path, vocabulary, text_file, capsys, options, code, message
):
    arguments = [text_file, "--vocabulary", vocabulary, "--output", str(tmp_path / "s"), *options]
    try:
        found = run_command("prepare", arguments)
    except SystemExit as stop:
        found = stop.code
    assert found == code and message in capsys.readouterr().err.splitlines()[-1]


def test_without_beam_the_message_says_what_to_install(
    tmp_path, vocabulary, text_file, monkeypatch
):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(DataError, match=r"pip install 'kbert\[beam\]'"):
        prepare([text_file], tmp_path / "store", vocabulary, runner=DIRECT)
    with pytest.raises(DataError, match=r"pip install 'kbert\[beam\]'"):
        TextReader(["gs://bucket/text"])


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["multi_threading", "multi_processing"])
def test_workers_beside_each_other(tmp_path, vocabulary, text_file, mode):
    """The command, whose workers are real."""
    for name, options in {
        "local": (),
        mode: ("--runner", "direct", "--direct_num_workers=2", f"--direct_running_mode={mode}"),
    }.items():
        command = [sys.executable, "-m", "apps.cli", "prepare", text_file, "--output", name]
        command += ["--vocabulary", vocabulary, *options]
        subprocess.run(command, cwd=tmp_path, env=WITH_KBERT, check=True)
    assert content_of(tmp_path / mode) == content_of(tmp_path / "local")


@pytest.mark.slow
def test_a_job_server_as_flinks_and_sparks(tmp_path, vocabulary, text_file):
    """Beam's own in Python: the pipeline goes to it and its workers come, all over gRPC."""
    command = ["-m", "apache_beam.runners.portability.local_job_service_main", "-p", "0"]
    with subprocess.Popen(
        [sys.executable, *command, "--port_file", tmp_path / "port"], stderr=subprocess.DEVNULL
    ) as server:
        try:
            while not (tmp_path / "port").exists():
                assert server.poll() is None
            port = (tmp_path / "port").read_text().strip()
            for name, options in {
                "local": (),
                "served": ("--runner", "portable", f"--job_endpoint=localhost:{port}")
                + ("--environment_type=LOOPBACK",),
            }.items():
                line = [sys.executable, "-m", "apps.cli", "prepare", text_file, "--output", name]
                line += ["--vocabulary", vocabulary, *options]
                subprocess.run(line, cwd=tmp_path, env=WITH_KBERT, check=True)
        finally:
            server.kill()
    assert content_of(tmp_path / "served") == content_of(tmp_path / "local")
