"""One Transformer encoder block, normalised after each residual sum as in BERT."""

import keras

from kbert.layers.attention import MultiHeadSelfAttention
from kbert.layers.dense import ACTIVATIONS, TokenDense, initializer
from kbert.layers.dropout import Dropout


@keras.saving.register_keras_serializable("kbert")
class TransformerEncoderBlock(keras.layers.Layer):
    """x = LayerNorm(x + attention(x)); LayerNorm(x + feed_forward(x)).

    Args:
        num_heads: of the attention.
        intermediate_dim: width of the feed-forward layer (4 x hidden in BERT).
        dropout: share of each sub-layer's output set to 0 in training.
        attention_dropout: share of attention probabilities set to 0 in training.
        direction: of the attention, "both" or "left".
        activation: "gelu_tanh", "gelu_erf" or "relu".
        layer_norm_epsilon: added to the variance.
        initializer_stddev: of the kernels.
        rematerialize: keep only the input for the backward pass of training, and compute the rest
            again there.

    Call arguments and result: as `MultiHeadSelfAttention`.
    """

    def __init__(
        self,
        num_heads,
        intermediate_dim,
        dropout=0.1,
        attention_dropout=0.1,
        direction="both",
        activation="gelu_tanh",
        layer_norm_epsilon=1e-12,
        initializer_stddev=0.02,
        rematerialize=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.intermediate_dim = intermediate_dim
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.direction = direction
        self.activation = activation
        self.layer_norm_epsilon = layer_norm_epsilon
        self.initializer_stddev = initializer_stddev
        self.rematerialize = rematerialize
        self.attention = MultiHeadSelfAttention(
            num_heads,
            dropout=attention_dropout,
            direction=direction,
            initializer_stddev=initializer_stddev,
            dtype=self.dtype_policy,
            name="attention",
        )
        self.attention_norm = self._norm("attention_norm")
        self.output_norm = self._norm("output_norm")
        self.residual_dropout = Dropout(dropout, dtype=self.dtype_policy)

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
            self.intermediate_dim, "intermediate", ACTIVATIONS[self.activation]()
        )
        self.output_dense = self._dense(hidden, "output")
        self.attention.build(input_shape)
        self.attention_norm.build(input_shape)
        self.intermediate.build(input_shape)
        self.output_dense.build((*input_shape[:-1], self.intermediate_dim))
        self.output_norm.build(input_shape)

    def call(self, x, padding_mask=None, training=None, return_attention_scores=False):
        if self.rematerialize and training and not return_attention_scores:
            return self._call_again_for_gradients(x, padding_mask)
        return self._call(x, padding_mask, training, return_attention_scores)

    def _call_again_for_gradients(self, x, padding_mask):
        """The block in training as a pure function, so that it can be computed twice.

        The weights and the states of dropout's generators go in and out by hand: Keras's own scope
        for this (`keras.RematScope`) draws other masks the second time. Integers are no arguments:
        TensorFlow warns of each that it can have no gradient.
        """
        weights = [v for v in self.variables if v.trainable]
        states = [v for v in self.variables if "seed_generator_state" in v.path]
        weight_values, state_values = (
            [keras.ops.convert_to_tensor(v.value) for v in part] for part in (weights, states)
        )

        def run(x, weight_values):
            mapping = [
                *zip(weights, weight_values, strict=True),
                *zip(states, state_values, strict=True),
            ]
            with keras.StatelessScope(state_mapping=mapping) as scope:
                x = self._call(x, padding_mask, True, False)
                return x, [scope.get_current_value(state) for state in states]

        x, new_states = keras.remat(run)(x, weight_values)
        for state, value in zip(states, new_states, strict=True):
            state.assign(value)
        return x

    def _call(self, x, padding_mask, training, return_attention_scores):
        attended = self.attention(
            x, padding_mask, training=training, return_attention_scores=return_attention_scores
        )
        if return_attention_scores:
            attended, scores = attended
        x = self.attention_norm(x + self.residual_dropout(attended, training=training))
        transformed = self.output_dense(self.intermediate(x, training=training))
        x = self.output_norm(x + self.residual_dropout(transformed, training=training))
        return (x, scores) if return_attention_scores else x

    def get_config(self):
        names = ("num_heads", "intermediate_dim", "dropout", "attention_dropout", "direction")
        names += ("activation", "layer_norm_epsilon", "initializer_stddev", "rematerialize")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
