"""Multiple choice in a graph."""

import tensorflow as tf

from kbert.serving.graph.base import OutputsGraph, Tensors, float32, float64


class MultipleChoiceGraph(OutputsGraph):
    """`label`, the number of the best choice, `score` (batch,); `probabilities` (batch, choices), 0
    where a row has no choice; of strings also the best choice's text, `choice` (batch,)."""

    def __init__(self, task, tokenizer, forward):
        super().__init__(task, tokenizer, forward)
        self.string_shapes = {"context": [None], "question": [None], "choices": [None, None]}

    def answer(self, context: tf.Tensor, question: tf.Tensor, choices: tf.Tensor) -> Tensors:
        answers = super().answer(context=context, question=question, choices=choices)
        return answers | {"choice": tf.gather(choices, answers["label"], batch_dims=1)}

    def inputs(self, context: tf.Tensor, question: tf.Tensor, choices: tf.Tensor) -> Tensors:
        """As `MultipleChoiceTask.encode`, row by row.

        Args:
            context: (batch,).
            question: (batch,); "" where there is none.
            choices: (batch, choices); "" where a row has fewer choices than others.

        Returns:
            `token_ids`, `segment_ids`, `padding_mask`, int32 (batch, choices, sequence); the mask
            is 0 throughout where there is no choice.
        """
        asked = tf.where(question == "", question, tf.strings.join([question, " "]))
        seconds = tf.strings.join([tf.broadcast_to(asked[:, None], tf.shape(choices)), choices])
        firsts = tf.broadcast_to(context[:, None], tf.shape(choices))
        flat = self.tokenizer(
            tf.reshape(firsts, [-1]),
            tf.reshape(seconds, [-1]),
            sequence_length=self.task.sequence_length,
        )
        batch, width = tf.unstack(tf.shape(choices))
        rows = {
            name: tf.reshape(values, [batch, width, tf.shape(values)[1]])
            for name, values in flat.items()
        }
        there = tf.cast(choices != "", tf.int32)
        return {**rows, "padding_mask": rows["padding_mask"] * there[:, :, None]}

    def decode(self, outputs: Tensors) -> Tensors:
        logits = float64(outputs, "logits")
        # No rows may have no choices, of which none is the best.
        logits = tf.cond(tf.size(logits) == 0, lambda: tf.zeros([0, 1], tf.float64), lambda: logits)
        probabilities = tf.nn.softmax(logits)
        return float32(
            {
                "label": tf.argmax(probabilities, axis=-1, output_type=tf.int32),
                "score": tf.reduce_max(probabilities, axis=-1),
                "probabilities": probabilities,
            }
        )
