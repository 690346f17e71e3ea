"""Requests that TensorFlow Serving sends itself when it loads a model, so that no client waits.

PATH/VERSION/assets.extra/tf_serving_warmup_requests    a TFRecord file of PredictionLog
(https://www.tensorflow.org/tfx/serving/saved_model_warmup)
"""

import pathlib

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from kbert.serving.signature_defs import SIGNATURE, read_signatures

# Words: a short text, one of usual length, and one that is cut in most models.
_WORDS = (1, 20, 600)


def write_warmup(folder: pathlib.Path, name: str) -> None:
    """Add the requests to a SavedModel. `name` is the model's, under which it is served."""
    path = folder / "assets.extra" / "tf_serving_warmup_requests"
    path.parent.mkdir()
    inputs = read_signatures(folder)[SIGNATURE].inputs
    with tf.io.TFRecordWriter(str(path)) as writer:
        for words in _WORDS:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = name
            request.model_spec.signature_name = SIGNATURE
            for field, tensor in inputs.items():
                shape = [1, 2][: len(tensor.shape)]
                texts = tf.fill(shape, " ".join(["word"] * words))
                request.inputs[field].CopyFrom(tf.make_tensor_proto(texts))
            log = prediction_log_pb2.PredictLog(request=request)
            record = prediction_log_pb2.PredictionLog(predict_log=log)
            writer.write(record.SerializeToString())
