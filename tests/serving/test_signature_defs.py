"""What an export says of itself, and that the request it shows is answered."""

import re

import pytest
from absl import flags
from absl.testing import flagsaver
from starlette.testclient import TestClient
from tensorflow.python.tools import saved_model_cli

from apps.cli import run_command
from kbert.errors import DataError
from kbert.serving.http.app import application
from kbert.serving.models import Models
from kbert.serving.signature_defs import example_request, inspect_export, read_signatures


@pytest.mark.parametrize("name", ["pairs", "choice"])
def test_the_shown_request_is_answered(name, request):
    _, folder = request.getfixturevalue(name)
    body = example_request(read_signatures(folder / "1")["serving_default"])
    with TestClient(application(Models({"m": folder}))) as client:
        found = client.post("/v1/models/m:predict", json=body)
    assert found.status_code == 200, found.text
    assert all(len(column) == 1 for column in found.json()["outputs"].values())


def test_an_export_is_described(pairs, capsys):
    checkpoint, folder = pairs
    assert run_command("inspect", [str(folder)]) == 0
    printed = capsys.readouterr().out
    lines = [line.split(None, 1) for line in printed.splitlines()]
    assert ["second", "string (?,)"] in lines
    assert ["token_ids", "int32 (?, ?)"] in lines
    assert ["labels", "['no', 'yes']"] in lines
    assert ["lowercase", "True"] in lines
    size = (folder / "1" / "variables" / "variables.data-00000-of-00001").stat().st_size
    said = inspect_export(folder / "1")["size"]["weights"]
    assert size < int(said.split()[0].replace(",", "")) < size + 20_000


def test_tensorflows_own_command_shows_readable_names(pairs, capsys):
    """`saved_model_cli show --dir FOLDER --all`: the names, types and shapes that docs/serving.md
    promises, in each signature."""
    folder = str(pairs[1] / "1")
    with flagsaver.flagsaver():
        flags.FLAGS(["saved_model_cli", "--dir", folder, "--all"])
        saved_model_cli.show()
    found = re.findall(
        r"signature_def\['(.+)'\]|(input|output)s\['(.+)'\] tensor_info:\s+"
        r"dtype: (\w+)\s+shape: (.+)",
        capsys.readouterr().out,
    )
    shown, tensors = {}, []
    for signature, kind, name, dtype, shape in found:
        if signature:
            tensors = shown.setdefault(signature, [])
        else:
            tensors.append((kind, name, dtype, shape))
    ids = [
        ("input", name, "DT_INT32", "(-1, -1)")
        for name in ("padding_mask", "segment_ids", "token_ids")
    ]
    answers = [
        ("output", "label", "DT_STRING", "(-1)"),
        ("output", "probabilities", "DT_FLOAT", "(-1, 2)"),
        ("output", "score", "DT_FLOAT", "(-1)"),
    ]
    texts = [("input", name, "DT_STRING", "(-1)") for name in ("second", "text")]
    shapes = {
        "serving_default": texts + answers,
        "token_ids": ids + answers,
        "model_outputs": [*ids, ("output", "logits", "DT_FLOAT", "(-1, 2)")],
    }
    assert {name: sorted(shown[name]) for name in shapes} == {
        name: sorted(expected) for name, expected in shapes.items()
    }


def test_what_is_no_export_is_refused(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"\xff")
    with pytest.raises(DataError, match="is not a SavedModel"):
        read_signatures(tmp_path)
