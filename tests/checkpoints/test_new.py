"""kbert new: an encoder of random weights that every command takes."""

import dataclasses

import numpy as np
import pytest

from apps.cli import run_command
from kbert import load
from kbert.checkpoints.new import NewEncoder, write_new
from kbert.errors import DataError
from kbert.text.vocabulary import save_vocabulary
from tests.tiny_checkpoint import WORDS, write_rows

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(WORDS), "##s"]
SMALL = NewEncoder(preset="tiny", hidden_dim=8, architecture="bilstm")


@pytest.fixture
def vocabulary(tmp_path):
    save_vocabulary(tmp_path / "vocab.txt", PIECES)
    return tmp_path / "vocab.txt"


def test_the_same_seed_gives_the_same_weights(vocabulary, tmp_path):
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        write_new(tmp_path / name, vocabulary, dataclasses.replace(SMALL, seed=seed))
    one, same, other = (load(tmp_path / name) for name in ("one", "same", "other"))
    assert one.config.architecture == "bilstm" and one.tokenizer.vocabulary == PIECES
    tables = [c.model.get_layer("embedding").token_table.numpy() for c in (one, same, other)]
    assert np.array_equal(tables[0], tables[1]) and not np.array_equal(tables[0], tables[2])


def test_vectors_of_words(vocabulary, tmp_path):
    file = tmp_path / "vectors.txt"
    file.write_text("film" + " 3" * 8 + "\nsaw" + " -3" * 8 + "\nunknown" + " 1" * 8 + "\n")
    settings = dataclasses.replace(SMALL, word_vectors=str(file))
    checkpoint, num_found = write_new(tmp_path / "new", vocabulary, settings)
    table = checkpoint.model.get_layer("embedding").token_table.numpy()
    assert num_found == 2
    assert (table[PIECES.index("film")] == 3).all() and (table[PIECES.index("saw")] == -3).all()
    assert 1.5 < table[PIECES.index("the")].std() < 6  # as large as the others, which spread by 3
    file.write_text("unknown" + " 1" * 8 + "\n")
    with pytest.raises(DataError, match="vectors.txt has no word of .*vocab.txt"):
        write_new(tmp_path / "no", vocabulary, settings)


def test_what_is_refused(vocabulary, tmp_path):
    for changes, said in (
        ({"position": "rotary"}, "position can be of a Transformer only"),
        ({"hidden_dim": 9}, "even for LSTMs"),
    ):
        with pytest.raises(DataError, match=said):
            write_new(tmp_path / "no", vocabulary, dataclasses.replace(SMALL, **changes))
    with pytest.raises(DataError, match="must be a new or an empty folder"):
        write_new(tmp_path, vocabulary, SMALL)


@pytest.mark.slow
def test_it_is_fine_tuned_by_the_ordinary_command(vocabulary, tmp_path, capsys):
    new = f"{vocabulary} --output {tmp_path}/new --architecture bilstm --preset tiny"
    assert run_command("new", [*new.split(), "--hidden-dim", "16"]) == 0
    rows = write_rows(tmp_path / "train.tsv", 64, seed=0)
    command = (
        f"classification --from {tmp_path}/new --train {rows} --validation {rows} "
        f"--output {tmp_path}/tuned --epochs 4 --batch-size 8 --learning-rate 0.02 --dropout 0"
    )
    assert run_command("finetune", command.split()) == 0, capsys.readouterr().err
    model, tokenizer, config, task = load(tmp_path / "tuned")
    assert config.architecture == "bilstm"
    logits = np.array(model(tokenizer(["the film was good", "the film was bad"]))["logits"])
    assert [task.labels[best] for best in logits.argmax(axis=-1)] == ["good", "bad"]
