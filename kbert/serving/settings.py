"""What `kbert export` and `kbert serve` are told."""

import dataclasses

from kbert.errors import DataError
from kbert.inference.settings import FillMaskSettings
from kbert.settings import Settings, setting

_BATCHES = "batches"
_LIMITS = "limits"


@dataclasses.dataclass(frozen=True)
class ExportSettings(Settings):
    """Where an export stands among its versions, what it answers, in what it computes."""

    version: int = setting(1, "number of the version's folder", at_least=1)
    dtype: str = setting(
        "float32",
        "of weights and computation; bfloat16 takes half of the room, and three digits are right",
        choices=("float32", "bfloat16"),
    )
    answers: str | None = setting(
        None,
        "of a model that is not fine-tuned: the pieces for each [MASK], or vectors",
        unset="fill-mask of a masked LM, embedding of an encoder",
        choices=("fill-mask", "embedding"),
    )
    top: int = setting(FillMaskSettings.top, "pieces for each [MASK]", at_least=1)
    signature_example: bool = setting(False, "print the body of a request that works")
    format: str = setting(
        "saved-model",
        "a SavedModel for TensorFlow Serving and kbert, or an ONNX file for any runtime and kbert",
        choices=("saved-model", "onnx"),
    )
    int8: bool = setting(False, "of ONNX, weights in 8 bits: a quarter of the room, and faster")

    def __post_init__(self):
        super().__post_init__()
        if self.int8 and self.format != "onnx":
            raise DataError("--int8 needs --format onnx.")
        if self.format == "onnx" and (self.dtype != "float32" or self.signature_example):
            raise DataError("--dtype and --signature-example belong to --format saved-model.")


@dataclasses.dataclass(frozen=True)
class ServerSettings(Settings):
    """Where a server listens, how it batches, what it refuses."""

    host: str = setting("127.0.0.1", "address to listen on; 0.0.0.0 or :: for all of them")
    port: int = setting(8501, "0 takes a free one", at_least=0, at_most=65535)
    allowed_hosts: str | None = setting(
        None,
        "names that requests may be sent to, beside the loopback interface's",
        unset="of a server on the loopback interface no other, elsewhere any",
        metavar="HOST,...",
    )
    reload_seconds: float = setting(
        2.0, "how often folders are looked at for a new version; 0 never", at_least=0
    )
    page: bool = setting(False, "show a page to try the models on, at /")
    log: str = setting("text", "form of a line a request", choices=("text", "json", "none"))
    max_batch_tokens: int = setting(
        4096, "padded tokens of a batch, rows times the longest", group=_BATCHES, at_least=1
    )
    max_delay_ms: float = setting(
        0.0, "how long a batch that is not full waits for more texts", group=_BATCHES, at_least=0
    )
    batches_at_once: int | None = setting(
        None,
        "each in a thread",
        unset="cores / threads a batch, two at least; 1 on one core",
        group=_BATCHES,
        at_least=1,
    )
    threads_per_batch: int | None = setting(
        None,
        "cores for the operations of one batch",
        unset="1, of a large model all",
        group=_BATCHES,
        at_least=1,
    )
    max_queued_texts: int = setting(
        4096, "texts that may wait; more get status 503", group=_LIMITS, at_least=1
    )
    timeout_seconds: float = setting(
        30.0,
        "time of a request, its body included; then status 504, of a body 408",
        group=_LIMITS,
        above=0,
    )
    max_body_bytes: int = setting(16 * 2**20, "of a request", group=_LIMITS, at_least=1)
    max_instances: int = setting(2048, "of a request", group=_LIMITS, at_least=1)
    max_characters: int = setting(200_000, "of a text", group=_LIMITS, at_least=1)
    max_connections: int = setting(
        2048, "open at once; further ones get status 503", group=_LIMITS, at_least=1
    )
    stopping_seconds: int = setting(
        30, "how long a stopping server waits for its last answers", group=_LIMITS, at_least=1
    )
