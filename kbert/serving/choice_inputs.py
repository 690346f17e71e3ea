"""Multiple choice in an exported graph: from strings to what the model takes, row by row."""

import tensorflow as tf


def choice_inputs(
    tokenizer,
    context: tf.Tensor,
    question: tf.Tensor,
    choices: tf.Tensor,
    sequence_length: int,
) -> dict[str, tf.Tensor]:
    """As `MultipleChoiceTask.encode`, of strings.

    Args:
        tokenizer: a WordPieceTokenizer.
        context: (batch,).
        question: (batch,); "" where there is none.
        choices: (batch, choices); "" where a row has fewer choices than others.

    Returns:
        `token_ids`, `segment_ids`, `padding_mask`, int32 (batch, choices, sequence); the mask is 0
        throughout where there is no choice.
    """
    asked = tf.where(question == "", question, tf.strings.join([question, " "]))
    seconds = tf.strings.join([tf.broadcast_to(asked[:, None], tf.shape(choices)), choices])
    firsts = tf.broadcast_to(context[:, None], tf.shape(choices))
    flat = tokenizer(
        tf.reshape(firsts, [-1]), tf.reshape(seconds, [-1]), sequence_length=sequence_length
    )
    batch, width = tf.unstack(tf.shape(choices))
    rows = {
        name: tf.reshape(values, [batch, width, tf.shape(values)[1]])
        for name, values in flat.items()
    }
    there = tf.cast(choices != "", tf.int32)
    return {**rows, "padding_mask": rows["padding_mask"] * there[:, :, None]}
