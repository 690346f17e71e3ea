"""What a pre-training run takes, before it is run: operations, hours, memory, input, money.

Operations are those of the matrix products, forward and twice that backward (Kaplan et al., arXiv
2001.08361, section 2.1: 6 for each weight and token), with the products of attention beside them
(Chowdhery et al., arXiv 2204.02311, appendix B: 12 x layers x width x length for a token). What
rematerialisation computes again is time, not work that counts.

    seconds of a step = operations / (devices x peak x utilisation)
                        + (hidden values x their seconds + scores x their seconds) / devices

The second line is what lies between the products. Of accelerators it is in the utilisation; of a
CPU, where its share differs much from model to model, it was measured.
"""

import dataclasses
from typing import NamedTuple

from kbert.config import BertConfig
from kbert.errors import DataError
from kbert.pretraining.objectives import OBJECTIVES
from kbert.pretraining.settings import Phase, PretrainingSettings
from kbert.settings import Settings, setting


class Chip(NamedTuple):
    """What computes.

    Attributes:
        peak: floating-point operations of products a second.
        utilisation: the share of it that a step reaches, without what is counted for itself.
        hidden_seconds, score_seconds: of a step, for each hidden value of a block and for each
            score of its attention, besides the products.
    """

    peak: float
    utilisation: float = 0.35
    hidden_seconds: float = 0.0
    score_seconds: float = 0.0


# Peaks in 16 bits without sparsity, by their makers' data sheets. "cpu": the two cores in float32
# of docs/benchmarks.md, "A pre-training step beside its peers"; the rate is that of a product of
# 2048 x 2048 there, the seconds are fitted to its four steps.
CHIPS = {
    "h100": Chip(989e12),
    "h200": Chip(989e12),
    "a100": Chip(312e12),
    "a6000": Chip(155e12),
    "v100": Chip(125e12),
    "l4": Chip(121e12),
    "t4": Chip(65e12),
    "tpu-v2": Chip(45e12),
    "cpu": Chip(217e9, 1.0, 43e-9, 9e-9),
}
_FLOAT32, _FLOAT16 = 4, 2  # Bytes.
# A weight, its gradient, Adam's mean and square; and its copy in 16 bits.
_STATE_BYTES, _COPY_BYTES = 4 * _FLOAT32, _FLOAT16
# Fitted to the table "Memory" of docs/benchmarks.md: bytes in a block for each hidden value of a
# position, and for each score of attention; and, with rematerialisation, for each hidden value that
# is kept, and how many blocks are in memory at once.
_HIDDEN_BYTES, _SCORE_BYTES = 68, 3
_KEPT_BYTES, _BLOCKS_AT_ONCE = 5, 2.2
_LOGIT_BYTES = 6  # In 16 bits, and their softmax in 32.
_AGAIN = 4 / 3  # A second forward pass beside forward and backward.
# Of the table "Text" of docs/benchmarks.md: tokens that one thread draws in a second, in rows of
# 128; longer ones are drawn faster. A run has two threads.
MEASURED_INPUT = 2 * 5.8e6
_SENTENCE_TOKENS = 25  # About as many as a sentence has; its place in a store takes 8 bytes.
_EPOCHS = 40  # The paper's (arXiv 1810.04805, appendix A.2).


@dataclasses.dataclass(frozen=True)
class Machine(Settings):
    """What a run is to run on."""

    devices: int = setting(1, "chips, over all machines", at_least=1)
    chip: str = setting("h100", "kind of the chips", choices=CHIPS)
    utilisation: float | None = setting(
        None,
        "share of the chips' peak rate that the products reach",
        unset="0.35, of cpu 1",
        above=0,
        at_most=1,
    )
    price: float | None = setting(None, "of one chip for an hour", unset="none", at_least=0)
    vocabulary_size: int = setting(30_522, "pieces", at_least=1)
    corpus_tokens: int | None = setting(
        None, "tokens of the text", unset="a 40th of what is drawn, as in the paper", at_least=1
    )

    def rate(self) -> float:
        """Operations of products a second."""
        chip = CHIPS[self.chip]
        return self.devices * chip.peak * (self.utilisation or chip.utilisation)


class Plan(NamedTuple):
    """The estimate of a run.

    Attributes:
        tokens: drawn over the run, padding included.
        flop: operations of the products over the run.
        hours: of the run.
        step_seconds: of a step of each phase.
        memory: bytes of one device in 16 bits, without and with rematerialisation, in the phase
            that takes most.
        store_bytes: of the token store.
        input_rate: tokens a second that the rows must come with, in the phase that takes most.
        cost: of the chips; None without a price.
    """

    steps: int
    parameters: int
    tokens: int
    flop: float
    hours: float
    step_seconds: list[float]
    memory: tuple[float, float]
    store_bytes: int
    input_rate: float
    cost: float | None


class Published(NamedTuple):
    """A run of others, how long it took and on what.

    Attributes:
        settings: its rows, of BERT-base; None where they, or the model, are others.
    """

    name: str
    source: str
    settings: PretrainingSettings | None
    devices: int
    chip: str
    hours: float


PUBLISHED = (
    Published(
        "BERT-base, the paper",
        "arXiv 1810.04805, appendix A.2",
        PretrainingSettings(num_steps=1_000_000, batch_size=256, then="900000:256x512"),
        16,
        "tpu-v2",
        96.0,
    ),
    Published(
        "BERT-base, MosaicML",
        "arXiv 2312.17482, and the recipe in its repository",
        PretrainingSettings(num_steps=70_000, batch_size=4096, masking_rate=0.3),
        8,
        "a100",
        11.5,
    ),
    Published("MosaicBERT-base, 79.6 GLUE", "arXiv 2312.17482, abstract", None, 8, "a100", 1.13),
    Published("cramming", "arXiv 2212.14034", None, 1, "a6000", 24.0),
)


def plan(config: BertConfig, settings: PretrainingSettings, machine: Machine) -> Plan:
    """What a run of these settings takes on a machine. Raises `DataError` for no Transformer."""
    phases = settings.phases()
    if config.architecture != "transformer":
        raise DataError(
            "The estimate is of a Transformer's products. "
            f"Received: the architecture {config.architecture}."
        )
    again = _AGAIN if settings.rematerialize else 1
    seconds = [again * _step_seconds(config, settings, machine, phase) for phase in phases]
    hours = (
        sum((p.end_step - p.first_step) * s for p, s in zip(phases, seconds, strict=True)) / 3600
    )
    tokens = sum((p.end_step - p.first_step) * _tokens(p) for p in phases)
    return Plan(
        steps=settings.num_steps,
        parameters=_parameters(config),
        tokens=tokens,
        flop=run_flop(config, settings),
        hours=hours,
        step_seconds=seconds,
        memory=tuple(
            max(_device_bytes(config, settings, machine, phase, each) for phase in phases)
            for each in (False, True)
        ),
        store_bytes=_store_bytes(machine.corpus_tokens or tokens // _EPOCHS, config),
        input_rate=max(_tokens(p) / s for p, s in zip(phases, seconds, strict=True)),
        cost=None if machine.price is None else machine.price * machine.devices * hours,
    )


def run_flop(config: BertConfig, settings: PretrainingSettings) -> float:
    """Operations of the products of a run."""
    return sum(
        (phase.end_step - phase.first_step) * step_flop(config, phase, _predicted(settings))
        for phase in settings.phases()
    )


def step_flop(config: BertConfig, phase: Phase, predicted: float = 0.15) -> float:
    """Operations of the products of one step.

    A token: 6 for each weight of the blocks, and 12 x length x width in each block's attention. A
    position with an output, `predicted` is their share: 6 for each weight of the output, width x
    (width + vocabulary).
    """
    parts, width = config.exact_parts(), config.hidden_dim
    blocks = sum(count for name, count in parts.items() if name.startswith("block_"))
    token = 6 * blocks + 12 * config.num_layers * phase.sequence_length * width
    masked = 6 * width * (width + config.vocabulary_size)
    return _tokens(phase) * (token + predicted * masked)


def _step_seconds(config, settings, machine, phase):
    hidden = config.num_layers * _tokens(phase) * config.hidden_dim
    scores = config.num_layers * _tokens(phase) * config.num_heads * phase.sequence_length
    chip = CHIPS[machine.chip]
    between = hidden * chip.hidden_seconds + scores * chip.score_seconds
    flop = step_flop(config, phase, _predicted(settings))
    return flop / machine.rate() + between / machine.devices


def _predicted(settings: PretrainingSettings) -> float:
    """Share of the positions that have an output."""
    return settings.masking_rate if OBJECTIVES[settings.objective].hides else 1.0


def _tokens(phase: Phase) -> int:
    return phase.batch_size * phase.sequence_length


def _parameters(config):
    """Of the encoder and the heads: the output's own layer and norm, a bias a piece, and two
    classes of pairs."""
    width = config.hidden_dim
    heads = width * width + 3 * width + config.vocabulary_size + 2 * width + 2
    return config.num_parameters() + heads


def _device_bytes(config, settings, machine, phase, rematerialize):
    rows = phase.batch_size / settings.accumulate / machine.devices
    return _parameters(config) * (_STATE_BYTES + _COPY_BYTES) + rows * row_bytes(
        config, phase.sequence_length, rematerialize, _predicted(settings)
    )


def row_bytes(
    config: BertConfig, length: int, rematerialize: bool, predicted: float = 0.15
) -> float:
    """What a row takes until its gradient is there, in 16 bits.

    A block keeps its hidden values and attention's scores; with rematerialisation only what enters
    it, and few blocks are whole at once.
    """
    hidden = length * config.hidden_dim
    block = _HIDDEN_BYTES * hidden + _SCORE_BYTES * config.num_heads * length**2
    logits = _LOGIT_BYTES * predicted * length * config.vocabulary_size
    if rematerialize:
        return config.num_layers * _KEPT_BYTES * hidden + _BLOCKS_AT_ONCE * block + logits
    return config.num_layers * block + logits


def _store_bytes(tokens, config):
    """Ids of the smaller type that holds them all, and where sentences begin."""
    width = 2 if config.vocabulary_size <= 1 << 16 else 4
    return tokens * width + tokens // _SENTENCE_TOKENS * 8


class Beside(NamedTuple):
    """A published run beside the estimate of the same rows; None where its rows are not known.

    Attributes:
        hours: of the same rows on the machine.
        reached: the share of the peak rate that the published hours mean.
    """

    published: Published
    hours: float | None
    reached: float | None


def beside(machine: Machine) -> list[Beside]:
    """Each published run beside the machine."""
    config = BertConfig.preset("base", machine.vocabulary_size)
    found = []
    for run in PUBLISHED:
        if run.settings is None:
            found.append(Beside(run, None, None))
            continue
        here, peak = plan(config, run.settings, machine), run.devices * CHIPS[run.chip].peak
        found.append(Beside(run, here.hours, here.flop / peak / run.hours / 3600))
    return found
