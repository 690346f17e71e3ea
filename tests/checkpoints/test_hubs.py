"""Models by name, from a hub on loopback."""

import json

import pytest

from apps.cli import main
from kbert import embed, from_huggingface, from_keras_hub, load, save, to_huggingface
from kbert.checkpoints import hubs
from kbert.checkpoints.directory import copy
from kbert.errors import DataError
from tests.checkpoints.hub_server import COMMIT, Hub, files_in, running
from tests.checkpoints.published_models import TASK, TASKS, assert_same, make

NAME = "owner/small-bert"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A repository as they are: ours among files of other frameworks."""
    folder = tmp_path_factory.mktemp("published")
    to_huggingface(folder, make("pretraining"))
    others = ("README.md", "pytorch_model.bin", "tf_model.h5", "onnx/model.onnx", "code.py")
    return files_in(folder) | dict.fromkeys(others, b"not read")


@pytest.fixture
def hub(published, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    hub = Hub({NAME: published})
    with running(hub) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        hubs._fetched.cache_clear()
        yield hub
    hubs._fetched.cache_clear()


def test_only_what_is_read_is_fetched(hub, capsys):
    assert_same(from_huggingface(f"hf:{NAME}"), make("pretraining"))
    wanted = {"config.json", "vocab.txt", "tokenizer_config.json", "model.safetensors"}
    assert hub.files_got() == wanted
    told = capsys.readouterr().err
    assert f"hf:{NAME}@{COMMIT}: 0.0 MB, licence: apache-2.0" in told


def test_what_is_in_the_cache_is_not_fetched_again(hub):
    first = hubs.folder_of(f"hf:{NAME}")
    hubs._fetched.cache_clear()
    hub.requests.clear()
    assert hubs.folder_of(f"hf:{NAME}") == first
    assert not [path for method, path in hub.requests if "/cdn/" in path]


def test_a_revision(hub):
    assert hubs.pinned(f"hf:{NAME}@v1") == f"hf:{NAME}@{COMMIT}"
    with pytest.raises(DataError, match=f"hf:{NAME}@v7 is there, but has no such revision"):
        hubs.folder_of(f"hf:{NAME}@v7")


def test_an_old_name_leads_to_the_new_one(hub):
    hub.renamed["small-bert"] = NAME
    assert hubs.pinned("hf:small-bert") == f"hf:{NAME}@{COMMIT}"


def test_a_transfer_that_breaks_off_goes_on(hub, published, monkeypatch):
    from huggingface_hub import constants, file_download

    monkeypatch.setattr(file_download.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100)
    hub.cut.add("model.safetensors")
    folder = hubs.folder_of(f"hf:{NAME}")
    ((name, asked),) = hub.ranges
    assert name == "model.safetensors" and int(asked[len("bytes=") : -1]) >= 100
    assert (folder / "model.safetensors").read_bytes() == published["model.safetensors"]


def test_offline_the_cache_answers(hub, monkeypatch):
    from huggingface_hub import constants

    first = hubs.folder_of(f"hf:{NAME}")
    hubs._fetched.cache_clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.requests.clear()
    assert hubs.folder_of(f"hf:{NAME}") == first
    assert hubs.pinned(f"hf:{NAME}") == f"hf:{NAME}@{COMMIT}"
    assert not hub.requests
    with pytest.raises(DataError, match="hf:owner/other is not in the cache"):
        hubs.folder_of("hf:owner/other")


def test_a_hub_that_is_not_reached(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(DataError, match="is not in the cache, and the hub is not reached"):
        hubs.folder_of(f"hf:{NAME}")


def test_a_private_model(hub, monkeypatch):
    hub.private[NAME] = "mine"
    with pytest.raises(DataError, match=f"hf:{NAME} needs a token"):
        hubs.folder_of(f"hf:{NAME}")
    monkeypatch.setenv("HF_TOKEN", "mine")
    assert (hubs.folder_of(f"hf:{NAME}") / "config.json").is_file()


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("owner/none", None, "needs a token (HF_TOKEN, KAGGLE_API_TOKEN), or is not there"),
        (NAME, 401, "needs a token"),
        (NAME, 404, "is not there"),
        (NAME, 429, "was asked for too often (429)"),
        (NAME, 503, "could not be fetched: "),
        ("owner/small/bert", None, "must be OWNER/NAME, for reading hf:OWNER"),
    ],
)
def test_what_a_hub_refuses_is_a_sentence(hub, capsys, name, status, said, tmp_path):
    hub.status = status
    command = ["convert", f"hf:{name}", "--output", str(tmp_path / "out")]
    assert main(command) == 1
    error = capsys.readouterr().err
    assert f"kbert convert: error: hf:{name} {said}" in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_model_that_is_not_there_for_a_token(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "mine")
    with pytest.raises(DataError, match="hf:owner/none is not there"):
        hubs.folder_of("hf:owner/none")


def test_terms_to_accept(hub):
    hub.gated.add(NAME)
    with pytest.raises(DataError, match="asks for consent: accept its terms"):
        hubs.folder_of(f"hf:{NAME}")


def test_no_bert(hub):
    hub.repositories["owner/image"] = {"README.md": b"", "weights.onnx": b""}
    with pytest.raises(DataError, match="hf:owner/image must hold a BERT"):
        hubs.folder_of("hf:owner/image")


def test_commands_take_names(hub, tmp_path, capsys):
    assert main(["convert", f"hf:{NAME}@v1", "--output", str(tmp_path / "a")]) == 0
    assert_same(load(tmp_path / "a"), make("pretraining"))
    source = json.loads((tmp_path / "a" / "source.json").read_text())
    assert source == {"from": f"hf:{NAME}@{COMMIT}", "licence": "apache-2.0"}
    assert main(["inspect", str(tmp_path / "a")]) == 0
    assert f"hf:{NAME}@{COMMIT}" in capsys.readouterr().out
    # What is made of it again says the same, and a card names both.
    assert main(["convert", str(tmp_path / "a"), "--output", str(tmp_path / "b")]) == 0
    copy(tmp_path / "b", tmp_path / "c")
    assert hubs.read_source(tmp_path / "c") == source
    command = ["convert", str(tmp_path / "c"), "--output", str(tmp_path / "d")]
    assert main([*command, "--to", "huggingface"]) == 0
    card = (tmp_path / "d" / "README.md").read_text()
    assert f"base_model: {NAME}\n" in card and "license: apache-2.0\n" in card
    assert main(["fill-mask", f"hf:{NAME}", "w7 [MASK]"]) == 0
    assert embed(f"hf:{NAME}", ["w7 w8"]).shape == (1, 8)


@pytest.mark.slow
def test_finetuning_says_the_revision(hub, tmp_path, capsys):
    rows = tmp_path / "rows.tsv"
    rows.write_text("text\tlabel\nw7 w8\tno\nw9\tyes\n")
    out = tmp_path / "tuned"
    arguments = ["--train", rows, "--epochs", 1, "--validation-share", "0", "--sequence-length", 16]
    command = ["finetune", "classification", "--from", f"hf:{NAME}", *arguments, "--output", out]
    assert main([str(word) for word in command]) == 0
    record = json.loads((out / "finetune.json").read_text())
    assert record["from"] == f"hf:{NAME}@{COMMIT}"
    # The command of the record makes the same run.
    again = record["command"].replace(str(out), str(tmp_path / "again")).split()
    assert again[:2] == ["kbert", "finetune"]
    hubs._fetched.cache_clear()
    assert main(again[1:]) == 0
    assert_same(load(out), load(tmp_path / "again"))
    card_folder = tmp_path / "card"
    assert main(["convert", str(out), "--output", str(card_folder), "--to", "huggingface"]) == 0
    card = (card_folder / "README.md").read_text()
    assert f"base_model: {NAME}" in card and "pipeline_tag: text-classification" in card
    assert "license: apache-2.0\n" in card
    assert record["command"] in card and "| epochs | 1 |" in card and "| train rows | 2 |" in card


def test_push(hub, tmp_path, capsys, monkeypatch):
    save(tmp_path / "a", make("task", task=TASK))
    out = tmp_path / "b"
    command = ["convert", str(tmp_path / "a"), "--output", str(out), "--to", "huggingface"]
    command += ["--push", "me/topics"]
    assert main(command) == 1
    error = capsys.readouterr().err
    assert f"{out} is written, but not pushed: " in error and "needs a token" in error
    assert_same(from_huggingface(out), make("task", task=TASK))
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert main([*command[:3], str(tmp_path / "c"), *command[4:]]) == 0
    assert "/me/topics" in capsys.readouterr().out
    assert "# topics" in hub.repositories["me/topics"]["README.md"].decode()
    assert_same(from_huggingface("hf:me/topics"), make("task", task=TASK))
    with pytest.raises(SystemExit, match="2"):
        main([*command[:4], "--push", "me/topics"])
    assert "--push needs --to huggingface" in capsys.readouterr().err


def test_shards_and_modules_and_old_files():
    names = ["model.safetensors.index.json", "model-00001-of-00002.safetensors"]
    names += ["model-00002-of-00002.safetensors", "vocab.txt", "modules.json"]
    dense = ["2_Dense/config.json", "2_Dense/pytorch_model.bin"]
    rest = ["pytorch_model.bin", "flax_model.msgpack", "openvino/model.safetensors", "a/vocab.txt"]
    assert set(hubs.needed_files([*names, *dense, *rest])) == {*names, *dense}
    google = ["bert_config.json", "vocab.txt", "bert_model.ckpt.index"]
    google += ["bert_model.ckpt.data-00000-of-00001"]
    assert set(hubs.needed_files([*google, "bert_model.ckpt.meta"])) == set(google)


def test_seeds_in_a_card(tmp_path):
    from kbert.checkpoints.model_card import model_card

    checkpoint = make("task", task=TASKS["classification"])
    summary = {"from": "a", "seed": 2, "scores": {"accuracy": 0.5}, "train": "a.tsv"}
    report = {
        "runs": {"seed=1": {}, "seed=2": {}},
        "mean": {"accuracy": 0.25},
        "standard_deviation": {"accuracy": 0.125},
    }
    (tmp_path / "finetune.json").write_text(json.dumps(summary))
    (tmp_path / "runs.json").write_text(json.dumps(report))
    card = model_card(tmp_path, "topics", checkpoint, False)
    assert "| accuracy | 0.5000 | 0.2500 ± 0.1250 |" in card
    assert "2 runs (seed=1, seed=2)" in card
    # Of runs of which one alone has a score there is no deviation.
    report["standard_deviation"] = {"accuracy": None}
    (tmp_path / "runs.json").write_text(json.dumps(report))
    card = model_card(tmp_path, "topics", checkpoint, False)
    assert "| accuracy | 0.5000 | 0.2500 |" in card


def test_a_preset_of_keras_hub(tmp_path, monkeypatch, capsys):
    from kbert import to_keras_hub

    asked = []
    encoder = make("encoder")
    to_keras_hub(tmp_path / "7", encoder)

    def model_download(handle, path=None):
        asked.append((handle, path))
        return str(tmp_path / "7" / (path or ""))

    monkeypatch.setattr("kagglehub.model_download", model_download)
    hubs._fetched.cache_clear()
    assert_same(from_keras_hub("keras:bert_tiny_en_uncased"), encoder)
    assert {path for _, path in asked} == set(hubs._PRESET)
    assert asked[0][0].startswith("keras/bert/keras/bert_tiny_en_uncased/")
    assert (
        hubs.pinned("keras:bert_tiny_en_uncased")
        == "kaggle:keras/bert/keras/bert_tiny_en_uncased/7"
    )
    with pytest.raises(DataError, match="keras:none must be one of keras-hub's .*bert_base_en,"):
        from_keras_hub("keras:none")
    hubs._fetched.cache_clear()
