"""Classification, regression and multi-label classification in a graph."""

import tensorflow as tf

from kbert.serving.graph.base import OutputsGraph, Tensors, float32, float64


class ClassificationGraph(OutputsGraph):
    """`label`, `score` (batch,); `probabilities` (batch, labels), in the order of task.json."""

    def decode(self, outputs: Tensors) -> Tensors:
        probabilities = tf.nn.softmax(float64(outputs, "logits"))
        best = tf.argmax(probabilities, axis=-1)
        return float32(
            {
                "label": tf.gather(tf.constant(self.task.labels), best),
                "score": tf.reduce_max(probabilities, axis=-1),
                "probabilities": probabilities,
            }
        )


class RegressionGraph(OutputsGraph):
    """`value` (batch,)."""

    def decode(self, outputs: Tensors) -> Tensors:
        value = float64(outputs, "value")[:, 0]
        return float32({"value": self.task.mean + self.task.deviation * value})


class MultiLabelGraph(OutputsGraph):
    """`labels` (batch, all labels): those that apply, the likeliest first, then ""; `num_labels`
    (batch,) says how many; `probabilities` (batch, all labels), in the order of task.json."""

    def decode(self, outputs: Tensors) -> Tensors:
        probabilities = tf.sigmoid(float64(outputs, "logits"))
        order = tf.argsort(probabilities, direction="DESCENDING", stable=True)
        ranked = tf.gather(probabilities, order, batch_dims=1)
        applies = ranked >= self.task.threshold
        names = tf.gather(tf.constant(self.task.labels), order)
        return float32(
            {
                "labels": tf.where(applies, names, ""),
                "num_labels": tf.reduce_sum(tf.cast(applies, tf.int32), axis=-1),
                "probabilities": probabilities,
            }
        )
