"""The HTTP server: uvicorn, told what a server of models needs."""

import contextlib
import functools
import ipaddress
import resource
import signal
import socket
from collections.abc import Iterator

import uvicorn

from kbert.errors import DataError
from kbert.serving.http.app import application
from kbert.serving.http.connections import Connection
from kbert.serving.http.logs import logging_to_stderr
from kbert.serving.models import Models
from kbert.serving.settings import ServerSettings

_BACKLOG = 2048
_OTHER_DESCRIPTORS = 256  # open files that are no connections
_IDLE_SECONDS = 60  # that a connection between two requests may stay open
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def listening(settings: ServerSettings) -> socket.socket:
    """A socket that listens where the settings say. Raises `DataError` where it cannot."""
    where = f"{settings.host!r}, port {settings.port}"
    if not settings.host.strip():
        raise DataError(f"Cannot listen on {where}: expected an address.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM
        )[0]
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(_BACKLOG)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"Cannot listen on {where}: {reason}.") from error
    return found


def url_of(listener: socket.socket) -> str:
    """http://HOST:PORT, with the brackets that IPv6 needs."""
    address, port = _address(listener), listener.getsockname()[1]
    return f"http://{f'[{address}]' if address.version == 6 else address}:{port}"


def hosts_of(listener: socket.socket, allowed: str | None) -> tuple[str, ...] | None:
    """The names that requests may be sent to; None is any.

    Args:
        allowed: names with commas between them; None: the loopback interface's, of a server that
            listens there, and any of one that listens elsewhere.
    """
    address = _address(listener)
    if allowed is None and not address.is_loopback:
        return None
    given = (name.strip().lower() for name in (allowed or "").split(","))
    return tuple(dict.fromkeys([*_LOOPBACK, str(address), *filter(None, given)]))


def serve(
    models: Models, settings: ServerSettings, listener: socket.socket, token: str | None = None
) -> None:
    """Answer requests until SIGTERM or Ctrl-C; then finish what is held, and refuse what is new."""
    config = uvicorn.Config(
        application(models, settings, token, hosts_of(listener, settings.allowed_hosts)),
        http=functools.partial(Connection, settings.timeout_seconds),
        access_log=False,
        log_config=None,
        server_header=False,
        limit_concurrency=settings.max_connections,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=settings.stopping_seconds,
        lifespan="on",
    )
    _allow_descriptors(settings.max_connections)
    with logging_to_stderr(settings.log), _deaf_to_hangup():
        uvicorn.Server(config).run(sockets=[listener])


def _address(listener):
    return ipaddress.ip_address(listener.getsockname()[0].split("%")[0])


def _allow_descriptors(connections: int) -> None:
    """As many open files as connections need, where the system's hard limit lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


@contextlib.contextmanager
def _deaf_to_hangup() -> Iterator[None]:
    """A terminal that closes does not end a server."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
