"""How cores are divided among batches."""

import json

import pytest

from kbert.serving.cores import divide_cores
from kbert.serving.settings import ServerSettings

MINI = {"num_layers": 4, "hidden_dim": 256, "intermediate_dim": 1024}
BASE = {"num_layers": 12, "hidden_dim": 768, "intermediate_dim": 3072}


def folder(path, encoder):
    (path / "1" / "assets").mkdir(parents=True)
    (path / "1" / "saved_model.pb").touch()
    (path / "1" / "assets" / "config.json").write_text(json.dumps({"encoder": encoder}))
    return path


@pytest.mark.parametrize(
    ("encoders", "cores", "threads", "batches"),
    [([MINI], 8, 1, 8), ([MINI], 1, 1, 1), ([BASE], 8, 8, 2), ([MINI, BASE], 2, 2, 2)],
)
def test_small_batches_share_the_cores_and_large_ones_take_all(
    tmp_path, encoders, cores, threads, batches
):
    folders = [folder(tmp_path / str(n), encoder) for n, encoder in enumerate(encoders)]
    found = divide_cores(ServerSettings(), folders, cores)
    assert (found.threads_per_batch, found.batches_at_once) == (threads, batches)
    told = ServerSettings(threads_per_batch=4, batches_at_once=3)
    assert divide_cores(told, folders, cores) == told
