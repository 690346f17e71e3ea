"""kbert convert, embed and similarity, as a user runs them."""

import json

import numpy as np
import pytest

from apps.cli import main
from kbert import from_huggingface, load, save, to_google, to_huggingface
from kbert.checkpoints.directory import has_pooler
from kbert.checkpoints.formats import pooling_of
from kbert.checkpoints.sentence_vectors import Pooling, write_pooling
from tests.checkpoints.published_models import TASKS, assert_same, make, minilm_folder


def kbert(*arguments):
    return main([str(argument) for argument in arguments])


def test_there_and_back(tmp_path, capsys):
    save(tmp_path / "a", make("pretraining"))
    assert kbert("convert", tmp_path / "a", "--output", tmp_path / "b", "--to", "huggingface") == 0
    assert kbert("convert", tmp_path / "b", "--output", tmp_path / "c", "--to", "google") == 0
    assert kbert("convert", tmp_path / "c", "--output", tmp_path / "d") == 0
    assert_same(load(tmp_path / "d"), make("pretraining"))
    assert "(google) -> " in capsys.readouterr().out


def test_the_encoder_alone(tmp_path, capsys):
    save(tmp_path / "a", make("task"))
    arguments = ("convert", tmp_path / "a", "--output", tmp_path / "b", "--to", "keras-hub")
    assert kbert(*arguments) == 1
    assert "no place for the task classification" in capsys.readouterr().err
    assert kbert(*arguments, "--encoder-only") == 0
    assert "encoder, " in capsys.readouterr().out
    assert kbert("convert", tmp_path / "b", "--output", tmp_path / "c") == 0
    assert load(tmp_path / "c").task is None


def test_a_model_of_tags_has_no_pooler(tmp_path, capsys):
    save(tmp_path / "a", make("task", task=TASKS["tagging"]))
    assert kbert("convert", tmp_path / "a", "--output", tmp_path / "b", "--encoder-only") == 0
    kept = load(tmp_path / "b")
    assert not has_pooler(kept.model) and set(kept.model.output) == {"sequence_output"}
    # As Hugging Face has it, too; its formats that always have one get a new one.
    command = ("convert", tmp_path / "b", "--to", "huggingface", "--output", tmp_path / "c")
    assert kbert(*command) == 0 and not has_pooler(from_huggingface(tmp_path / "c").model)
    assert "newly initialised" not in capsys.readouterr().out
    command = ("convert", tmp_path / "a", "--to", "google", "--output", tmp_path / "d")
    assert kbert(*command, "--encoder-only") == 0
    assert "has no pooler: newly initialised" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "needs"),
    [
        (["--to", "google", "--dtype", "float16"], "dtype needs an output of kbert or huggingface"),
        (["--second-column", "b"], "second_column needs a source of Hugging Face"),
        (["--lowercase"], "lowercase needs a source of Google"),
        (["--allow-missing-heads"], "allow_missing_heads needs a source of Hugging Face or"),
    ],
)
def test_an_option_that_nothing_reads(tmp_path, capsys, option, needs):
    save(tmp_path / "a", make("encoder"))
    assert kbert("convert", tmp_path / "a", "--output", tmp_path / "b", *option) == 1
    assert needs in capsys.readouterr().err and not (tmp_path / "b").exists()


def test_a_new_head_is_named(tmp_path, capsys):
    from safetensors.numpy import load_file, save_file

    to_huggingface(tmp_path / "a", make("pretraining"))
    file = tmp_path / "a" / "model.safetensors"
    save_file({k: v for k, v in load_file(file).items() if "seq_relationship" not in k}, file)
    arguments = ("convert", tmp_path / "a", "--output", tmp_path / "b")
    assert kbert(*arguments) == 1
    assert "cls.seq_relationship.weight is missing" in capsys.readouterr().err
    assert kbert(*arguments, "--allow-missing-heads") == 0
    assert "no next_sentence_head: newly initialised" in capsys.readouterr().out


def test_the_output_is_not_overwritten(tmp_path, capsys):
    to_google(tmp_path / "a", make("encoder"))
    assert kbert("convert", tmp_path / "a", "--output", tmp_path / "a") == 1
    assert "must be a new or an empty folder" in capsys.readouterr().err
    assert kbert("convert", tmp_path / "none", "--output", tmp_path / "b") == 1
    assert "There is no folder" in capsys.readouterr().err


def test_16_bits(tmp_path):
    save(tmp_path / "a", make("encoder"))
    assert kbert("convert", tmp_path / "a", "--output", tmp_path / "b", "--dtype", "float16") == 0
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in "ab"]
    assert sizes[1] < 0.7 * sizes[0]
    load(tmp_path / "b")


def test_minilm_in_every_format_that_holds_it(tmp_path, capsys):
    folder = minilm_folder()
    assert kbert("convert", folder, "--output", tmp_path / "a") == 0
    assert kbert("convert", tmp_path / "a", "--output", tmp_path / "b", "--to", "huggingface") == 0
    texts = ("A man plays the guitar.", "Someone is making music.")
    for model in (folder, tmp_path / "a", tmp_path / "b"):
        assert pooling_of(model) == Pooling("mean", normalize=True, sequence_length=256)
        capsys.readouterr()
        assert kbert("similarity", model, *texts) == 0
        # transformers, averaged over all tokens, gives 0.55079.
        assert capsys.readouterr().out == "0.5508\n"


def test_a_format_without_place_for_a_pooling(tmp_path, capsys):
    save(tmp_path / "a", make("encoder"))
    write_pooling(tmp_path / "a", Pooling("cls", layers=(-2,)))
    arguments = ("convert", tmp_path / "a", "--output", tmp_path / "b", "--to")
    assert kbert(*arguments, "google") == 1
    assert "format google has no place for how a text's vector" in capsys.readouterr().err
    assert kbert(*arguments, "huggingface") == 1
    assert "pools the last layer. Received: the layers -2" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()
    assert kbert(*arguments, "google", "--encoder-only") == 0
    assert "says how a text's vector is made, which is left out" in capsys.readouterr().out


def test_embed(tmp_path, capsys):
    save(tmp_path / "a", make("encoder"))
    (tmp_path / "texts.txt").write_text("w7 w8\nw9\n")
    (tmp_path / "rows.tsv").write_text("id\tbody\n1\tw7 w8\n2\tw9\n")
    arguments = ("embed", tmp_path / "a")
    assert kbert(*arguments, tmp_path / "texts.txt", "--output", tmp_path / "v.npy") == 0
    rows = (tmp_path / "rows.tsv", "--text-column", "body")
    assert kbert(*arguments, *rows, "--output", tmp_path / "v.jsonl") == 0
    vectors = np.load(tmp_path / "v.npy")
    lines = (tmp_path / "v.jsonl").read_text().splitlines()
    assert vectors.shape == (2, 8)
    assert [json.loads(line)["text"] for line in lines] == ["w7 w8", "w9"]
    embedded = [json.loads(line)["embedding"] for line in lines]
    np.testing.assert_array_equal(np.array(embedded, "float32"), vectors)
    assert "2 vectors of 8 numbers" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("texts.txt", "--output", "v.csv"), ".npy or .jsonl"),
        (("none.txt", "--output", "v.npy"), "none.txt"),
        (("texts.txt", "--output", "v.npy", "--layers", "7"), "layers must be"),
        (("long.txt", "--output", "v.npy"), "Text 1 has"),
        (("empty.txt", "--output", "v.npy"), "expected a text on each line"),
    ],
)
def test_what_embed_refuses(tmp_path, capsys, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "a", make("encoder"))
    (tmp_path / "texts.txt").write_text("w7 w8\n")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "long.txt").write_text("w7 " * 40)
    assert kbert("embed", "a", *arguments) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "v.npy").exists()


def test_commands_read_other_formats(tmp_path, capsys):
    save(tmp_path / "ours", make("task"))
    to_huggingface(tmp_path / "theirs", make("task"))
    (tmp_path / "rows.tsv").write_text("text\tlabel\nw7 w8\tno\nw9\tyes\n")
    answers = []
    for name in ("ours", "theirs"):
        for command in ("evaluate", "predict"):
            assert kbert(command, tmp_path / name, tmp_path / "rows.tsv") == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1] and "accuracy" in answers[0]
    options = ("--train", tmp_path / "rows.tsv", "--epochs", 1, "--validation-share", 0)
    begun = ("finetune", "classification", "--sequence-length", 16, *options)
    begun += ("--from", tmp_path / "theirs")
    assert kbert(*begun, "--output", tmp_path / "tuned") == 0
    assert load(tmp_path / "tuned").config == make("task").config
    capsys.readouterr()
    assert kbert("evaluate", tmp_path / "none", tmp_path / "rows.tsv") == 1
    assert "There is no folder" in capsys.readouterr().err
