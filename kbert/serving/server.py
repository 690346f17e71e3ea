"""HTTP answers from an exported SavedModel, in the REST shape of TensorFlow Serving.

    POST /v1/models/NAME:predict   {"instances": ["text", ...]}  ->  {"predictions": [{...}, ...]}
    GET  /v1/models/NAME           ->  {"model_version_status": [{"version": "1", ...}]}

Both also under /v1/models/NAME/versions/VERSION. What cannot be answered gets a fitting status and
{"error": "a sentence"}. So a client moves to TensorFlow Serving, or back, unchanged.
"""

import http
import http.server
import json
import re
import sys
import threading
import urllib.parse

from kbert.errors import DataError
from kbert.files import as_json
from kbert.serving.predictor import SIGNATURE, Predictor

MAX_BODY_BYTES = 16 * 2**20
# So much of a refused body is read and dropped: a client that is still sending sees no answer.
MAX_DROPPED_BYTES = 16 * MAX_BODY_BYTES
# Seconds that a connection may stay silent, and that a stopping server waits for its last answers.
IDLE_SECONDS = 60
STOPPING_SECONDS = 10

_PATH = re.compile(
    r"/v1/models/(?P<name>[^/:]+)(/versions/(?P<version>[0-9]{1,18}))?(?P<verb>:predict)?"
)
_NUMBER = re.compile(r"[0-9]{1,18}")
_PREDICT_KEYS = {"instances", "signature_name"}


class RequestError(Exception):
    """A request that gets no answer but a status and a sentence."""

    def __init__(self, status: http.HTTPStatus, sentence: str, **headers: str):
        super().__init__(sentence)
        self.status = status
        self.headers = headers


# Python's own server: a thread a connection is enough here, since TensorFlow computes outside of
# Python's lock, and every web framework would be one more package to install. Load beyond one
# process is TensorFlow Serving's work, on the same folder.
class PredictionServer(http.server.ThreadingHTTPServer):
    """Serves one model under one name; `serve_forever` runs until `shutdown`.

    Args:
        predictor: answers the instances, from many threads at once.
        name: the model's name in the paths.
        host, port: where to listen; port 0 takes a free one, `server_port` tells which.

    Raises `DataError` where it cannot listen there.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, predictor: Predictor, name: str, host: str, port: int):
        self.predictor = predictor
        self.name = name
        self._working = 0
        self._idle = threading.Condition()
        try:
            super().__init__((host, port), Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise DataError(f"Cannot listen on {host}, port {port}: {reason}.") from error

    def __enter__(self) -> "PredictionServer":
        return self

    def __exit__(self, *error) -> None:
        """Stop listening, and let the requests that are being answered end."""
        self.server_close()
        with self._idle:
            self._idle.wait_for(lambda: self._working == 0, STOPPING_SECONDS)

    def count_working(self, change: int) -> None:
        with self._idle:
            self._working += change
            self._idle.notify_all()

    def handle_error(self, request, client_address) -> None:
        # A client that went away is no fault of the server's: no traceback.
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"  # keeps the connection open between requests
    disable_nagle_algorithm = True  # which holds a body back for 40 ms, until its headers arrived
    timeout = IDLE_SECONDS
    server: PredictionServer

    def do_GET(self):
        self._respond()

    # Named by http.server. All go one way, so that a wrong method gets a sentence too.
    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_HEAD = do_GET

    def _respond(self) -> None:
        self.server.count_working(+1)
        self._body_left = 0
        try:
            answer = self._answer()
            self._drop_body()
            self._send(http.HTTPStatus.OK, answer)
        except RequestError as error:
            self._drop_body()
            self._send(error.status, {"error": str(error)}, **error.headers)
        except (ConnectionError, TimeoutError):
            raise
        except Exception as error:
            self.close_connection = True
            self._send(http.HTTPStatus.INTERNAL_SERVER_ERROR, {"error": f"Failed: {error!r}."})
            raise
        finally:
            self.server.count_working(-1)

    def _answer(self) -> dict:
        self._body_left = self._body_length()
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        match = _PATH.fullmatch(path)
        if match is None:
            raise RequestError(
                http.HTTPStatus.NOT_FOUND,
                f"There is nothing at {path}. The model is at /v1/models/{self.server.name}.",
            )
        self._check_model(match["name"], match["version"])
        expected = "POST" if match["verb"] else "GET"
        if self.command != expected:
            raise RequestError(
                http.HTTPStatus.METHOD_NOT_ALLOWED,
                f"{path} takes {expected}. Received: {self.command}.",
                Allow=expected,
            )
        return self._predict() if match["verb"] else self._status()

    def _check_model(self, name: str, version: str | None) -> None:
        served = self.server.name, self.server.predictor.version
        if name != served[0] or (version is not None and int(version) != served[1]):
            wanted = name if version is None else f"{name}, version {version}"
            raise RequestError(
                http.HTTPStatus.NOT_FOUND,
                f"There is no model {wanted}. Served: {served[0]}, version {served[1]}.",
            )

    def _status(self) -> dict:
        version = str(self.server.predictor.version)
        status = {"error_code": "OK", "error_message": ""}
        return {
            "model_version_status": [{"version": version, "state": "AVAILABLE", "status": status}]
        }

    def _predict(self) -> dict:
        if "Content-Length" not in self.headers:
            raise RequestError(http.HTTPStatus.LENGTH_REQUIRED, "Expected a Content-Length.")
        if self._body_left > MAX_BODY_BYTES:
            raise RequestError(
                http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"Expected at most {MAX_BODY_BYTES} bytes. Received: {self._body_left}.",
            )
        body = self.rfile.read(self._body_left)
        self._body_left = 0
        try:
            return {"predictions": self.server.predictor.predict(requested_instances(body))}
        except DataError as error:
            raise RequestError(http.HTTPStatus.BAD_REQUEST, str(error)) from error

    def _body_length(self) -> int:
        """Bytes behind the headers. A body without a length cannot be skipped: then 0."""
        given = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers:
            self.close_connection = True
            raise RequestError(
                http.HTTPStatus.LENGTH_REQUIRED,
                "Expected a body with a Content-Length. Received: a Transfer-Encoding.",
            )
        if not _NUMBER.fullmatch(given):
            self.close_connection = True
            raise RequestError(
                http.HTTPStatus.BAD_REQUEST,
                f"Expected a number as Content-Length. Received: {given[:40]!r}.",
            )
        return int(given)

    def _drop_body(self) -> None:
        """Read what is left of a body, or close the connection where that is too much."""
        if self._body_left > MAX_DROPPED_BYTES:
            self.close_connection = True
            return
        while self._body_left > 0:
            dropped = len(self.rfile.read(min(self._body_left, 2**16)))
            if not dropped:
                raise ConnectionResetError("The client went away inside its request.")
            self._body_left -= dropped

    def _send(self, status: http.HTTPStatus, answer: dict, **headers: str) -> None:
        body = as_json(answer).encode("utf-8")
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code, message=None, explain=None):
        """What http.server refuses by itself (a line that is no HTTP, say), as a sentence too."""
        self.close_connection = True
        status = http.HTTPStatus(code)
        self._send(status, {"error": f"{message or status.phrase}."})

    def version_string(self) -> str:
        return "kbert"


def requested_instances(body: bytes) -> list:
    """The instances in a request's body. Raises `DataError` for a body that is no such request."""
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DataError(f"Expected JSON: {error}.") from error
    if not isinstance(values, dict) or not isinstance(values.get("instances"), list):
        raise DataError('Expected {"instances": [...]}.')
    unknown = set(values) - _PREDICT_KEYS
    if unknown:
        raise DataError(f"Expected no other key than instances. Received: {sorted(unknown)}.")
    if values.get("signature_name", SIGNATURE) != SIGNATURE:
        raise DataError(f"Expected the signature {SIGNATURE}. Received another signature_name.")
    if not values["instances"]:
        raise DataError("Expected at least one instance. Received none.")
    return values["instances"]
