"""BERT's tokenizer in TensorFlow: the same operations eagerly and in an exported graph.

Text is normalised, split into words and matched against the vocabulary, longest piece first:

    "Élan vital!"  ->  "elan vital!"  ->  elan | vital | !  ->  el ##an vital !

tensorflow-text splits and matches. Its own lower-casing (`lower_case_nfd_strip_accents`) is not
BERT's: it turns a Chinese comma into an ASCII one. So normalisation is written out here.
"""

import itertools
import os
import re
from collections.abc import Iterable, Sequence

import tensorflow as tf

from kbert.errors import DataError
from kbert.text.joining import join_pieces
from kbert.text.offsets import Pieces
from kbert.text.piece_ids import PLACEHOLDERS, PieceIds, check_arguments, check_texts
from kbert.text.segments import num_special_tokens
from kbert.text.tensor_strings import Texts, as_strings, lower, mark, replace_invalid
from kbert.text.words import MAX_CHARACTERS_PER_WORD

try:
    import tensorflow_text as tf_text
except ImportError as error:
    raise DataError(
        "The tokenizer in a graph needs tensorflow-text, which has no wheel for Windows and none "
        "for Python 3.14. Everything but SavedModels works without it, with kbert.PythonTokenizer."
    ) from error

Tensors = tf.Tensor | tf.RaggedTensor

# String operations have no GPU version; the few on integers are not worth a copy there and back.
_DEVICE = "CPU:0"

# tensorflow-text's own limit counts bytes, BERT's counts characters: see `_limit_words`.
_NO_LIMIT = 2**31 - 1

# Control (but tab and line ends), format and private-use characters, and the replacement character.
_REMOVED = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x{9f}\p{Cf}\p{Co}\x{fffd}"
_PUNCTUATION = r"[!-/:-@\[-`{-~\p{P}]"
_PLAIN_ASCII = r"[\t\n\r -~]*"

# Noncharacters stand for the special tokens inside the graph, because "[MASK]" would be split at
# its brackets. No text can smuggle one in: they are removed from it first.
_PLACEHOLDER_CLASS = r"\x{fdd0}-\x{fdd4}"

# Half of a surrogate pair, which Python's strings may hold.
_HALF_OF_A_PAIR = re.compile("[\ud800-\udfff]")


class WordPieceTokenizer(PieceIds, tf.Module):
    """Text to piece ids, exactly as BERT.

    Args:
        vocabulary: a path to vocab.txt, or the list of pieces.
        lowercase: lower-case the text ("uncased").
        strip_accents: drop accents; None means: when lower-casing, as BERT does.
        split_chinese: make every Chinese character a word.
        added_tokens: pieces that are found in a text as they stand, before it is normalised and
            split: [E1] around an entity, for example.

    Attributes:
        pad_id, unk_id, cls_id, sep_id, mask_id: the ids of the special tokens.
        special_ids: all five, in this order.

    Raises:
        DataError: the vocabulary cannot be used.
    """

    def __init__(
        self,
        vocabulary: str | os.PathLike | Sequence[str],
        lowercase: bool = True,
        strip_accents: bool | None = None,
        split_chinese: bool = True,
        added_tokens: Sequence[str] = (),
    ):
        tf.Module.__init__(self, name="word_piece_tokenizer")
        PieceIds.__init__(self, vocabulary, lowercase, strip_accents, split_chinese, added_tokens)
        pieces = self._pieces
        # "un" of "##un": the characters that a piece takes from a word.
        lengths = [len(piece.removeprefix("##")) for piece in pieces]
        self._piece_length = tf.constant(lengths, tf.int32)
        self._continues_word = tf.constant([piece.startswith("##") for piece in pieces])
        self._matcher = tf_text.FastWordpieceTokenizer(
            self._matched_pieces(),
            token_out_type=tf.int32,
            unknown_token=PLACEHOLDERS["[UNK]"],
            no_pretokenization=not split_chinese,
            support_detokenization=False,
            max_bytes_per_word=_NO_LIMIT,
        )
        self._whitespace = tf_text.WhitespaceTokenizer()

    def __call__(
        self,
        texts: Texts,
        seconds: Texts | None = None,
        sequence_length: int | None = None,
        padding: str = "longest",
        special_tokens: bool = False,
    ) -> dict[str, tf.Tensor]:
        """Texts, or pairs of texts, to what an encoder takes.

        Args:
            texts: strings (batch,): a list of str or a tf.string tensor. One str is a batch of one.
            seconds: the second text of every pair, as `texts`, or None.
            sequence_length: cut rows to so many tokens; None keeps them whole.
            padding: "longest" pads to the longest row, "sequence_length" to `sequence_length`.
            special_tokens: read "[MASK]" and the like in the texts as special tokens; otherwise
                they are ordinary characters.

        Returns:
            `token_ids`, `segment_ids`, `padding_mask`, int32 (batch, sequence). The sequence axis
            has room for the special tokens, of a batch without rows too.

        Raises:
            ValueError: an unknown padding, or a `sequence_length` missing or too small.
        """
        check_arguments(seconds is not None, sequence_length, padding)
        texts, seconds = ([text] if isinstance(text, str) else text for text in (texts, seconds))
        first = self.tokenize(texts, special_tokens)
        second = None if seconds is None else self.tokenize(seconds, special_tokens)
        with tf.device(_DEVICE):
            if sequence_length is not None:
                first, second = _truncate(first, second, sequence_length)
            width = sequence_length if padding == "sequence_length" else None
            return self.pack(first, second, width)

    def pack(
        self,
        first: tf.RaggedTensor,
        second: tf.RaggedTensor | None = None,
        width: int | None = None,
    ) -> dict[str, tf.Tensor]:
        """Ids (batch, (pieces)) between their special tokens, padded: as a call's answer.

        `width` is that of the sequence axis; None for that of the longest row.
        """
        with tf.device(_DEVICE):
            token_ids, segment_ids = self._between_special_tokens(first, second)
            lengths = token_ids.row_lengths()
            shape = [None, width]
            if width is None:
                # Not 0 where there is no row: every row has its special tokens.
                shortest = tf.constant(num_special_tokens(second is not None), tf.int64)
                width = tf.reduce_max(tf.concat([lengths, [shortest]], axis=0))
                shape = tf.stack([-1, width])
            return {
                "token_ids": token_ids.to_tensor(self.pad_id, shape=shape),
                "segment_ids": segment_ids.to_tensor(0, shape=shape),
                "padding_mask": tf.sequence_mask(lengths, width, tf.int32),
            }

    def tokenize(self, texts: Texts, special_tokens: bool = False) -> tf.RaggedTensor:
        """Piece ids of each text, int32 (batch, (pieces)), without [CLS] and [SEP]."""
        with tf.device(_DEVICE):
            texts = as_strings(texts)
            marks = self._marks(special_tokens)
            if marks:
                texts = mark(texts, marks)
            texts = self._normalize(texts, keep_placeholders=bool(marks))
            if self.split_chinese:
                return self._limit_words(self._matcher.tokenize(texts))
            words = self._whitespace.tokenize(texts)
            return self._limit_words(self._matcher.tokenize(words).merge_dims(1, 2))

    def tokenize_with_offsets(
        self, texts: Sequence[str], special_tokens: bool = False
    ) -> list[Pieces]:
        """Pieces and the characters of the original text that each stands for.

        Offsets count Python's characters (code points). Accents that were dropped behind the last
        character of a piece belong to no piece.

        Returns:
            For each text its `Pieces`: ids, starts, ends, each int32 (pieces,).
        """
        check_texts(texts)
        # A character each, as they are: TensorFlow would count the bytes of half a pair.
        whole = [_HALF_OF_A_PAIR.sub("\ufffd", text) for text in texts]
        found = self.pieces_with_offsets(as_strings(whole), special_tokens)
        splits = found[0].row_splits.numpy()
        flat = [values.flat_values.numpy() for values in found]
        return [
            Pieces(*(values[begin:end] for values in flat))
            for begin, end in itertools.pairwise(splits)
        ]

    def pieces_with_offsets(
        self, texts: tf.Tensor, special_tokens: bool = False
    ) -> tuple[tf.RaggedTensor, tf.RaggedTensor, tf.RaggedTensor]:
        """`tokenize_with_offsets` of strings (batch,), in a graph too.

        A byte that is not UTF-8 counts as the characters that Python's "replace" makes of it.

        Normalisation drops and decomposes characters ("é" becomes "e", "가" two letters), but it
        treats every character by itself. So the way back is built character by character.

        Returns:
            Ids, starts and ends, each int32 (batch, (pieces)).
        """
        with tf.device(_DEVICE):
            marks = self._marks(special_tokens)
            if marks:
                texts = mark(texts, marks, spaces="")
            characters = tf.strings.unicode_decode(texts, "UTF-8")  # (batch, (characters))
            seen, numbers = tf.unique(characters.flat_values)
            units, widths = self._normalized_characters(seen, marks)
            ends = tf.cumsum(characters.with_flat_values(tf.gather(widths, numbers)), axis=1)
            starts = ends.flat_values - tf.gather(widths, numbers)
            normalized = characters.with_flat_values(tf.gather(units, numbers))
            num_bytes = tf.gather(tf.strings.length(units), numbers)
            joined = tf.strings.reduce_join(normalized, axis=1)
            ids, byte_starts, byte_ends = self._match_with_offsets(joined)
            text_bytes = tf.cast(tf.strings.length(joined), byte_starts.dtype)
            text_begins = tf.gather(tf.cumsum(text_bytes, exclusive=True), ids.value_rowids())
            first, last = (
                values.flat_values + text_begins for values in (byte_starts, byte_ends - 1)
            )
            start_of_byte, end_of_byte = (
                tf.repeat(places, num_bytes) for places in (starts, ends.flat_values)
            )
            return (
                ids,
                ids.with_flat_values(tf.gather(start_of_byte, first)),
                ids.with_flat_values(tf.gather(end_of_byte, last)),
            )

    def detokenize(self, ids: Iterable[Iterable[int]] | Tensors) -> list[str]:
        """Texts that read like the originals; what normalisation changed stays changed.

        Args:
            ids: rows of piece ids: lists, an array (batch, sequence) or a ragged tensor. [PAD],
                [CLS] and [SEP] are left out.
        """
        if tf.is_tensor(ids):  # Its values one by one would be slow.
            ids = ids.to_list() if isinstance(ids, tf.RaggedTensor) else ids.numpy().tolist()
        hidden = (self.pad_id, self.cls_id, self.sep_id)
        return [
            join_pieces(self._pieces[int(i)] for i in row if int(i) not in hidden) for row in ids
        ]

    def _normalize(self, texts: tf.Tensor, keep_placeholders: bool = False) -> tf.Tensor:
        """BERT's normalisation of strings (batch,): clean, strip accents, lower-case."""
        # Most English sentences are plain ASCII, for which lower-casing is all, and far cheaper.
        others = tf.where(~tf.strings.regex_full_match(texts, _PLAIN_ASCII))
        if self.lowercase:
            texts = tf.strings.lower(texts)
        normalized = self._normalize_unicode(tf.gather_nd(texts, others), keep_placeholders)
        texts = tf.tensor_scatter_nd_update(texts, others, normalized)
        if self.split_chinese:
            return texts  # The matcher splits words, at punctuation and at Chinese characters.
        texts = tf.strings.regex_replace(texts, r"\p{Z}", " ")
        return tf.strings.regex_replace(texts, _PUNCTUATION, r" \0 ")

    def _normalize_unicode(self, texts: tf.Tensor, keep_placeholders: bool) -> tf.Tensor:
        texts = replace_invalid(texts)
        removed = _REMOVED if keep_placeholders else _REMOVED + _PLACEHOLDER_CLASS
        if self.strips_accents:
            texts = tf_text.normalize_utf8(texts, "NFD")
            removed += r"\p{Mn}"
        texts = tf.strings.regex_replace(texts, f"[{removed}]", "")
        return lower(texts, has_accents=not self.strips_accents) if self.lowercase else texts

    def _marks(self, special_tokens: bool) -> dict[str, str]:
        """Token -> placeholder, of the tokens that are found before words are split."""
        return {**self.added_marks, **(PLACEHOLDERS if special_tokens else {})}

    def _matched_pieces(self) -> list[str]:
        """What tensorflow-text looks for in the place of each piece."""
        marks = self._marks(special_tokens=True)
        # The published Chinese vocabulary holds U+2028 and ##U+2028, which tensorflow-text would
        # find in a text, but which BERT takes for a space. Nothing inside of brackets is ever
        # found. An added token may have a space.
        return [
            marks.get(piece, f"[{index}]" if any(map(str.isspace, piece)) else piece)
            for index, piece in enumerate(self._pieces)
        ]

    def _normalized_characters(self, code_points: tf.Tensor, marks: dict[str, str]):
        """What normalisation makes of each character; how many of the text's it stands for."""
        characters = tf.strings.unicode_encode(code_points[:, tf.newaxis], "UTF-8")
        normalized = self._normalize(characters, keep_placeholders=bool(marks))
        widths = tf.ones_like(code_points)
        is_mark = tf.zeros_like(code_points, tf.bool)
        for token, character in marks.items():
            found = code_points == ord(character)
            widths = tf.where(found, len(token), widths)
            is_mark |= found
        if marks:
            marked = tf.strings.join([" ", normalized, " "])
            normalized = tf.where(is_mark, marked, normalized)
        return normalized, widths

    def _match_with_offsets(self, texts: tf.Tensor):
        """Ids of normalised texts, and where each begins and ends in bytes: ragged tensors."""
        if self.split_chinese:
            ids, starts, ends = self._matcher.tokenize_with_offsets(texts)
        else:
            words, word_starts, _ = self._whitespace.tokenize_with_offsets(texts)
            ids, starts, ends = self._matcher.tokenize_with_offsets(words)
            word_starts = tf.cast(word_starts[:, :, tf.newaxis], starts.dtype)
            starts = (starts + word_starts).merge_dims(1, 2)
            ends = (ends + word_starts).merge_dims(1, 2)
            ids = ids.merge_dims(1, 2)
        word, is_long = self._words(ids.flat_values)
        word_end = tf.gather(tf.math.segment_max(ends.flat_values, word), word)
        ends = ends.with_flat_values(tf.where(is_long, word_end, ends.flat_values))
        keep = ids.with_flat_values(self._is_kept(ids.flat_values, is_long))
        ids = ids.with_flat_values(tf.where(is_long, self.unk_id, ids.flat_values))
        return tuple(tf.ragged.boolean_mask(values, keep) for values in (ids, starts, ends))

    def _limit_words(self, ids: tf.RaggedTensor) -> tf.RaggedTensor:
        """Make one [UNK] of the pieces of each word with more than 100 characters."""
        flat = ids.flat_values
        _, is_long = self._words(flat)

        def replaced():
            keep = ids.with_flat_values(self._is_kept(flat, is_long))
            unknown = ids.with_flat_values(tf.where(is_long, self.unk_id, flat))
            return tf.ragged.boolean_mask(unknown, keep)

        return tf.cond(tf.reduce_any(is_long), replaced, lambda: ids)

    def _words(self, ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Of each piece (pieces,): the number of its word, and whether that word is too long."""
        word = tf.cumsum(tf.cast(~tf.gather(self._continues_word, ids), tf.int32)) - 1
        num_characters = tf.math.segment_sum(tf.gather(self._piece_length, ids), word)
        return word, tf.gather(num_characters > MAX_CHARACTERS_PER_WORD, word)

    def _is_kept(self, ids: tf.Tensor, is_long: tf.Tensor) -> tf.Tensor:
        """Of a word that is too long only the first piece stays, to become [UNK]."""
        return ~(is_long & tf.gather(self._continues_word, ids))

    def _between_special_tokens(self, first, second) -> tuple[tf.RaggedTensor, tf.RaggedTensor]:
        """[CLS] first [SEP] (second [SEP]) and its segment ids, both (batch, (tokens))."""
        batch = first.nrows(out_type=tf.int32)
        cls = tf.fill([batch, 1], self.cls_id)
        sep = tf.fill([batch, 1], self.sep_id)
        head = tf.concat([cls, first, sep], axis=1)
        if second is None:
            return head, tf.zeros_like(head)
        tail = tf.concat([second, sep], axis=1)
        return (
            tf.concat([head, tail], axis=1),
            tf.concat([tf.zeros_like(head), tf.ones_like(tail)], axis=1),
        )


def _truncate(first: tf.RaggedTensor, second: tf.RaggedTensor | None, sequence_length: int):
    """What is kept of each text; for pairs `segments.truncated_lengths` of a batch."""
    if second is None:
        return first[:, : sequence_length - num_special_tokens(pair=False)], None
    budget = tf.constant(sequence_length - num_special_tokens(pair=True), tf.int64)
    half = budget // 2
    first_kept = tf.maximum(budget - half, budget - second.row_lengths())
    second_kept = tf.maximum(half, budget - first.row_lengths())
    return _keep_first(first, first_kept), _keep_first(second, second_kept)


def _keep_first(ids: tf.RaggedTensor, kept: tf.Tensor) -> tf.RaggedTensor:
    """The first `kept` (batch,) values of each row."""
    position = tf.ragged.range(ids.row_lengths()).flat_values
    keep = position < tf.gather(kept, ids.value_rowids())
    return tf.ragged.boolean_mask(ids, ids.with_flat_values(keep))
