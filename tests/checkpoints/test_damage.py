"""Damaged files of every format: an error that names the file, or no harm, never a crash."""

import json
import struct
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from kbert import from_google, from_huggingface, load, save, to_google, to_huggingface
from kbert.errors import DataError
from tests.checkpoints.published_models import make
from tests.conftest import ROOT

FORMATS = {
    "kbert": (save, load, ("config.json", "vocab.txt", "model.safetensors")),
    "huggingface": (
        to_huggingface,
        from_huggingface,
        ("config.json", "vocab.txt", "model.safetensors", "tokenizer_config.json"),
    ),
    "google": (to_google, from_google, ("bert_config.json", "vocab.txt", "bert_model.ckpt.index")),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One small encoder in each format."""
    folders = {}
    for name, (write, _, _) in FORMATS.items():
        folders[name] = tmp_path_factory.mktemp(name)
        write(folders[name], make("encoder"))
    return folders


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=12)
@given(data=st.data())
def test_bytes_that_changed(folders, name, data):
    _, read, files = FORMATS[name]
    file = folders[name] / data.draw(st.sampled_from(files))
    whole = file.read_bytes()
    raw = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(bytes(raw[: data.draw(st.sampled_from([len(raw), len(raw) // 2, 7, 0]))]))
    try:
        read(folders[name])
    except (DataError, UserWarning):  # A vocabulary of nearly all the pieces is only warned of.
        pass
    finally:
        file.write_bytes(whole)


@pytest.mark.parametrize("name", ["kbert", "huggingface"])
@pytest.mark.parametrize(
    "raw",
    [
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 40) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        b"",
    ],
)
def test_a_header_that_lies(folders, name, raw):
    file = folders[name] / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(raw)
    try:
        with pytest.raises(DataError, match=r"model\.safetensors"):
            FORMATS[name][1](folders[name])
    finally:
        file.write_bytes(whole)


_LOAD_LARGE = """
import sys, threading, time
import kbert.checkpoints.huggingface.directory as huggingface
import kbert.text.tokenizer
import tensorflow as tf
tf.ones((8, 8)) @ tf.ones((8, 8))
def allocated():  # without the pages of mapped files, which the system can take back
    with open("/proc/self/status") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith("RssAnon"))
before, most = allocated(), 0
def watch():
    global most
    while True:
        most = max(most, allocated() - before)
        time.sleep(0.002)
threading.Thread(target=watch, daemon=True).start()
huggingface.from_huggingface(sys.argv[1])
print(most)
"""


@pytest.mark.slow
def test_memory_of_bert_large(tmp_path):
    """At most 1.3 times the weights, above what the imports take."""
    fields = {
        "model_type": "bert",
        "vocab_size": 30522,
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "hidden_act": "gelu",
    }
    (tmp_path / "config.json").write_text(json.dumps(fields))
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = special + [f"w{n}" for n in range(30522 - len(special))]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces) + "\n")
    hidden, inner = 1024, 4096
    arrays = {
        "embeddings.word_embeddings.weight": (30522, hidden),
        "embeddings.position_embeddings.weight": (512, hidden),
        "embeddings.token_type_embeddings.weight": (2, hidden),
        "embeddings.LayerNorm.weight": (hidden,),
        "embeddings.LayerNorm.bias": (hidden,),
        "pooler.dense.weight": (hidden, hidden),
        "pooler.dense.bias": (hidden,),
    }
    for layer in range(24):
        for name, sizes in {
            "attention.self.query": (hidden, hidden),
            "attention.self.key": (hidden, hidden),
            "attention.self.value": (hidden, hidden),
            "attention.output.dense": (hidden, hidden),
            "attention.output.LayerNorm": (hidden,),
            "intermediate.dense": (inner, hidden),
            "output.dense": (hidden, inner),
            "output.LayerNorm": (hidden,),
        }.items():
            arrays[f"encoder.layer.{layer}.{name}.weight"] = sizes
            arrays[f"encoder.layer.{layer}.{name}.bias"] = sizes[:1]
    zeros = {name: np.zeros(shape, "float32") for name, shape in arrays.items()}
    size = sum(array.nbytes for array in zeros.values())
    assert size == 4 * 335_141_888
    safetensors.numpy.save_file(zeros, tmp_path / "model.safetensors")
    del zeros
    done = subprocess.run(
        [sys.executable, "-c", _LOAD_LARGE, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 1.3 * size
