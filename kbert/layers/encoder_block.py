"""One Transformer encoder block: two residual sums, as in BERT each normalised."""

import itertools

import keras

from kbert.layers import check_choice
from kbert.layers.attention import MultiHeadSelfAttention
from kbert.layers.dense import ACTIVATIONS, GATED, TokenDense, initializer
from kbert.layers.dropout import Dropout
from kbert.layers.heads import gather

_PLACEMENTS = tuple(map("".join, itertools.product("abwn", repeat=2)))


@keras.saving.register_keras_serializable("kbert")
class TransformerEncoderBlock(keras.layers.Layer):
    """x = LayerNorm(x + attention(x)); LayerNorm(x + feed_forward(x)); or with LayerNorms in other
    places.

    Args:
        num_heads: of the attention.
        intermediate_dim: width of the feed-forward layer (4 x hidden in BERT).
        dropout: share of each sub-layer's output set to 0 in training.
        attention_dropout: share of attention probabilities set to 0 in training.
        attention_score: a key of `attention_scores.SCORES`.
        direction: of the attention, "both" or "left".
        rotary: whether it turns queries and keys by their positions.
        activation: a key of `ACTIVATIONS`.
        norm_placement: a letter for each of the two sums, `after(x + f(before(x)))`: "a" for a
            LayerNorm after, "b" before, "w" before and after, "n" none.
        layer_norm_epsilon: added to the variance.
        initializer_stddev: of the kernels.
        rematerialize: keep only the input for the backward pass of training, and compute the rest
            again there.

    Call arguments and result: as `MultiHeadSelfAttention`, and
        positions: integers (batch, n), or None. The result is that at these positions alone,
            (batch, n, hidden): of the others only queries, keys and values, a quarter of it.
    """

    def __init__(
        self,
        num_heads,
        intermediate_dim,
        dropout=0.1,
        attention_dropout=0.1,
        attention_score="scaled_dot",
        direction="both",
        rotary=False,
        activation="gelu_tanh",
        norm_placement="aa",
        layer_norm_epsilon=1e-12,
        initializer_stddev=0.02,
        rematerialize=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_choice("activation", activation, ACTIVATIONS)
        check_choice("norm_placement", norm_placement, _PLACEMENTS)
        self.num_heads = num_heads
        self.intermediate_dim = intermediate_dim
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.attention_score = attention_score
        self.direction = direction
        self.rotary = rotary
        self.activation = activation
        self.norm_placement = norm_placement
        self.layer_norm_epsilon = layer_norm_epsilon
        self.initializer_stddev = initializer_stddev
        self.rematerialize = rematerialize
        self.attention = MultiHeadSelfAttention(
            num_heads,
            dropout=attention_dropout,
            score=attention_score,
            direction=direction,
            rotary=rotary,
            initializer_stddev=initializer_stddev,
            dtype=self.dtype_policy,
            name="attention",
        )
        attention, feed_forward = norm_placement
        self.attention_input_norm = self._norm("attention_input_norm", attention in "bw")
        self.attention_norm = self._norm("attention_norm", attention in "aw")
        self.intermediate_input_norm = self._norm("intermediate_input_norm", feed_forward in "bw")
        self.output_norm = self._norm("output_norm", feed_forward in "aw")
        self.residual_dropout = Dropout(dropout, dtype=self.dtype_policy)

    def _norm(self, name, is_there):
        if not is_there:
            return keras.layers.Identity(dtype=self.dtype_policy, name=name)
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
            GATED.get(self.activation, 1) * self.intermediate_dim,
            "intermediate",
            ACTIVATIONS[self.activation](),
        )
        self.output_dense = self._dense(hidden, "output")
        self.attention_input_norm.build(input_shape)
        self.attention.build(input_shape)
        self.attention_norm.build(input_shape)
        self.intermediate_input_norm.build(input_shape)
        self.intermediate.build(input_shape)
        self.output_dense.build((*input_shape[:-1], self.intermediate_dim))
        self.output_norm.build(input_shape)

    def call(
        self, x, padding_mask=None, training=None, return_attention_scores=False, positions=None
    ):
        if self.rematerialize and training and not return_attention_scores:
            x = self._call_again_for_gradients(x, padding_mask)
            return x if positions is None else gather(x, positions)
        return self._call(x, padding_mask, training, return_attention_scores, positions)

    def _call_again_for_gradients(self, x, padding_mask):
        """The block in training as a pure function, so that it can be computed twice.

        The weights and the states of dropout's generators go in and out by hand: Keras's own scope
        for this (`keras.RematScope`) draws other masks the second time. Integers are no arguments:
        TensorFlow warns of each that it can have no gradient.
        """
        weights = [v for v in self.variables if v.trainable]
        states = [v for v in self.variables if "seed_generator_state" in v.path]
        # Copies: a variable of TensorFlow would be read again after dropout has moved it on.
        weight_values, state_values = (
            [keras.ops.copy(v.value) for v in part] for part in (weights, states)
        )

        def run(x, weight_values):
            mapping = [
                *zip(weights, weight_values, strict=True),
                *zip(states, state_values, strict=True),
            ]
            with keras.StatelessScope(state_mapping=mapping) as scope:
                x = self._call(x, padding_mask, True)
                return x, [scope.get_current_value(state) for state in states]

        x, new_states = keras.remat(run)(x, weight_values)
        for state, value in zip(states, new_states, strict=True):
            state.assign(value)
        return x

    def _call(self, x, padding_mask, training, return_attention_scores=False, positions=None):
        attended = self.attention(
            self.attention_input_norm(x),
            padding_mask,
            training=training,
            return_attention_scores=return_attention_scores,
            positions=positions,
        )
        if return_attention_scores:
            attended, scores = attended
        if positions is not None:
            x = gather(x, positions)
        x = self._with_both_sums(x, attended, training)
        return (x, scores) if return_attention_scores else x

    def after(self, x, memory):
        """The block for the tokens that follow those in a `Memory`: (batch, n, hidden), and the
        memory of all."""
        attended, memory = self.attention.after(self.attention_input_norm(x), memory)
        return self._with_both_sums(x, attended, training=False), memory

    def _with_both_sums(self, x, attended, training):
        x = self.attention_norm(x + self.residual_dropout(attended, training=training))
        inner = self.intermediate(self.intermediate_input_norm(x), training=training)
        transformed = self.output_dense(inner)
        return self.output_norm(x + self.residual_dropout(transformed, training=training))

    def get_config(self):
        names = ("num_heads", "intermediate_dim", "dropout", "attention_dropout")
        names += ("attention_score", "direction", "rotary", "activation", "norm_placement")
        names += ("layer_norm_epsilon", "initializer_stddev", "rematerialize")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
