"""One Transformer encoder block, normalised after each residual sum as in BERT."""

import keras

from kbert.layers.activation import ACTIVATIONS
from kbert.layers.attention import MultiHeadSelfAttention
from kbert.layers.initializer import initializer
from kbert.layers.token_dense import TokenDense


@keras.saving.register_keras_serializable("kbert")
class TransformerEncoderBlock(keras.layers.Layer):
    """x = LayerNorm(x + attention(x)); LayerNorm(x + feed_forward(x)).

    Args:
        num_heads: of the attention.
        intermediate_dim: width of the feed-forward layer (4 x hidden in BERT).
        dropout: share of each sub-layer's output set to 0 in training.
        attention_dropout: share of attention probabilities set to 0 in training.
        activation: "gelu_tanh", "gelu_erf" or "relu".
        layer_norm_epsilon: added to the variance.
        initializer_stddev: of the kernels.

    Call arguments and result: as `MultiHeadSelfAttention`.
    """

    def __init__(
        self,
        num_heads,
        intermediate_dim,
        dropout=0.1,
        attention_dropout=0.1,
        activation="gelu_tanh",
        layer_norm_epsilon=1e-12,
        initializer_stddev=0.02,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.intermediate_dim = intermediate_dim
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.activation = activation
        self.layer_norm_epsilon = layer_norm_epsilon
        self.initializer_stddev = initializer_stddev
        self.attention = MultiHeadSelfAttention(
            num_heads,
            dropout=attention_dropout,
            initializer_stddev=initializer_stddev,
            dtype=self.dtype_policy,
            name="attention",
        )
        self.attention_norm = self._norm("attention_norm")
        self.output_norm = self._norm("output_norm")
        self.residual_dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)

    def _norm(self, name):
        return keras.layers.LayerNormalization(
            epsilon=self.layer_norm_epsilon, dtype=self.dtype_policy, name=name
        )

    def _dense(self, units, name, activation=None):
        return TokenDense(
            units,
            activation=activation,
            kernel_initializer=initializer(self.initializer_stddev),
            dtype=self.dtype_policy,
            name=name,
        )

    def build(self, input_shape):
        hidden = input_shape[-1]
        self.intermediate = self._dense(
            self.intermediate_dim, "intermediate", ACTIVATIONS[self.activation]
        )
        self.output_dense = self._dense(hidden, "output")
        self.attention.build(input_shape)
        self.attention_norm.build(input_shape)
        self.intermediate.build(input_shape)
        self.output_dense.build((*input_shape[:-1], self.intermediate_dim))
        self.output_norm.build(input_shape)

    def call(self, x, padding_mask=None, training=None, return_attention_scores=False):
        attended, scores = self.attention(
            x, padding_mask, training=training, return_attention_scores=True
        )
        x = self.attention_norm(x + self.residual_dropout(attended, training=training))
        transformed = self.output_dense(self.intermediate(x))
        x = self.output_norm(x + self.residual_dropout(transformed, training=training))
        return (x, scores) if return_attention_scores else x

    def get_config(self):
        names = ("num_heads", "intermediate_dim", "dropout", "attention_dropout", "activation")
        names += ("layer_norm_epsilon", "initializer_stddev")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
