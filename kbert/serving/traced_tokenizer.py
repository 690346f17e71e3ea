"""The tokenizer for many small calls: a graph, traced once for each kind of call."""

import tensorflow as tf

from kbert.text.tensor_strings import Texts, as_strings
from kbert.text.tokenizer import WordPieceTokenizer


class TracedTokenizer(WordPieceTokenizer):
    """`WordPieceTokenizer`, whose calls are graphs.

    Operation by operation a call takes some thirty trips into TensorFlow, which for one short text
    is longer than the model of a small encoder. A trace takes half a second: not worth it for a
    file of texts.
    """

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self._traces = {}

    def __call__(
        self,
        texts: Texts,
        seconds: Texts | None = None,
        sequence_length: int | None = None,
        padding: str = "longest",
        special_tokens: bool = False,
    ) -> dict[str, tf.Tensor]:
        """As `WordPieceTokenizer`."""
        kind = seconds is not None, sequence_length, padding, special_tokens
        if kind not in self._traces:
            self._traces[kind] = self._traced(*kind)
        columns = ([text] if isinstance(text, str) else text for text in (texts, seconds))
        return self._traces[kind](*(as_strings(c) for c in columns if c is not None))

    def _traced(self, is_pair, sequence_length, padding, special_tokens):
        call = super().__call__

        def encode(texts, seconds=None):
            return call(texts, seconds, sequence_length, padding, special_tokens)

        signature = [tf.TensorSpec([None], tf.string)] * (2 if is_pair else 1)
        return tf.function(encode, input_signature=signature, autograph=False)
