"""BertConfig: every number that makes one BERT differ from another."""

import dataclasses
import itertools
import re
from collections.abc import Iterator

from kbert.errors import DataError
from kbert.files import read_object
from kbert.settings import setting

ACTIVATIONS = ("gelu_tanh", "gelu_erf", "relu", "geglu")
ARCHITECTURES = ("transformer", "bilstm", "cnn", "bag")
CONVOLUTION_WIDTH = 3  # tokens
ATTENTION_SCORES = ("scaled_dot", "dot", "multiplicative", "additive")
DIRECTIONS = ("both", "left", "apart")
POSITIONS = ("learned", "sinusoidal", "rotary", "none")
POSITION_PLACES = ("embedding", "every_layer")
NORM_PLACEMENTS = {"post": "aa", "pre": "bb"}
_CODE = re.compile("[abwn]{2}u?")

# (num_layers, hidden_dim); the feed-forward width is 4 x hidden_dim and a head is 64 wide in all of
# them. Base and large: arXiv 1810.04805, section 3; the smaller ones: arXiv 1908.08962, table 1.
PRESETS = {
    "tiny": (2, 128),
    "mini": (4, 256),
    "small": (4, 512),
    "medium": (8, 512),
    "base": (12, 768),
    "large": (24, 1024),
}

# Field names of Google's bert_config.json, which Hugging Face's config.json shares -> ours.
PUBLISHED_NAMES = {
    "vocab_size": "vocabulary_size",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_heads",
    "hidden_size": "hidden_dim",
    "intermediate_size": "intermediate_dim",
    "max_position_embeddings": "max_sequence_length",
    "type_vocab_size": "num_segments",
    "hidden_dropout_prob": "dropout",
    "attention_probs_dropout_prob": "attention_dropout",
    "layer_norm_eps": "layer_norm_epsilon",
    "initializer_range": "initializer_stddev",
}

# What both call `hidden_act` -> ours. One name has two meanings.
_ACTIVATION_NAMES = {
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_python": "gelu_erf",
    "relu": "relu",
}
GOOGLE_ACTIVATIONS = {"gelu": "gelu_tanh", **_ACTIVATION_NAMES}
HUGGINGFACE_ACTIVATIONS = {"gelu": "gelu_erf", **_ACTIVATION_NAMES}
# Sizes of tensors are numbers of 32 bits.
_LARGEST = 1 << 31
# Of the fields of others, those that would make another model, with BERT's value.
_PLAIN = {"model_type": "bert", "position_embedding_type": "absolute"}
# Fields that only Hugging Face writes.
_HUGGINGFACE_FIELDS = {"model_type", "architectures", "layer_norm_eps", "pad_token_id"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variants:
    """In what a Transformer encoder departs from BERT: the defaults are BERT.

    A field that has its default is not written into config.json.
    """

    architecture: str = setting(
        "transformer",
        "of the encoder: a Transformer, or LSTMs, convolutions or means of vectors in its place, "
        "which have no attention, no positions and no choice of LayerNorms",
        choices=ARCHITECTURES,
    )
    attention_score: str = setting(
        "scaled_dot",
        "of query s and key h: s.h / sqrt(head_dim), s.h, s.W h or v.tanh(s + h)",
        choices=ATTENTION_SCORES,
    )
    direction: str = setting(
        "both",
        "what a token sees of its sequence: all, or itself and what is left of it; of bilstm also "
        "apart: half of its vector what is left, half what is right, in every layer",
        choices=DIRECTIONS,
    )
    position: str = setting(
        "learned",
        "how a token's place is told: a learned or a sinusoidal vector, queries and keys turned",
        choices=POSITIONS,
    )
    position_at: str = setting(
        "embedding", "what a position's vector is added to", choices=POSITION_PLACES
    )
    norm_placement: str = setting(
        "post",
        "LayerNorm of a block's two sub-layers: post, pre, or a code, as aa for post and bb for "
        "pre (b before, a after, w before and after, n none; a third letter u leaves the scores "
        "of attention unscaled), or a code for each block, as bb,bb,wa",
        metavar="CODE",
    )

    def changes(self) -> dict:
        """The fields that are not as in BERT."""
        fields = dataclasses.fields(Variants)
        values = {field.name: getattr(self, field.name) for field in fields}
        return {f.name: values[f.name] for f in fields if values[f.name] != f.default}


@dataclasses.dataclass(frozen=True)
class BertConfig(Variants):
    """The architecture of one BERT (arXiv 1810.04805), stored beside its weights.

    Raises `ValueError` for sizes that do not fit together.
    """

    vocabulary_size: int
    num_layers: int = 12
    num_heads: int = 12
    hidden_dim: int = 768  # model width, not feed-forward width
    intermediate_dim: int = 3072  # feed-forward width
    max_sequence_length: int = 512
    num_segments: int = 2
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation: str = "gelu_tanh"  # Google's GELU; Hugging Face's weights expect gelu_erf
    layer_norm_epsilon: float = 1e-12  # released weights expect it, in body and heads alike
    initializer_stddev: float = 0.02  # of a truncated normal

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type is int and (type(value) is not int or not 0 < value < _LARGEST):
                raise ValueError(
                    f"`{field.name}` must be a positive integer below 2^31. Received: {value!r}."
                )
            if field.type is float and (type(value) not in (int, float) or not 0 <= value <= 1):
                raise ValueError(
                    f"`{field.name}` must be a number from 0 to 1. Received: {value!r}."
                )
            choices = field.metadata.get("choices")
            if choices is not None and value not in choices:
                raise ValueError(f"`{field.name}` must be one of {choices}. Received: {value!r}.")
        self._check_norm_placement()
        # One placement has one name: files are compared, and BERT is known, by it.
        names = {code: name for name, code in NORM_PLACEMENTS.items()}
        placement = names.get(self.norm_placement, self.norm_placement)
        object.__setattr__(self, "norm_placement", placement)
        self._check_position()
        self._check_architecture()
        if self.architecture == "transformer" and self.hidden_dim % self.num_heads:
            raise ValueError(
                "`hidden_dim` must be a multiple of `num_heads`. "
                f"Received: hidden_dim={self.hidden_dim}, num_heads={self.num_heads}."
            )
        for name in ("dropout", "attention_dropout"):
            if getattr(self, name) >= 1:
                raise ValueError(f"`{name}` must be below 1. Received: {getattr(self, name)}.")
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"`activation` must be one of {ACTIVATIONS}. Received: {self.activation!r}."
            )

    def _check_norm_placement(self):
        codes = str(self.norm_placement)
        codes = NORM_PLACEMENTS.get(codes, codes).split(",")
        unscaled = any(code.endswith("u") for code in codes)
        if not all(map(_CODE.fullmatch, codes)) or len(codes) not in (1, self.num_layers):
            raise ValueError(
                "`norm_placement` must be post, pre, or two letters of a, b, w and n, and u if the "
                "scores are not scaled, for all blocks or, with commas between them, for each. "
                f"Received: {self.norm_placement!r} for {self.num_layers} blocks."
            )
        if unscaled and self.attention_score != "scaled_dot":
            raise ValueError(
                "`norm_placement` has u for blocks whose scaled_dot is not scaled. "
                f"Received: attention_score={self.attention_score!r}."
            )

    def _check_position(self):
        if self.position_at == "every_layer" and self.position not in ("learned", "sinusoidal"):
            raise ValueError(
                "`position_at` must be embedding where no position's vector is added. "
                f"Received: position={self.position!r}, position_at={self.position_at!r}."
            )
        if self.position == "rotary" and self.hidden_dim // self.num_heads % 2:
            raise ValueError(
                "`hidden_dim` / `num_heads` must be even for rotary positions. "
                f"Received: {self.hidden_dim} / {self.num_heads}."
            )

    def _check_architecture(self):
        if self.direction == "apart" and self.architecture != "bilstm":
            raise ValueError(
                "`direction` apart can be of a bilstm only. "
                f"Received: architecture={self.architecture!r}."
            )
        if self.architecture == "transformer":
            return
        unused = self.changes().keys() - {"architecture", "direction"}
        if self.activation == "geglu":
            unused |= {"activation geglu"}
        if unused:
            raise ValueError(
                f"{', '.join(sorted(unused))} can be of a Transformer only. "
                f"Received: architecture={self.architecture!r}."
            )
        if self.architecture == "bilstm" and self.direction != "left" and self.hidden_dim % 2:
            raise ValueError(
                "`hidden_dim` must be even for LSTMs in both directions. "
                f"Received: {self.hidden_dim}."
            )

    def adds_positions(self) -> bool:
        """Whether the embedding adds a vector of a token's position."""
        where = (self.architecture, self.position_at)
        return where == ("transformer", "embedding") and self.position in ("learned", "sinusoidal")

    def block_variants(self) -> Iterator[tuple[str, str]]:
        """Of each block the two letters of `norm_placement`, and its attention's score."""
        for code, count in self._norm_runs():
            score = "dot" if code.endswith("u") else self.attention_score
            yield from itertools.repeat((code[:2], score), count)

    def _norm_runs(self) -> list[tuple[str, int]]:
        """Codes, each with the number of blocks in a row that have it.

        The last block's output is normalised, whatever its code says: as by the LayerNorm that
        stands on a stack of pre-norm blocks.
        """
        *codes, top = NORM_PLACEMENTS.get(self.norm_placement, self.norm_placement).split(",")
        lower = [(code, 1) for code in codes] or [(top, self.num_layers - 1)]
        normalised = {"b": "w", "n": "a"}.get(top[1], top[1])
        return [*lower, (top[0] + normalised + top[2:], 1)]

    @classmethod
    def preset(cls, name: str, vocabulary_size: int, **changes) -> "BertConfig":
        """A published size: tiny, mini, small, medium, base or large. `changes` replace fields."""
        if name not in PRESETS:
            raise ValueError(f"The preset must be one of {sorted(PRESETS)}. Received: {name!r}.")
        num_layers, hidden_dim = PRESETS[name]
        sizes = {
            "num_layers": num_layers,
            "num_heads": hidden_dim // 64,
            "hidden_dim": hidden_dim,
            "intermediate_dim": 4 * hidden_dim,
        }
        return cls(vocabulary_size, **{**sizes, **changes})

    @classmethod
    def from_dict(cls, fields: dict) -> "BertConfig":
        """Read our fields, or Google's (`bert_config.json`), or Hugging Face's (`config.json`).

        Fields that do not describe the architecture are ignored. Raises `ValueError` where a field
        is missing or has a value that BERT cannot have.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        renamed = {PUBLISHED_NAMES.get(name, name): value for name, value in fields.items()}
        is_published = not PUBLISHED_NAMES.keys().isdisjoint(fields)
        for name, only in _PLAIN.items() if is_published else ():
            if fields.get(name) not in (None, only):
                raise ValueError(f"`{name}` must be {only!r}. Received: {fields[name]!r}.")
        if is_published and "activation" not in fields:
            renamed["activation"] = _activation(fields)
        if "vocabulary_size" not in renamed:
            raise ValueError(
                "A BERT configuration must have `vocabulary_size` (or `vocab_size`). "
                f"Received the fields: {sorted(fields)}."
            )
        return cls(**{name: value for name, value in renamed.items() if name in known})

    @classmethod
    def from_json(cls, path) -> "BertConfig":
        """Read a JSON file with the fields that `from_dict` takes. Raises `DataError` naming it."""
        try:
            return cls.from_dict(read_object(path))
        except ValueError as error:
            raise DataError(f"{path} is not a BERT configuration: {error}") from error

    def to_dict(self) -> dict:
        """The fields as `from_dict` reads them, ready for JSON."""
        values = dataclasses.asdict(self)
        for field in dataclasses.fields(Variants):
            del values[field.name]
        return values | self.changes()

    def parameters_by_formula(self) -> int:
        """The usual estimate, V x H + 12 x L x H^2."""
        token_table, block = self._formula_sizes()
        return token_table + self.num_layers * block

    def formula_parts(self) -> dict[str, int]:
        """Of that estimate, by layer: the token table as "embedding", the 4 H^2 attention and 8 H^2
        feed-forward weights of each block."""
        token_table, block = self._formula_sizes()
        blocks = {f"block_{index}": block for index in range(self.num_layers)}
        return {"embedding": token_table, **blocks}

    def _formula_sizes(self):
        return self.vocabulary_size * self.hidden_dim, 12 * self.hidden_dim**2

    def num_parameters(self, num_layers: int | None = None, pooler: bool = True) -> int:
        """The exact count of the encoder, without pre-training heads.

        Args:
            num_layers: of its blocks, counted from below; None for all.
            pooler: whether its pooler is counted.
        """
        total, left = self._embedding_size() + self._position_size(), num_layers
        # Not the sum of `exact_parts`: a damaged file may speak of a billion layers.
        for code, count in self._norm_runs():
            some = count if left is None else min(count, left)
            total += some * self._block_size(code)
            left = None if left is None else left - some
        return total + pooler * self._pooler_size()

    def exact_parts(self) -> dict[str, int]:
        """Of that count, by layer: "embedding", "position" where it is one, "block_0" ... and
        "pooler"."""
        codes = enumerate(code for code, _ in self.block_variants())
        blocks = {f"block_{index}": self._block_size(code) for index, code in codes}
        position = {"position": self._position_size()} if self._position_size() else {}
        embedding = {"embedding": self._embedding_size(), **position}
        return {**embedding, **blocks, "pooler": self._pooler_size()}

    def _embedding_size(self):
        rows = self.vocabulary_size + self.num_segments
        if self.adds_positions() and self.position == "learned":
            rows += self.max_sequence_length
        return (rows + 2) * self.hidden_dim

    def _position_size(self):
        if (self.position, self.position_at) != ("learned", "every_layer"):
            return 0
        return self.max_sequence_length * self.hidden_dim

    def _block_size(self, norm_placement):
        hidden, wide = self.hidden_dim, self.intermediate_dim
        if self.architecture == "bilstm":
            num_lstms = 1 if self.direction == "left" else 2
            size = hidden // num_lstms
            width = size if self.direction == "apart" else hidden
            return num_lstms * 4 * (width * size + size + size**2)
        if self.architecture != "transformer":
            num_vectors = {"cnn": CONVOLUTION_WIDTH, "bag": 2}[self.architecture]
            return num_vectors * hidden**2 + hidden + 2 * hidden
        # Query, key, value and output projection; then two layers. All with biases.
        attention = 4 * (hidden**2 + hidden)
        # A matrix or a vector in each head.
        score = {"multiplicative": hidden**2 // self.num_heads, "additive": hidden}
        attention += score.get(self.attention_score, 0)
        gated = 2 if self.activation == "geglu" else 1
        feed_forward = gated * (hidden * wide + wide) + wide * hidden + hidden
        norms = sum({"n": 0, "w": 2}.get(letter, 1) for letter in norm_placement[:2])
        return attention + feed_forward + norms * 2 * hidden

    def _pooler_size(self):
        return self.hidden_dim**2 + self.hidden_dim


def _activation(fields: dict) -> str:
    """Ours for `hidden_act`, whose default is "gelu" in both formats."""
    from_huggingface = not _HUGGINGFACE_FIELDS.isdisjoint(fields)
    names = HUGGINGFACE_ACTIVATIONS if from_huggingface else GOOGLE_ACTIVATIONS
    name = fields.get("hidden_act", "gelu")
    if not isinstance(name, str) or name not in names:
        raise ValueError(f"`hidden_act` must be one of {sorted(names)}. Received: {name!r}.")
    return names[name]
