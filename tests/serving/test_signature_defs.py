"""What an export says of itself, and that the request it shows is answered."""

import pytest
from starlette.testclient import TestClient

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


def test_what_is_no_export_is_refused(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"\xff")
    with pytest.raises(DataError, match="is not a SavedModel"):
        read_signatures(tmp_path)
