"""LogWriter, read back by TensorBoard itself."""

import os

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.util.tensor_util import make_ndarray

from kbert.engine.logs import LogWriter


def test_scalars_are_read_back(tmp_path):
    writer = LogWriter(tmp_path / "logs")
    writer.scalars(10, {"train/loss": 1.5, "train/accuracy": 0.25})
    writer.scalars(20, {"train/loss": 0.0})
    writer.close()
    events = EventAccumulator(str(tmp_path / "logs")).Reload()
    # A scalar of today's format is a tensor that the scalar plugin shows.
    points = {
        name: [
            (event.step, float(make_ndarray(event.tensor_proto))) for event in events.Tensors(name)
        ]
        for name in events.Tags()["tensors"]
    }
    assert points["train/loss"] == [(10, 1.5), (20, 0.0)]
    assert points["train/accuracy"] == [(10, 0.25)]
    metadata = events.SummaryMetadata("train/loss")
    assert metadata.plugin_data.plugin_name == "scalars"


def test_pictures_texts_and_curves_are_read_back(tmp_path):
    is_right = np.array([True, False, True, True, False, False])
    probabilities = np.array([0.9, 0.8, 0.55, 0.2, 0.1, 0.0])
    with LogWriter(tmp_path) as writer:
        writer.image(3, "held_out/matrix", b"\x89PNG", 2, 5)
        writer.precision_recall(3, "held_out/good", is_right, probabilities)
        writer.text(3, "watched/fill_mask", "| 中 |")
    events = EventAccumulator(str(tmp_path)).Reload()
    (event,) = events.Tensors("held_out/matrix")
    assert make_ndarray(event.tensor_proto).tolist() == [b"2", b"5", b"\x89PNG"]
    assert events.SummaryMetadata("held_out/matrix").plugin_data.plugin_name == "images"
    (event,) = events.Tensors("watched/fill_mask")
    assert make_ndarray(event.tensor_proto).item().decode("utf-8") == "| 中 |"
    assert events.SummaryMetadata("watched/fill_mask").plugin_data.plugin_name == "text"
    (event,) = events.Tensors("held_out/good")
    found = make_ndarray(event.tensor_proto)
    assert events.SummaryMetadata("held_out/good").plugin_data.plugin_name == "pr_curves"
    for column in (0, 15, 50, 85):
        # The counts at a threshold, and scikit-learn's scores of them.
        answers = probabilities >= column / 100
        hits = [answers & is_right, answers & ~is_right, ~answers & ~is_right, ~answers & is_right]
        assert found[:4, column].tolist() == [hit.sum() for hit in hits]
        precision, recall, _, _ = precision_recall_fscore_support(
            is_right, answers, average="binary", zero_division=0
        )
        assert found[4:, column] == pytest.approx([precision, recall])


def test_hyperparameters_are_read_back(tmp_path):
    writer = LogWriter(tmp_path)
    writer.hyperparameters({"rate": 0.5, "steps": 3, "start": None, "name": "x", "jit": True})
    writer.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    found = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    assert found["rate"].number_value == 0.5
    assert found["steps"].number_value == 3
    assert found["name"].string_value == "x"
    assert found["jit"].bool_value is True
    assert set(found) == {"rate", "steps", "name", "jit"}


def test_points_outlive_a_kill_once_they_are_flushed(tmp_path):
    writer = LogWriter(tmp_path)
    writer.scalars(1, {"train/loss": 1.0})
    writer.flush()  # and never closed
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [event.step for event in events.Tensors("train/loss")] == [1]
    writer.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a disk that is full")
def test_a_full_disk_is_an_error_and_no_hang(tmp_path):
    writer = LogWriter(tmp_path)
    writer._records._writer = open("/dev/full", "wb")
    with pytest.raises(OSError, match="No space left"):
        for step in range(1000):
            writer.scalars(step, {"train/loss": 1.0})
