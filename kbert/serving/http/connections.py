"""A connection as uvicorn has it, with bounds on what comes before a request's body."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MOST_HEAD_BYTES = 2**16


class Connection(HttpToolsProtocol):
    """Closed where a request's line and headers take too long or are too many.

    uvicorn bounds only the time between two requests: a client that sends nothing, or headers
    without an end, would keep its place and its memory for ever.

    Args:
        head_seconds: from the connection, or a request's first byte, to the end of its headers.
    """

    def __init__(self, head_seconds: float, **given):
        super().__init__(**given)
        self._head_seconds = head_seconds
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._have_head()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._await_head()

    def on_headers_complete(self) -> None:
        self._have_head()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head_timer is not None:
            self._head_bytes += len(data)
            if self._head_bytes > _MOST_HEAD_BYTES:
                self._have_head()
                self.send_400_response(f"Expected headers of at most {_MOST_HEAD_BYTES} bytes.")

    def _await_head(self) -> None:
        self._have_head()
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(self._head_seconds, self.transport.close)

    def _have_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
