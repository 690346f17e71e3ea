"""Models without a task in a graph: an encoder's vectors, a pre-training model's filled masks."""

import tensorflow as tf

from kbert.serving.graph.base import OutputsGraph, Tensors


class EmbeddingGraph(OutputsGraph):
    """`embedding` (batch, width); of the tokens `sequence_output` (batch, sequence, hidden) and
    `padding_mask` (batch, sequence), which tells them from padding; of an encoder with a pooler
    `pooled_output` (batch, hidden)."""

    def answer_ids(self, inputs: Tensors) -> Tensors:
        return self.forward(inputs) | {"padding_mask": tf.identity(inputs["padding_mask"])}

    def inputs(self, text: tf.Tensor) -> Tensors:
        return super().inputs(tf.strings.join([self.task.prompt, text]))


class FillMaskGraph(OutputsGraph):
    """`token`, `score` (batch, masks, top): the likeliest pieces for each [MASK] of a text and
    their probabilities; `num_masks` (batch,) of each text among its tokens."""

    def answer_ids(self, inputs: Tensors) -> Tensors:
        is_mask = inputs["token_ids"] == self.tokenizer.mask_id
        counts = tf.reduce_sum(tf.cast(is_mask, tf.int32), axis=1)
        return self.forward(inputs) | {"num_masks": counts}

    def inputs(self, text: tf.Tensor) -> Tensors:
        length = self.task.sequence_length
        return self.tokenizer(text, sequence_length=length, special_tokens=True)
