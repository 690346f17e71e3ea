"""HTTP: TensorFlow Serving's REST shape, bad requests, many clients at once, a clean end."""

import concurrent.futures
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from apps.cli import run_command
from apps.serve import model_name
from kbert import Predictor
from kbert.errors import DataError
from kbert.serving import server as serving
from kbert.serving.server import PredictionServer

PREDICT = "/v1/models/films:predict"


@pytest.fixture(scope="module")
def predictor(single):
    return Predictor(single[1])


@pytest.fixture(scope="module")
def server(predictor):
    with PredictionServer(predictor, "films", "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def connection(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    yield connection
    connection.close()


def ask(connection, method, path, body=None, headers=None):
    """-> the status and the JSON of the answer."""
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    assert response.headers["Content-Type"].startswith("application/json")
    return response.status, json.loads(response.read())


def post(connection, value, path=PREDICT):
    return ask(connection, "POST", path, json.dumps(value))


def test_predictions(connection, predictor):
    texts = ["the film was good", "今天天气很好", "", "go\ud800od"]
    expected = {"predictions": predictor.predict(texts)}
    for instances in (texts, [{"text": text} for text in texts]):
        status, answer = post(connection, {"instances": instances})
        assert (status, answer) == (200, expected)
    request = {"instances": texts, "signature_name": "serving_default"}
    assert post(connection, request, "/v1/models/films/versions/1:predict") == (200, expected)


def test_pairs(pairs):
    predictor = Predictor(pairs[1])
    with PredictionServer(predictor, "pairs", "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
        instances = [{"text": "the film", "second": "was bad"}]
        status, answer = post(connection, {"instances": instances}, "/v1/models/pairs:predict")
        assert (status, answer) == (200, {"predictions": predictor.predict(instances)})
        status, answer = post(connection, {"instances": ["one"]}, "/v1/models/pairs:predict")
        assert status == 400
        assert '{"text": "...", "second": "..."}' in answer["error"]
        connection.close()
        server.shutdown()
        thread.join()


def test_status(connection):
    status = {
        "version": "1",
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    for path in ("/v1/models/films", "/v1/models/films/versions/1", "/v1/models/films?x=1"):
        assert ask(connection, "GET", path) == (200, {"model_version_status": [status]})


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", "Expected JSON: "),
        ("{", "Expected JSON: "),
        (b'{"instances": ["\xff"]}', "Expected JSON: "),
        ("[" * 100_000, "Expected JSON: "),
        ('["a text"]', 'Expected {"instances": [...]}.'),
        ('{"inputs": ["a"]}', 'Expected {"instances": [...]}.'),
        ('{"instances": "a"}', 'Expected {"instances": [...]}.'),
        ('{"instances": []}', "Expected at least one instance. Received none."),
        ('{"instances": ["a"], "top": 1}', "Received: ['top']."),
        ('{"instances": ["a"], "signature_name": "token_ids"}', "the signature serving_default"),
        ('{"instances": ["a", 5]}', "Instance 1: expected a text"),
        ('{"instances": [{"txt": "a"}]}', "Instance 0: expected a text"),
        ('{"instances": [{"text": "a", "second": "b"}]}', "Instance 0: expected a text"),
        ('{"instances": ["a", null]}', "Instance 1: expected a text"),
    ],
)
def test_bad_requests_get_a_sentence(connection, body, expected):
    status, answer = ask(connection, "POST", PREDICT, body)
    assert status == 400
    assert list(answer) == ["error"]
    assert expected in answer["error"]
    # The connection is still usable.
    assert ask(connection, "GET", "/v1/models/films")[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "expected"),
    [
        ("GET", "/", 404, "There is nothing at /. The model is at /v1/models/films."),
        ("GET", "/v1/models/films/", 404, "There is nothing at"),
        ("POST", "/v1/models/films:classify", 404, "There is nothing at"),
        ("POST", "/v1/models/other:predict", 404, "There is no model other. Served: films"),
        ("GET", "/v1/models/films/versions/2", 404, "There is no model films, version 2."),
        ("GET", PREDICT, 405, "takes POST. Received: GET."),
        ("PUT", PREDICT, 405, "takes POST. Received: PUT."),
        ("POST", "/v1/models/films", 405, "takes GET. Received: POST."),
        ("BREW", PREDICT, 501, "BREW"),
    ],
)
def test_other_paths_and_methods(connection, method, path, status, expected):
    found, answer = ask(connection, method, path, '{"instances": ["a"]}')
    assert found == status
    assert expected in answer["error"]


def test_wrong_method_names_the_right_one(connection):
    connection.request("DELETE", PREDICT)
    response = connection.getresponse()
    assert (response.status, response.headers["Allow"]) == (405, "POST")
    response.read()
    connection.request("HEAD", "/v1/models/films")
    response = connection.getresponse()
    assert (response.status, response.read()) == (405, b"")


def raw(server, request):
    """Send bytes as they are. -> all that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=60) as client:
        client.sendall(request)
        return b"".join(iter(lambda: client.recv(65536), b"")).decode("utf-8")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("Transfer-Encoding: chunked", "411 Length Required"),
        ("Connection: close", "411 Length Required"),
        ("Content-Length: many", "400 Bad Request"),
        ("Content-Length: -5", "400 Bad Request"),
        ("Content-Length: " + 30 * "9", "400 Bad Request"),
    ],
)
def test_lengths_that_cannot_be_used(server, headers, status):
    answer = raw(server, f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n".encode())
    assert answer.startswith(f"HTTP/1.1 {status}")
    assert "Content-Length" in json.loads(answer.split("\r\n\r\n")[1])["error"]


def test_what_is_no_http(server):
    assert '{"error": "Bad request' in raw(server, b"hello you there\r\n\r\n")


def test_bodies_beyond_the_limit(server, connection, monkeypatch):
    monkeypatch.setattr(serving, "MAX_BODY_BYTES", 1000)
    status, answer = post(connection, {"instances": ["long " * 100_000]})
    assert status == 413
    assert "Expected at most 1000 bytes. Received: 500" in answer["error"]
    assert post(connection, {"instances": ["short"]})[0] == 200
    # A length that nobody sends is not waited for.
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {10**15}\r\n\r\n"
    assert raw(server, head.encode()).startswith("HTTP/1.1 413")


def test_a_fault_of_the_server_is_no_silence(server, connection, monkeypatch):
    def fail(instances):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(server.predictor, "predict", fail)
    monkeypatch.setattr(server, "handle_error", lambda *request: None)
    status, answer = post(connection, {"instances": ["a"]})
    assert status == 500
    assert "out of memory" in answer["error"]


def test_many_clients_at_once(server, predictor):
    texts = [" ".join(("good", "bad", "film")[: 1 + i % 3]) + " it" * (i % 5) for i in range(64)]
    expected = [predictor.predict([text])[0] for text in texts]

    def client(number):
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
        mine = texts[number::8]
        answers = [post(connection, {"instances": [text]}) for text in mine]
        connection.close()
        return answers

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for number, answers in enumerate(pool.map(client, range(8))):
            for (status, answer), wanted in zip(answers, expected[number::8], strict=True):
                assert status == 200
                (found,) = answer["predictions"]
                assert found["label"] == wanted["label"]
                assert found["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-6)


def test_a_port_in_use(server, predictor):
    with pytest.raises(DataError, match=f"127.0.0.1, port {server.server_port}: Address already"):
        PredictionServer(predictor, "films", "127.0.0.1", server.server_port)


def test_the_name_is_the_folder_s():
    assert model_name("saved_models/films") == "films"
    assert model_name("saved_models/films/2/") == "films"


def test_command_refuses(single, server, tmp_path, capsys):
    for arguments, expected in [
        ([str(tmp_path)], "must be what `kbert export` wrote"),
        ([str(single[1]), "--port", str(server.server_port)], "Address already in use"),
    ]:
        assert run_command("serve", arguments) == 1
        error = capsys.readouterr().err
        assert expected in error
        assert "Traceback" not in error


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("--port 70000", "--port: must be in [0, 65535]. Received: 70000."),
        ("--name a/b", "name must be one without / and : in it. Received: 'a/b'."),
    ],
)
def test_command_refuses_values(tmp_path, capsys, option, expected):
    with pytest.raises(SystemExit) as stop:
        run_command("serve", [str(tmp_path), *option.split()])
    assert stop.value.code == 2 and expected in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_command_serves_until_a_signal(single, number, code):
    command = [sys.executable, "-m", "apps.serve", str(single[1]), "--port", "0"]
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root, env=os.environ
    )
    try:
        first = process.stdout.readline()
        assert first.startswith("single, version 1: http://127.0.0.1:"), process.stderr.read()
        url = first.split(": ")[1].strip()
        connection = http.client.HTTPConnection(url.split("/")[2], timeout=60)
        status, answer = post(connection, {"instances": ["good film"]}, "/v1/models/single:predict")
        assert (status, len(answer["predictions"])) == (200, 1)
        # The connection stays open: it must not keep the server from its end.
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        connection.close()
    finally:
        process.kill()
    assert process.returncode == code, errors
    assert "Traceback" not in errors
