"""The commands: exit codes, help without TensorFlow, errors in one sentence."""

import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from apps import cli
from kbert.errors import DataError, TrainingError, UsageError
from kbert.tensorflow_start import import_session
from tests.conftest import ROOT
from tests.tiny_checkpoint import write_checkpoint


def command(monkeypatch, run):
    """A command named `pretrain` that does what `run` does."""

    def add_arguments(parser):
        parser.add_argument("--steps", type=int, default=7, help="how many")

    module = SimpleNamespace(
        __doc__="Does it.\n\n    kbert it", add_arguments=add_arguments, run=run
    )
    monkeypatch.setattr(cli, "module_of", lambda name: module)


def fail_with(error):
    def run(args):
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (DataError("The file is odd."), 1, "kbert pretrain: error: The file is odd.\n"),
        (TrainingError("The loss is nan."), 1, "kbert pretrain: error: The loss is nan.\n"),
        (FileNotFoundError(2, "No such file", "a.txt"), 1, "error: No such file: a.txt\n"),
        (OSError("disk full"), 1, "error: disk full\n"),
        (KeyboardInterrupt(), 130, "kbert pretrain: interrupted.\n"),
    ],
)
def test_errors_become_sentences_and_exit_codes(monkeypatch, capsys, error, code, message):
    command(monkeypatch, fail_with(error))
    assert cli.main(["pretrain"]) == code
    captured = capsys.readouterr()
    assert captured.err.endswith(message) and captured.err.count("\n") == 1
    assert captured.out == ""


def test_sigterm_ends_a_command_as_an_exception(monkeypatch, capsys):
    """What a command has opened is closed; the code is the shell's, 128 + 15."""
    closed, before = [], signal.getsignal(signal.SIGTERM)

    def run(args):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        finally:
            closed.append(True)

    command(monkeypatch, run)
    assert cli.main(["pretrain"]) == 143 and closed == [True]
    assert capsys.readouterr().err == "kbert pretrain: terminated.\n"
    assert signal.getsignal(signal.SIGTERM) is before


PIPE = """
import sys, types
from apps import cli
def run(args):
    for number in range(100_000):
        print("東京", number)
cli.module_of = lambda name: types.SimpleNamespace(
    __doc__="", add_arguments=lambda parser: None, run=run
)
sys.exit(cli.main(["score"]))
"""


def test_a_reader_that_has_had_enough_is_no_error():
    """As in `| head -1`; and the line is UTF-8 whatever Python thinks of the terminal."""
    process = subprocess.Popen(
        [sys.executable, "-c", PIPE],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )
    assert process.stdout.readline().decode("utf-8") == "東京 0\n"
    process.stdout.close()
    assert (process.stderr.read(), process.wait()) == (b"", 0)


def test_the_locale_changes_neither_paths_nor_texts(tmp_path):
    """LC_ALL=C without Python's own remedies."""
    (tmp_path / "东京.txt").write_text("东京 好" * 9, encoding="utf-8")
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    words = ["vocabulary", "东京.txt", "--output", "词.txt", "--size", "20", "--quiet"]
    result = subprocess.run(
        [sys.executable, "-m", "apps.cli", *words],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
    )
    assert result.returncode == 0, result.stderr
    assert "好" in (tmp_path / "词.txt").read_text(encoding="utf-8").splitlines()
    assert result.stdout.decode("utf-8").startswith("词.txt: ")


def test_a_usage_error_that_only_run_sees(monkeypatch, capsys):
    command(monkeypatch, fail_with(UsageError("One of both.")))
    with pytest.raises(SystemExit) as stop:
        cli.main(["pretrain"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.endswith("kbert pretrain: error: One of both.\n")


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--steps", "1", "--steps", "2"], "argument --steps: given twice. Expected it once."),
        (["--step", "1"], "unrecognized arguments: --step 1"),
    ],
)
def test_nothing_given_is_lost_or_guessed(monkeypatch, capsys, argv, expected):
    command(monkeypatch, None)
    with pytest.raises(SystemExit) as stop:
        cli.main(["pretrain", *argv])
    assert stop.value.code == 2 and expected in capsys.readouterr().err


def test_help_is_a_command_too(monkeypatch, capsys):
    texts = []
    command(monkeypatch, None)
    for argv in (["--help"], ["help"], ["pretrain", "--help"], ["help", "pretrain"]):
        with pytest.raises(SystemExit) as stop:
            cli.main(argv)
        assert stop.value.code == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] and texts[2] == texts[3] != texts[0]


def test_a_backend_that_is_not_there_is_one_sentence(monkeypatch, capsys):
    command(monkeypatch, None)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setitem(sys.modules, "jax", None)
    assert cli.main(["pretrain"]) == 1
    error = capsys.readouterr().err
    assert "compute with jax, which is not installed: pip install jax" in error
    assert error.count("\n") == 1
    monkeypatch.setenv("KERAS_BACKEND", "mxnet")
    assert cli.main(["pretrain"]) == 1
    assert "KERAS_BACKEND must be tensorflow or jax. Received: mxnet." in capsys.readouterr().err


def test_a_saved_model_without_tensorflow_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(DataError, match="SavedModel needs tensorflow, which is not installed: pip"):
        import_session()


def test_success_and_defaults(monkeypatch):
    seen = []
    command(monkeypatch, seen.append)
    assert cli.main(["pretrain"]) == 0 and cli.main(["pretrain", "--steps", "3"]) == 0
    assert [args.steps for args in seen] == [7, 3]


def test_a_fault_in_the_code_keeps_its_traceback(monkeypatch):
    command(monkeypatch, fail_with(ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError):
        cli.main(["pretrain"])


@pytest.mark.parametrize(
    "argv", [[], ["nothing"], ["pretrain"], ["pretrain", "store", "--output"], ["--nothing"]]
)
def test_wrong_usage_exits_with_2(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(argv)
    assert stop.value.code == 2
    assert "usage: kbert" in capsys.readouterr().err


def test_help_shows_the_commands_and_real_defaults(monkeypatch, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in cli.COMMANDS)
    command(monkeypatch, None)
    with pytest.raises(SystemExit):
        cli.main(["pretrain", "--help"])
    text = capsys.readouterr().out
    assert "how many (default: 7)" in text
    assert "    kbert it" in text  # the docstring's lines stay lines


HELP = """
import contextlib, io, json, sys, time
sys.modules["tensorflow"] = sys.modules["tensorflow_text"] = None
from apps import cli
report = {}
for name in cli.COMMANDS:
    text, start = io.StringIO(), time.process_time()
    with contextlib.redirect_stdout(text):
        try:
            cli.main([name, "--help"])
        except SystemExit as stop:
            code = stop.code
        except BaseException as error:
            code = repr(error)
    heavy = sorted({"keras", "jax", "sklearn"} & set(sys.modules))
    report[name] = [code, text.getvalue(), time.process_time() - start, heavy]
print(json.dumps(report))
"""


@pytest.fixture(scope="module")
def helps():
    result = subprocess.run(
        [sys.executable, "-c", HELP], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return json.loads(result.stdout)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_help_answers_at_once(helps, name):
    """In a process that cannot import TensorFlow and does not import Keras."""
    code, text, seconds, heavy = helps[name]
    assert code == 0
    assert f"usage: kbert {name}" in text
    assert heavy == []
    assert seconds < 2


def test_module_and_command_are_the_same():
    """`python -m apps.pretrain` exits as `kbert pretrain` does."""
    for start in (["-m", "apps.cli", "pretrain"], ["-m", "apps.pretrain"]):
        result = subprocess.run([sys.executable, *start], cwd=ROOT, capture_output=True, text=True)
        assert result.returncode == 2
        assert "the following arguments are required: --output" in result.stderr


def run_pretrain(capsys, *argv):
    code = cli.main(["pretrain", *map(str, argv)])
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return code, error.strip().splitlines()[-1]


def test_a_wrong_store(capsys, tmp_path):
    code, error = run_pretrain(capsys, tmp_path / "nothing", "--output", tmp_path / "run")
    assert code == 1
    assert error.startswith("kbert pretrain: error: ")
    assert "nothing must be a token store that kbert prepare wrote" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(os.name != "posix", reason="file permissions")
def test_an_output_that_cannot_be_written(capsys, tmp_path, tiny_store):
    (tmp_path / "file").write_text("")
    code, error = run_pretrain(
        capsys, tiny_store, "--output", tmp_path / "file" / "run", "--preset", "tiny"
    )
    assert code == 1
    assert "file" in error and error.startswith("kbert pretrain: error: ")


def test_a_checkpoint_of_another_vocabulary(capsys, tmp_path, tiny_store):
    start = tmp_path / "start"
    write_checkpoint(start)
    code, error = run_pretrain(capsys, tiny_store, "--output", tmp_path / "run", "--from", start)
    assert code == 1
    assert f"{start} and {tiny_store} must have the same vocabulary" in error
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_that_is_not_there(capsys, tmp_path, tiny_store):
    code, error = run_pretrain(
        capsys, tiny_store, "--output", tmp_path / "run", "--from", tmp_path / "nowhere"
    )
    assert code == 1 and "nowhere" in error


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--num-steps 0", "--num-steps: must be at least 1. Received: 0."),
        ("--dropout 1.5", "--dropout: must be in [0, 1). Received: 1.5."),
        ("--precision int8", "--precision: must be one of float32, bfloat16, float16."),
        ("--seed -1", "--seed: must be in [0, 4294967295]. Received: -1."),
        ("--then 5", "then must be STEP:ROWSxTOKENS"),
        ("--from x --preset tiny", "--preset is not allowed with --from"),
        ("--from x --direction left", "--direction is not allowed with --from"),
    ],
)
def test_values_that_cannot_be_are_wrong_usage(capsys, tmp_path, tiny_store, option, message):
    argv = ["pretrain", str(tiny_store), "--output", str(tmp_path / "run"), *option.split()]
    with pytest.raises(SystemExit) as stop:
        cli.main(argv)
    assert stop.value.code == 2 and message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_sequence_longer_than_the_model_takes(capsys, tmp_path, tiny_store):
    code, error = run_pretrain(
        capsys,
        tiny_store,
        *("--output", tmp_path / "run", "--preset", "tiny"),
        *("--sequence-length", "4"),
    )
    assert code == 1 and "sequence_length=4" in error


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_command_though_its_exception_is_dropped(monkeypatch, capsys, number, code):
    """Python drops it in `__del__`, a library in a bare `except`. Cleaning up is left in peace."""
    closed = []

    class Dropping:
        def __del__(self):
            os.kill(os.getpid(), number)
            len("Python looks for signals between two calls")

    def run(args):
        try:
            Dropping()
            try:
                time.sleep(30)
            except:  # noqa: E722
                pass
            time.sleep(30)
        finally:
            time.sleep(1.5)
            closed.append(True)

    command(monkeypatch, run)
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: None)
    start = time.monotonic()
    assert cli.main(["pretrain"]) == code and closed == [True]
    assert time.monotonic() - start < 20


def test_sigterm_is_sigterm_whatever_its_exception_becomes(monkeypatch):
    """As inside of TensorFlow, where an error of Python's may come back as one of C++."""

    def run(args):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except BaseException as error:
            raise RuntimeError("of C++") from error

    command(monkeypatch, run)
    assert cli.main(["pretrain"]) == 143


@pytest.mark.parametrize(
    "command",
    [
        "vocabulary {0} --output {1}/vocab.txt",
        "inspect {0}",
        "convert {0} --output {1}/out",
        "predict {1} {0}",
        "score conll {0}",
    ],
)
def test_commands_say_why_a_file_cannot_be_read(command, tmp_path, capsys):
    (tmp_path / "file").write_text("a text\n")
    assert cli.main(command.format(tmp_path / "file" / "below", tmp_path).split()) == 1
    assert "Not a directory: " in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        "evaluate MODEL {0} --output {0}",
        "judge MODEL {0} --output {0}",
        "perplexity MODEL {0} --output {0}",
        "embed MODEL {0} --output {0}",
    ],
)
def test_a_file_that_is_read_is_not_overwritten(command, tmp_path, capsys):
    file, pair = tmp_path / "rows.jsonl", '{"good": "a cat", "bad": "cat a"}\n'
    file.write_text(pair)
    assert cli.main(command.format(file).split()) == 1
    assert "would be overwritten, but it is the file to read" in capsys.readouterr().err
    assert file.read_text() == pair
