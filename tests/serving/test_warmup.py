"""What TensorFlow Serving warms up with, read back with its own messages."""

import pytest
import tensorflow as tf
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog


@pytest.mark.parametrize("name", ["pairs", "choice"])
def test_the_requests_are_answered_by_the_signature(name, request):
    _, folder = request.getfixturevalue(name)
    path = folder / "1" / "assets.extra" / "tf_serving_warmup_requests"
    records = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
    requests = [PredictionLog.FromString(record).predict_log.request for record in records]
    assert 1 <= len(requests) <= 1000  # TensorFlow Serving reads no more.
    signatures = tf.saved_model.load(str(folder / "1")).signatures
    lengths = []
    for found in requests:
        assert found.model_spec.name == folder.name
        signature = signatures[found.model_spec.signature_name]
        inputs = {field: tf.constant(tf.make_ndarray(t)) for field, t in found.inputs.items()}
        assert signature(**inputs)["score"].shape == (1,)
        lengths.append(max(len(text) for text in tf.reshape([*inputs.values()][0], [-1]).numpy()))
    assert lengths == sorted(lengths) and lengths[-1] > 100 * lengths[0]
