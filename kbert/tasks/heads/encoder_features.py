"""What of the encoder a task's output layer sees: its last layer, or features of a frozen encoder;
with an LSTM between them or without.

The feature-based approach (BERT paper, section 5.3, table 7): the encoder's weights stay as they
are, and a BiLSTM learns from its hidden layers, which kbert/finetuning/feature_cache.py computes
once. On an encoder that learns, too, a BiLSTM is one layer more (section 5.1, table 5).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from kbert.errors import DataError
from kbert.settings import setting

if TYPE_CHECKING:
    import keras  # It takes seconds to import.

# Name of the layer behind which all is learned: (batch, sequence, width).
LAYER = "encoder_features"
# The weights are learned, so that the layers themselves are what is computed once.
_WEIGHTED = "weighted-sum"
_LAST_FOUR = 4
# A wider LSTM has more weights than BERT-base; a damaged task.json can ask for anything.
_WIDEST = 4096
# Titles of the options.
GROUP = "feature-based: a frozen encoder with a two-layer BiLSTM on it (paper, section 5.3)"
_LSTM = "a two-layer BiLSTM between encoder and output layer"


def _side_by_side(layers):
    from keras import ops

    return ops.concatenate(layers, axis=-1)


# Of the hidden states, the embedding's first: (batch, sequence, hidden) each.
FEATURES: dict[str, Callable] = {
    "embeddings": lambda states: states[0],
    "second-to-last": lambda states: states[-2],
    "last": lambda states: states[-1],
    "sum-last-four": lambda states: sum(states[-_LAST_FOUR + 1 :], states[-_LAST_FOUR]),
    f"{_WEIGHTED}-last-four": lambda states: _side_by_side(states[-_LAST_FOUR:]),
    f"{_WEIGHTED}-all": lambda states: _side_by_side(states[1:]),
    f"{_WEIGHTED}-elmo": _side_by_side,  # the embedding, too
    "concat-last-four": lambda states: _side_by_side(states[-_LAST_FOUR:]),
}


def features_setting():
    """The field `features` of a task: None where the encoder learns too."""
    return setting(
        None,
        "freeze the encoder, and learn from these of its hidden layers",
        unset="the encoder learns too",
        choices=FEATURES,
        group=GROUP,
    )


def lstm_size_setting(text: str, unset: str):
    """The field `lstm_size` of a task; `unset` says what None stands for."""
    return setting(None, text, unset=unset, group=_LSTM, at_least=1, at_most=_WIDEST)


def token_vectors(encoder: "keras.Model", features: str | None) -> "keras.KerasTensor":
    """`sequence_output`, or the features of these names: (batch, sequence, width).

    Raises DataError for an encoder with too few layers.
    """
    import keras

    from kbert.layers.pooling import WeightedSum
    from kbert.models import hidden_states

    if features is None:
        return encoder.output["sequence_output"]
    states = hidden_states(encoder)
    if features.endswith("last-four") and len(states) <= _LAST_FOUR:
        raise DataError(
            f"The features {features} need an encoder of {_LAST_FOUR} layers at least. "
            f"Received: {len(states) - 1}."
        )
    vectors = keras.layers.Identity(name=LAYER)(FEATURES[features](states))
    if features.startswith(_WEIGHTED):
        count = vectors.shape[-1] // states[0].shape[-1]
        vectors = WeightedSum(count, name="weighted_sum")(vectors)
    return vectors


def num_layers_below(features: str | None, num_layers: int) -> int:
    """How many of an encoder's layers a model on these features has: those above are left out."""
    return {"embeddings": 0, "second-to-last": num_layers - 1}.get(features, num_layers)


def with_lstm(
    encoder: "keras.Model",
    vectors: "keras.KerasTensor",
    lstm_size: int | None,
    num_layers: int = 2,
) -> "keras.KerasTensor":
    """The states of a BiLSTM that reads the vectors of the tokens: (batch, sequence, 2 x width).

    Each direction is as wide as the encoder, unless told (768 on BERT-base, as the paper's).
    """
    from kbert.layers.bilstm import BiLSTM

    if lstm_size is None:
        lstm_size = encoder.output["sequence_output"].shape[-1]
    bilstm = BiLSTM(lstm_size, num_layers=num_layers, name="bilstm")
    return bilstm(vectors, encoder.input["padding_mask"])
