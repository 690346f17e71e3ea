"""The application: all dialects, health, metrics, and what stands around every request."""

import contextlib
import hmac
import logging
import time
import urllib.parse
from collections.abc import AsyncIterator, Collection

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kbert.serving.batching import Batcher
from kbert.serving.http import open_inference, openai, page, tensorflow_serving
from kbert.serving.http.answering import Answering, Gone, RequestError, queue_is_full
from kbert.serving.http.openapi import description
from kbert.serving.http.responses import json_response
from kbert.serving.models import Models
from kbert.serving.settings import ServerSettings

_access = logging.getLogger("kbert.serving.access")
# What a proxy or an orchestrator asks without a token.
_OPEN = ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready")
_CLIENT_CLOSED = 499  # As nginx logs it; nobody receives it.
_MISDIRECTED = 421


def application(
    models: Models,
    settings: ServerSettings | None = None,
    token: str | None = None,
    hosts: Collection[str] | None = None,
) -> Starlette:
    """The ASGI application that serves `models`.

    Args:
        token: what clients must send as `Authorization: Bearer TOKEN`; None asks for nothing.
        hosts: names in lower case and addresses, without ports and brackets, that requests may be
            sent to; None is any.
    """
    answering = Answering(models, settings or ServerSettings())

    async def health(request: Request) -> Response:
        return json_response({"status": "ok", "models": models.names})

    async def metrics(request: Request) -> Response:
        return Response(answering.metrics.text(), media_type=answering.metrics.content_type)

    async def openapi(request: Request) -> Response:
        return json_response(description(models))

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        if answering.settings.reload_seconds:
            models.watch(answering.settings.reload_seconds)
        yield
        models.stop()
        answering.batcher.close()

    return Starlette(
        routes=[
            Route("/healthz", health),
            Route("/readyz", health),
            Route("/metrics", metrics),
            Route("/openapi.json", openapi),
            *openai.routes(answering),
            *open_inference.routes(answering),
            *tensorflow_serving.routes(answering),
            *(page.routes(answering) if answering.settings.page else []),
        ],
        exception_handlers={
            RequestError: _refused,
            HTTPException: _refused_by_starlette,
            Gone: _gone,
            Exception: _failed,
        },
        middleware=[
            Middleware(_Observed, answering=answering),
            *([Middleware(_KnownHost, hosts=hosts)] if hosts is not None else []),
            *([Middleware(_Authorized, token=token)] if token else []),
            Middleware(_Room, batcher=answering.batcher),
        ],
        lifespan=lifespan,
    )


class _Observed:
    """Counts and logs every request: method, path, status, time; never a text."""

    def __init__(self, app: ASGIApp, answering: Answering):
        self.app = app
        self.answering = answering

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), _CLIENT_CLOSED

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, observed)
        finally:
            seconds = time.perf_counter() - began
            self.answering.metrics.count_request(_dialect(scope["path"]), status, seconds)
            client = (scope.get("client") or ("-",))[0]
            fields = {
                "client": client,
                "method": scope["method"],
                "path": scope["path"][:200],
                "status": status,
                "milliseconds": round(1000 * seconds, 1),
            }
            _access.info("request", extra={"fields": fields})


class _KnownHost:
    """Lets requests through that were sent to one of the server's names.

    A page of another site may give its own name this machine's address (DNS rebinding); what the
    browser then lets it send here still has that name as its host.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str]):
        self.app = app
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = dict(scope.get("headers", ())).get(b"host")
        # Without a host it is from no browser: some health checks speak HTTP/1.0.
        given = None if host is None else host.decode("latin-1")
        if scope["type"] != "http" or given is None or _hostname(given) in self.hosts:
            await self.app(scope, receive, send)
            return
        sentence = f"Expected a request to {', '.join(self.hosts)}. Received: {given[:200]}."
        await json_response({"error": sentence}, _MISDIRECTED)(scope, receive, send)


class _Authorized:
    """Lets requests through that carry the token."""

    def __init__(self, app: ASGIApp, token: str):
        self.app = app
        self.expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope.get("headers", ())).get(b"authorization", b"")
        allowed = scope["type"] != "http" or scope["path"] in _OPEN or page.is_file(scope["path"])
        # Compared in constant time, so that no time tells how much of a guess is right.
        if allowed or hmac.compare_digest(given, self.expected):
            await self.app(scope, receive, send)
            return
        headers = {"WWW-Authenticate": "Bearer"}
        response = json_response({"error": "Expected a valid bearer token."}, 401, headers)
        await response(scope, receive, send)


class _Room:
    """Refuses texts while the queue is full, before they are read.

    Who refuses later spends on it what answers need: of three times the requests that a server can
    answer, it would answer a third of what it can.
    """

    def __init__(self, app: ASGIApp, batcher: Batcher):
        self.app = app
        self.batcher = batcher

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not self.batcher.is_full:
            await self.app(scope, receive, send)
            return
        response = await _refused(Request(scope), queue_is_full())
        await response(scope, receive, send)


def _hostname(given: str) -> str | None:
    """Without port and brackets, in lower case; None for what is no host."""
    try:
        return urllib.parse.urlsplit(f"//{given}").hostname
    except ValueError:
        return None


def _dialect(path: str) -> str:
    for prefix, name in (
        ("/v1/models/", "tensorflow_serving"),
        ("/v1/embeddings", "openai"),
        ("/v2", "open_inference"),
        ("/page/v1/", "page"),
    ):
        if path.startswith(prefix):
            return name
    return "other"


def _error(request: Request, status: int, sentence: str, headers=None) -> Response:
    error = sentence
    if _dialect(request.url.path) == "openai":
        kind = "invalid_request_error" if status < 500 else "server_error"
        error = {"message": sentence, "type": kind, "param": None, "code": None}
    return json_response({"error": error}, status, headers)


async def _refused(request: Request, error: RequestError) -> Response:
    return _error(request, error.status, str(error), error.headers)


async def _refused_by_starlette(request: Request, error: HTTPException) -> Response:
    path = request.url.path
    sentences = {
        404: f"There is nothing at {path}.",
        405: f"{path} does not take {request.method}.",
    }
    sentence = sentences.get(error.status_code, f"{error.detail}.")
    return _error(request, error.status_code, sentence, error.headers)


async def _gone(request: Request, error: Gone) -> Response:
    return Response(status_code=_CLIENT_CLOSED)


async def _failed(request: Request, error: Exception) -> Response:
    # Starlette raises the error again behind this answer, for the log.
    return _error(request, 500, f"The server failed: {type(error).__name__}.")
