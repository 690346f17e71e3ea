"""The server as a process: signals, a stuck log, clients that leave, idle connections, framing."""

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest

from kbert.errors import DataError
from kbert.serving.http.server import hosts_of, listening, url_of
from kbert.serving.settings import ServerSettings
from tests.conftest import ROOT

# A server of a model that counts tokens, after the seconds that the text says ("0.1").
SERVER = """
import signal, sys, time
from kbert.serving.http.server import listening, serve, url_of
from kbert.serving.settings import ServerSettings
from tests.serving.http.served import Models, Task, predictor

class Slow(Task):
    def parse(self, instance, where):
        return super().parse(instance, where)
    def encode(self, examples, tokenizer):
        computed.update({len(text) + 1: float(text) for text in examples})
        return super().encode(examples, tokenizer)

computed, batches = {}, []

def forward(inputs):
    batches.append(len(inputs["padding_mask"]))
    time.sleep(max(computed.get(int(n), 0) for n in inputs["padding_mask"].sum(axis=1)))
    return {"length": inputs["padding_mask"].sum(axis=1)}

# uvicorn raises the signal that stopped it once more, behind its end.
signal.signal(signal.SIGTERM, lambda *_: None)
settings = ServerSettings(port=0, **eval(sys.argv[1]))
with listening(settings) as listener:
    print(url_of(listener), flush=True)
    serve(Models(topics=predictor(Slow(), forward)), settings, listener)
print(sum(batches), flush=True)
"""


@contextlib.contextmanager
def served(stderr=subprocess.PIPE, **settings):
    """The process and the URL to ask."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, repr(settings)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def ask(url, text, seconds=20):
    body = json.dumps({"instances": [text]}).encode()
    with urllib.request.urlopen(f"{url}/v1/models/topics:predict", body, seconds) as response:
        return json.load(response)["predictions"][0]["label"]


def connection(url):
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def request(body=b'{"instances": ["0"]}', headers=b""):
    return (
        b"POST /v1/models/topics:predict HTTP/1.1\r\nHost: localhost\r\n"
        + headers
        + b"Content-Length: %d\r\n\r\n" % len(body)
        + body
    )


def response(stream):
    """Status and JSON of one response."""
    status = int(stream.readline().split()[1])
    length = 0
    while (line := stream.readline().strip()) != b"":
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return status, json.loads(stream.read(length))


def test_sigterm_finishes_what_is_held():
    with served() as (process, url):
        answers = []
        ask(url, "0")
        threads = [
            threading.Thread(target=lambda: answers.append(ask(url, "0.5"))) for _ in range(16)
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.25)
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        assert answers == ["0.5"] * 16
        process.wait(10)
        with pytest.raises(OSError):
            ask(url, "0")
        assert "POST /v1/models/topics:predict 200" in process.stderr.read()


def test_a_hangup_does_not_end_it_and_a_client_that_left_is_not_computed_for():
    with served(max_batch_tokens=1) as (process, url):
        assert ask(url, "0") == "0"
        process.send_signal(signal.SIGHUP)
        assert ask(url, "0") == "0"
        busy = threading.Thread(target=ask, args=(url, "0.5"))
        busy.start()
        time.sleep(0.1)
        for _ in range(20):
            with connection(url) as left:
                left.sendall(request(json.dumps({"instances": ["0.01"] * 10}).encode()))
        busy.join()
        assert ask(url, "0") == "0"
        process.send_signal(signal.SIGTERM)
        assert int(process.communicate(timeout=10)[0]) < 50  # Rows computed, of 203.


@pytest.mark.parametrize("log", ["full", "closed", "stuck"])
def test_answers_without_a_log(log):
    reader, writer = os.pipe()
    stderr = open("/dev/full", "w") if log == "full" else os.fdopen(writer, "w")
    with served(stderr=stderr, log="json") as (process, url):
        if log == "closed":
            os.close(reader)
        for _ in range(5 if log != "stuck" else 500):  # More than a pipe holds.
            assert ask(url, "0") == "0"
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def test_many_idle_connections_take_no_threads():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4000:
        pytest.skip("The system allows too few open files.")
    with served() as (process, url), contextlib.ExitStack() as stack:
        # Of the client; the server raises its own.
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4000), hard))
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        assert ask(url, "0") == "0"
        for _ in range(1500):
            stack.enter_context(connection(url))
        assert ask(url, "0") == "0"
        if os.path.exists(f"/proc/{process.pid}/task"):
            assert len(os.listdir(f"/proc/{process.pid}/task")) < 40


def test_framing():
    with served(timeout_seconds=1.0) as (_, url):
        with connection(url) as client, client.makefile("rb") as stream:  # Pipelined.
            client.sendall(request() + request(b'{"instances": []}'))
            assert response(stream)[1]["predictions"][0]["label"] == "0"
            assert response(stream) == (200, {"predictions": []})
            chunks = b'13\r\n{"instances": ["0"]\r\n1\r\n}\r\n0\r\n\r\n'
            client.sendall(
                b"POST /v1/models/topics:predict HTTP/1.1\r\nHost: localhost\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n" + chunks
            )
            assert response(stream)[0] == 200
        for headers in (b"Content-Length: 5\r\n", b"Content-Length: x\r\n"):
            with connection(url) as client, client.makefile("rb") as stream:
                client.sendall(request(headers=headers))
                assert stream.readline().split()[1] == b"400"
        with connection(url) as client, client.makefile("rb") as stream:  # A short body.
            client.sendall(request()[:-5])
            status, found = response(stream)
            assert (status, found) == (408, {"error": "The body came too slowly."})


def test_who_is_slow_or_endless_is_let_go():
    with served(timeout_seconds=1.0, max_body_bytes=2**20) as (_, url):
        silent, slow = connection(url), connection(url)
        with silent, slow, connection(url) as endless, connection(url) as huge:
            slow.sendall(b"POST /v1/models/topics:predict HTTP/1.1\r\nHost: localhost\r\n")
            with endless.makefile("rb") as stream, contextlib.suppress(ConnectionError):
                endless.sendall(b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 2**20)
                assert stream.readline().split()[1] == b"400"
            with huge.makefile("rb") as stream:  # 100 MB in chunks: refused behind the first.
                huge.sendall(
                    b"POST /v1/models/topics:predict HTTP/1.1\r\nHost: localhost\r\n"
                    b"Transfer-Encoding: chunked\r\n\r\n"
                )
                with contextlib.suppress(ConnectionError):
                    for _ in range(100):
                        huge.sendall(b"%x\r\n%s\r\n" % (2**20, b" " * 2**20))
                with contextlib.suppress(ConnectionError):
                    assert response(stream)[0] == 413
            # No answer, but an end.
            assert silent.recv(1) == slow.recv(1) == b""
        with connection(url) as client, client.makefile("rb") as stream:
            client.sendall(b"POST /v1/models/topics:predict HTTP/1.1\r\nHost: localhost\r\n")
            client.sendall(b"Content-Length: 100000000\r\n\r\n")
            assert response(stream)[0] == 413
        assert ask(url, "0") == "0"


@pytest.mark.slow
def test_refusals_do_not_wait_for_the_model():
    """A batch takes a second; who is refused knows it long before, and when to come again."""
    seconds, retry = [], set()

    def press(url):
        for _ in range(5):
            began = time.monotonic()
            try:
                ask(url, "1.0", 60)
            except urllib.error.HTTPError as error:
                assert error.code == 503
                retry.add(error.headers["Retry-After"])
                seconds.append(time.monotonic() - began)

    with served(max_queued_texts=4) as (process, url):
        threads = [threading.Thread(target=press, args=(url,)) for _ in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ask(url, "0") == "0"
    assert len(seconds) > 100 and retry == {"1"}
    assert sorted(seconds)[int(0.99 * len(seconds))] < 0.5


def test_where_it_listens():
    with listening(ServerSettings(host="localhost", port=0)) as listener:
        port = listener.getsockname()[1]
        assert url_of(listener) in (f"http://127.0.0.1:{port}", f"http://[::1]:{port}")
        with pytest.raises(DataError, match="Cannot listen on 'localhost', port"):
            listening(ServerSettings(host="localhost", port=port))
    for host in ("", " ", "no.such.host.invalid", "x" * 300):
        with pytest.raises(DataError, match="Cannot listen on"):
            listening(ServerSettings(host=host, port=0))


def test_a_page_of_another_site_does_not_reach_the_loopback_interface():
    """What a browser sends after DNS rebinding has the other site's name as its host."""
    with served(allowed_hosts="api.example.org, Other.example.org") as (_, url):
        port = url.rsplit(":")[-1]
        statuses = {}
        for host in (
            f"127.0.0.1:{port}",
            f"LOCALHOST:{port}",
            f"[::1]:{port}",
            "api.example.org",
            "other.example.org:80",
            f"evil.example:{port}",
            "127.0.0.1.evil.example",
            "localhost@evil.example",
            "[::1",
            "",
        ):
            with connection(url) as client:
                client.sendall(f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("ascii"))
                status, answer = response(client.makefile("rb"))
                statuses[host] = status
                assert status == 200 or answer["error"].startswith(
                    "Expected a request to localhost"
                )
        with connection(url) as client:  # No browser asks without a host.
            client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert response(client.makefile("rb"))[0] == 200
    assert list(statuses.values()) == [200] * 5 + [421] * 5


@pytest.mark.parametrize(
    ("host", "allowed", "expected"),
    [
        ("127.0.0.1", None, ("localhost", "127.0.0.1", "::1")),
        ("127.0.0.2", None, ("localhost", "127.0.0.1", "::1", "127.0.0.2")),
        ("0.0.0.0", None, None),
        ("0.0.0.0", "A.example", ("localhost", "127.0.0.1", "::1", "0.0.0.0", "a.example")),
    ],
)
def test_the_names_of_a_server(host, allowed, expected):
    with listening(ServerSettings(host=host, port=0)) as listener:
        assert hosts_of(listener, allowed) == expected


def test_more_connections_than_are_allowed_are_told_so():
    """The first one waits for its answer, and gets it."""
    with served(max_connections=2) as (_, url), connection(url) as first:
        first.sendall(request(b'{"instances": ["2"]}'))
        time.sleep(0.5)
        with connection(url) as second:
            second.sendall(request())
            assert second.recv(100).startswith(b"HTTP/1.1 503 ")
        assert first.recv(100).startswith(b"HTTP/1.1 200 ")
