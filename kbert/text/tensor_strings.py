"""Strings in TensorFlow: from Python's, tokens marked, bytes that are no UTF-8, lower case."""

import re
from collections.abc import Mapping, Sequence

import tensorflow as tf

from kbert.text.piece_ids import PLACEHOLDERS, check_texts

Texts = Sequence[str | bytes] | tf.Tensor

# Up to U+10FFFE: RE2 shortens a class that ends at U+10FFFF to one that takes invalid bytes too.
_VALID_UTF8 = r"[\x00-\x{d7ff}\x{e000}-\x{10fffe}]*"


def as_strings(texts: Texts) -> tf.Tensor:
    """Texts (batch,), a list of str (or bytes) or already a tensor, as a tf.string tensor."""
    if tf.is_tensor(texts):
        if texts.shape.rank not in (None, 1):
            raise ValueError(
                "Texts must be of shape (batch,): batch a dataset before you map it, and give "
                f"second texts as the second argument. Received: {tuple(texts.shape)}."
            )
        return texts
    check_texts(texts)
    # "surrogatepass": Python's strings may hold half of a surrogate pair (JSON can spell one).
    return tf.constant([_as_bytes(text) for text in texts], tf.string)


def _as_bytes(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text


def mark(texts: tf.Tensor, marks: Mapping[str, str], spaces: str = " ") -> tf.Tensor:
    """Put its placeholder, between `spaces`, in the place of each of these tokens."""
    smuggled = "".join([*PLACEHOLDERS.values(), *marks.values()])
    texts = tf.strings.regex_replace(texts, f"[{smuggled}]", "\ufffd")
    for token, character in marks.items():
        word = f"{spaces}{character}{spaces}"
        texts = tf.strings.regex_replace(texts, re.escape(token), word)
    return texts


def replace_invalid(texts: tf.Tensor) -> tf.Tensor:
    """Turn bytes that are not UTF-8 into U+FFFD, which normalisation drops."""
    valid = tf.reduce_all(tf.strings.regex_full_match(texts, _VALID_UTF8))
    return tf.cond(
        valid, lambda: texts, lambda: tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8")
    )


def lower(texts: tf.Tensor, has_accents: bool) -> tf.Tensor:
    """Lower-case each character by itself, the same in every locale.

    ICU, inside of TensorFlow, minds the language of the process and the neighbours of a few
    (Unicode's SpecialCasing.txt), which are lower-cased before it sees them.
    """
    texts = tf.strings.lower(texts)  # ASCII: "I" and "J", with any accent where those stand apart.
    for capital in "ΣİÌÍĨĮ" if has_accents else "Σ":
        texts = tf.strings.regex_replace(texts, capital, capital.lower())
    return tf.strings.lower(texts, encoding="utf-8")
