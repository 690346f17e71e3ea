"""BERT's input: the sum of token, segment and position embeddings (arXiv 1810.04805, figure 2)."""

import math

import keras
from keras import ops

from kbert.layers import check_choice
from kbert.layers.dense import initializer
from kbert.layers.dropout import Dropout
from kbert.layers.kernels import multiply_by_table
from kbert.layers.position import positions, sinusoids


@keras.saving.register_keras_serializable("kbert")
class BertEmbedding(keras.layers.Layer):
    """LayerNorm(token + segment + position), dropped out; reversed: scores over the vocabulary.

    Args:
        vocabulary_size, max_sequence_length, num_segments: rows of the three tables.
        hidden_dim: their width.
        position: "learned" or "sinusoidal"; with "rotary" and "none" nothing is added.
        dropout: share of the result set to 0 in training.
        layer_norm_epsilon: added to the variance.
        initializer_stddev: of the tables.

    Call arguments:
        token_ids: integers (batch, sequence).
        segment_ids: integers (batch, sequence), 0 for the first text and 1 for the second.
        padding_mask: integers (batch, sequence), 0 for padding, otherwise the number of the
            sequence that a token belongs to; positions count from 0 inside each number.
        reverse: read the first argument as hidden vectors (batch, predictions, hidden) and return
            their products with the token table (batch, predictions, vocabulary). So the masked-LM
            output shares the table, through saving and loading too.

    Returns (batch, sequence, hidden). Raises `ValueError` for rows that are longer than
    `max_sequence_length`, where their length is known when the model is traced.
    """

    def __init__(
        self,
        vocabulary_size,
        hidden_dim,
        max_sequence_length=512,
        position="learned",
        num_segments=2,
        dropout=0.1,
        layer_norm_epsilon=1e-12,
        initializer_stddev=0.02,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_choice("position", position, ("learned", "sinusoidal", "rotary", "none"))
        self.vocabulary_size = vocabulary_size
        self.hidden_dim = hidden_dim
        self.max_sequence_length = max_sequence_length
        self.position = position
        self.num_segments = num_segments
        self.dropout = dropout
        self.layer_norm_epsilon = layer_norm_epsilon
        self.initializer_stddev = initializer_stddev
        self.norm = keras.layers.LayerNormalization(
            epsilon=layer_norm_epsilon, dtype=self.dtype_policy, name="norm"
        )
        self.output_dropout = Dropout(dropout, dtype=self.dtype_policy)

    def build(self, input_shape):
        self.token_table = self._table("token_table", self.vocabulary_size)
        self.segment_table = self._table("segment_table", self.num_segments)
        if self.position == "learned":
            self.position_table = self._table("position_table", self.max_sequence_length)
        self.norm.build((None, None, self.hidden_dim))

    def _table(self, name, rows):
        return self.add_weight(
            name=name,
            shape=(rows, self.hidden_dim),
            initializer=initializer(self.initializer_stddev),
            # Looked up in float32, so that the gradients of a frequent token add up in float32.
            autocast=False,
        )

    def call(self, token_ids, segment_ids=None, padding_mask=None, training=None, reverse=False):
        if reverse:
            return self._scores(token_ids)
        if segment_ids is None:
            segment_ids = ops.zeros_like(token_ids)
        if padding_mask is None:
            padding_mask = ops.ones_like(token_ids)
        sequence = token_ids.shape[1]
        # A dimension that is not known yet is None, or a symbol that compares with nothing on JAX.
        if isinstance(sequence, int) and sequence > self.max_sequence_length:
            raise ValueError(
                f"A row must have at most max_sequence_length={self.max_sequence_length} tokens. "
                f"Received: token_ids of shape {tuple(token_ids.shape)}."
            )
        added = self.position in ("learned", "sinusoidal")
        where = positions(padding_mask) if added else None
        return self.output_dropout(self.at(token_ids, segment_ids, where), training=training)

    def at(self, token_ids, segment_ids, positions):
        """LayerNorm(token + segment + position) of tokens at these positions, integers (batch,
        sequence)."""
        token = ops.take(self.token_table, _as_integers(token_ids), axis=0)
        segment = ops.take(self.segment_table, _as_integers(segment_ids), axis=0)
        embedded = token + segment
        if self.position == "learned":
            embedded += ops.take(self.position_table, positions, axis=0)
        elif self.position == "sinusoidal":
            # The paper adds them to sqrt(hidden) x token. Before a LayerNorm that is the same.
            embedded += sinusoids(positions, self.hidden_dim) / math.sqrt(self.hidden_dim)
        return self.norm(ops.cast(embedded, self.compute_dtype))

    def _scores(self, hidden):
        table = ops.cast(self.token_table, self.compute_dtype)
        batch, predictions, width = ops.shape(hidden)
        scores = multiply_by_table(ops.reshape(hidden, (batch * predictions, width)), table)
        return ops.reshape(scores, (batch, predictions, self.vocabulary_size))

    def get_config(self):
        names = ("vocabulary_size", "hidden_dim", "max_sequence_length", "position")
        names += ("num_segments", "dropout", "layer_norm_epsilon", "initializer_stddev")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _as_integers(ids):
    """Ids as integers: Keras builds models without declared inputs with floating point."""
    return ids if "int" in keras.backend.standardize_dtype(ids.dtype) else ops.cast(ids, "int32")
