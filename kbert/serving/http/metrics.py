"""What a server counts, in Prometheus's form."""

from collections.abc import Callable

import prometheus_client as prometheus

from kbert.serving.batching import Answers

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Metrics:
    """Counters of one server, in a registry of their own.

    Args:
        queued_texts: how many texts wait now.
    """

    content_type = prometheus.CONTENT_TYPE_LATEST

    def __init__(self, queued_texts: Callable[[], int]):
        self._registry = prometheus.CollectorRegistry()
        one = {"registry": self._registry}
        self._requests = prometheus.Counter(
            "kbert_requests", "Requests by dialect and status.", ("dialect", "status"), **one
        )
        self._latency = prometheus.Histogram(
            "kbert_request_seconds",
            "From first to last byte.",
            ("dialect",),
            buckets=_SECONDS,
            **one,
        )
        self._queue = prometheus.Histogram(
            "kbert_queue_seconds", "Until a request's texts are taken.", buckets=_SECONDS, **one
        )
        self._inference = prometheus.Histogram(
            "kbert_inference_seconds", "From then to its answers.", buckets=_SECONDS, **one
        )
        self._texts = prometheus.Counter("kbert_texts", "Texts answered.", **one)
        self._cut = prometheus.Counter("kbert_texts_cut", "Texts that lost their end.", **one)
        powers = tuple(2**n for n in range(0, 14))
        self._rows = prometheus.Histogram(
            "kbert_batch_rows", "Rows of a batch.", buckets=powers[:10], **one
        )
        self._tokens = prometheus.Histogram(
            "kbert_batch_tokens", "Padded tokens of a batch.", buckets=powers[3:], **one
        )
        waiting = prometheus.Gauge("kbert_queued_texts", "Texts that wait or are computed.", **one)
        waiting.set_function(queued_texts)

    def count_request(self, dialect: str, status: int, seconds: float) -> None:
        self._requests.labels(dialect, str(status)).inc()
        self._latency.labels(dialect).observe(seconds)

    def count_answers(self, answers: Answers, texts: int) -> None:
        self._queue.observe(answers.queue_seconds)
        self._inference.observe(answers.inference_seconds)
        self._texts.inc(texts)
        self._cut.inc(answers.cut)

    def count_batch(self, rows: int, tokens: int) -> None:
        self._rows.observe(rows)
        self._tokens.observe(tokens)

    def text(self) -> bytes:
        """What `GET /metrics` answers."""
        return prometheus.generate_latest(self._registry)
