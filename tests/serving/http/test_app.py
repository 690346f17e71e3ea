"""The application: every dialect's shapes, limits and errors, on models that need no TensorFlow."""

import asyncio
import base64
import functools
import itertools
import json
import logging
import struct
import threading
from types import SimpleNamespace

import pytest
from starlette.testclient import TestClient

from kbert.serving.http import answering, logs, open_inference
from kbert.serving.http.app import application
from kbert.serving.settings import ServerSettings
from tests.serving.http.served import Embedding, Models, Task, predictor

PREDICT = "/v1/models/topics:predict"
INFER = "/v2/models/topics/infer"
LIMITS = ServerSettings(
    max_instances=5, max_characters=200, max_body_bytes=2000, timeout_seconds=5.0
)


@pytest.fixture(scope="module")
def client():
    models = Models(topics=predictor(Task()), vectors=predictor(Embedding()))
    with TestClient(application(models, LIMITS), raise_server_exceptions=False) as client:
        yield client


def tensor(size, datatype, data=("a",)):
    one = {"name": "text", "shape": [size], "datatype": datatype, "data": data}
    return json.dumps({"inputs": [one]}).encode()


def answer(text):
    return {"label": text, "score": len(text) + 1.0, "parts": [text, None]}


@pytest.mark.parametrize("path", [PREDICT, "/v1/models/topics/versions/3:predict"])
def test_tensorflow_servings_rows(client, path):
    instances = ["天气", {"text": "b" * 7}, {"b64": base64.b64encode(b"c").decode()}]
    found = client.post(path, json={"instances": instances, "signature_name": "serving_default"})
    assert found.status_code == 200
    assert found.json() == {"predictions": [answer("天气"), answer("b" * 7), answer("c")]}
    assert float(found.headers["X-Queue-Time"]) >= 0
    assert float(found.headers["X-Inference-Time"]) >= 0
    assert client.post(path, json={"instances": []}).json() == {"predictions": []}


@pytest.mark.parametrize("inputs", [{"text": ["a", "bc"]}, ["a", "bc"]])
def test_tensorflow_servings_columns(client, inputs):
    found = client.post(PREDICT, json={"inputs": inputs}).json()["outputs"]
    assert found == {
        "label": ["a", "bc"],
        "score": [2.0, 3.0],
        "parts": [["a", None], ["bc", None]],
    }


def test_tensorflow_servings_status_and_metadata(client):
    (status,) = client.get("/v1/models/topics").json()["model_version_status"]
    assert (status["version"], status["state"]) == ("3", "AVAILABLE")
    assert client.get("/v1/models/topics/versions/3").json()["model_version_status"] == [status]
    found = client.get("/v1/models/topics/metadata").json()
    assert found["model_spec"] == {"name": "topics", "signature_name": "", "version": "3"}
    signature = found["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["text"]["dtype"] == "DT_STRING"


def test_open_inference(client):
    for path in ("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/topics/ready"):
        assert client.get(path).status_code == 200
    described = client.get("/v2/models/topics/versions/3").json()
    assert described["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    tensor = {"name": "text", "shape": [2], "datatype": "BYTES", "data": ["a", "bc"]}
    found = client.post(INFER, json={"id": "7", "inputs": [tensor]}).json()
    assert (found["model_name"], found["model_version"], found["id"]) == ("topics", "3", "7")
    outputs = {output["name"]: output for output in found["outputs"]}
    assert outputs["label"]["data"] == ["a", "bc"]
    assert outputs["score"] == {"name": "score", "datatype": "FP64", "shape": [2], "data": [2, 3]}
    assert [json.loads(text) for text in outputs["parts"]["data"]] == [["a", None], ["bc", None]]
    wanted = {"inputs": [tensor], "outputs": [{"name": "score"}]}
    assert [o["name"] for o in client.post(INFER, json=wanted).json()["outputs"]] == ["score"]
    other = client.post(INFER, json={"inputs": [tensor], "outputs": [{"name": "lable"}]})
    assert other.status_code == 400
    assert other.json()["error"] == "Expected outputs of label, score, parts. Received: lable."


@pytest.mark.parametrize(
    ("column", "datatype", "shape", "data"),
    [
        ([1, 2.5], "FP64", [2], [1.0, 2.5]),
        ([[1, 2], [3, 4]], "FP64", [2, 2], [1.0, 2.0, 3.0, 4.0]),
        ([None], "BYTES", [1], ["null"]),
        ([None, 3], "BYTES", [2], ["null", "3"]),
        ([["2024", "12"]], "BYTES", [1], ['["2024", "12"]']),
        (["0", "1"], "BYTES", [2], ["0", "1"]),
        ([[]], "BYTES", [1], ["[]"]),
        ([[1.0], [1.0, 2.0]], "BYTES", [2], ["[1.0]", "[1.0, 2.0]"]),
        ([True], "BYTES", [1], ["true"]),
    ],
)
def test_numbers_are_what_is_no_text_and_never_null(column, datatype, shape, data):
    """The type follows what an answer is, not what it looks like."""
    found = open_inference._tensor("x", column)
    assert found == {"name": "x", "datatype": datatype, "shape": shape, "data": data}
    json.dumps(found, allow_nan=False)


def test_a_slow_body_leaves_less_time_for_the_answer(client, monkeypatch):
    """The limit is one for both."""
    clock = itertools.count(step=6)  # Seconds, each time that it is looked at.
    monkeypatch.setattr(answering, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    found = client.post(PREDICT, json={"instances": ["a"]})
    assert found.status_code == 504 and "within 5 s" in found.json()["error"]


def test_a_request_cannot_write_lines_into_the_log():
    record = logging.makeLogRecord({"fields": {"path": "/a\n2026 GET /b\x1b[31m", "status": 404}})
    (line,) = logs._Text().format(record).splitlines()
    assert line.endswith("/a\\n2026 GET /b\\x1b[31m 404 ms")


def test_a_line_that_is_no_unicode_is_logged(capfd):
    logs._Writer().handle(logging.makeLogRecord({"msg": "model \udcff"}))
    assert capfd.readouterr().err == "model \\udcff\n"


def test_a_client_that_leaves_in_its_body_is_no_fault():
    """Neither a 500 nor a traceback: nobody reads an answer."""
    messages = [{"type": "http.request", "body": b"{", "more_body": True}]
    messages.append({"type": "http.disconnect"})
    scope = {"type": "http", "method": "POST", "path": PREDICT, "headers": [], "query_string": b""}
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    app = application(Models(topics=predictor(Task())), LIMITS)
    asyncio.run(app({**scope, "path_params": {}}, receive, send))
    assert [m["status"] for m in sent if m["type"] == "http.response.start"] == [499]


def test_openais_embeddings(client):
    body = {"model": "vectors", "input": ["a", "bc"]}
    found = client.post("/v1/embeddings", json=body).json()
    assert [item["embedding"] for item in found["data"]] == [[2.0, 0.5], [3.0, 0.5]]
    assert [item["index"] for item in found["data"]] == [0, 1]
    assert found["usage"] == {"prompt_tokens": 5, "total_tokens": 5}
    found = client.post("/v1/embeddings", json={**body, "encoding_format": "base64"}).json()
    packed = base64.b64decode(found["data"][1]["embedding"])
    assert struct.unpack("<2f", packed) == (3.0, 0.5)
    found = client.post("/v1/embeddings", json={"model": "topics", "input": "a"})
    assert found.status_code == 400 and "no embeddings" in found.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        (PREDICT, b"[", 400, "Expected JSON"),
        (PREDICT, b"[" * 1500, 400, "Expected JSON"),
        (PREDICT, b'{"instances": %s}' % (b"[" * 600 + b"]" * 600), 400, "at most 50 levels"),
        (INFER, tensor(2, "BYTES", [["a"], 5]), 400, "values, or lists of values"),
        (PREDICT, b'{"instances": [NaN]}', 400, "NaN is no number"),
        (PREDICT, b'"text"', 400, "Expected a JSON object"),
        (PREDICT, b"{}", 400, "either `instances` or `inputs`"),
        (PREDICT, b'{"instances": "a"}', 400, "Expected a list of `instances`"),
        (PREDICT, b'{"instances": [], "other": 1}', 400, "Received: ['other']"),
        (PREDICT, b'{"instances": [], "signature_name": "x"}', 400, "serving_default"),
        (PREDICT, b'{"instances": ["a", 5]}', 400, "Instance 1: expected a text"),
        (PREDICT, b'{"instances": [{"b64": "?"}]}', 400, "Expected base64"),
        (PREDICT, b'{"inputs": {"text": ["a"], "no": ["b"]}}', 400, "with the keys text"),
        (PREDICT, b'{"instances": ["a","a","a","a","a","a"]}', 413, "at most 5 instances"),
        (PREDICT, b'{"instances": ["%s"]}' % (b"a" * 201), 413, "at most 200 characters"),
        (PREDICT, b" " * 2001, 413, "at most 2000 bytes"),
        ("/v1/models/none:predict", b"{}", 404, "no model none"),
        ("/v1/models/topics/versions/4:predict", b"{}", 404, "no model topics"),
        ("/v1/models/topics/../../etc/passwd", b"{}", 404, "nothing at"),
        ("/v1/models/topics:other", b"{}", 404, "nothing at"),
        ("/nothing", b"{}", 404, "nothing at /nothing"),
        ("/v1/models/topics", b"{}", 405, "takes GET. Received: POST"),
        (INFER, tensor(2, "BYTES"), 400, "does not fit 1"),
        (INFER, tensor(1, "FP32"), 400, "datatype BYTES"),
        (INFER, b'{"inputs": []}', 400, "a list of tensors"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_said(client, path, body, status, sentence):
    found = client.post(path, content=body)
    assert found.status_code == status
    assert sentence in found.json()["error"]
    if status == 405:
        assert "GET" in found.headers["Allow"].split(", ")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b'{"instances": [%s]}' % b",".join([b"[]"] * 5_000_000), "at most 262144 values"),
        (b'{"instances": [%s]}' % b",".join([b'""'] * 100_000), "at most 2048 instances"),
        (b'{"inputs": [%s]}' % b",".join([b'""'] * 100_000), "at most 2048 instances"),
        (b'{"instances": ["%s"]}' % (b"a" * 15_000_000), "at most 200000 characters"),
    ],
)
def test_the_work_of_a_request_is_bounded(body, sentence):
    def never(inputs):
        raise AssertionError("computed")

    with TestClient(application(Models(topics=predictor(Task(), never)))) as client:
        found = client.post(PREDICT, content=body)
        assert found.status_code == 413 and sentence in found.json()["error"]


@pytest.mark.parametrize(
    "path",
    ["%2e%2e/%2e%2e/etc/passwd", "topics%2f..", "topics%00", "/topics", "%ff", "x" * 5000]
    + [f"topics/versions/{version}" for version in ("9" * 40, "9" * 5000, "-1", "٣:predict")],
)
def test_tricks_with_paths_are_not_found(client, path):
    for prefix in ("/v1/models/", "/v2/models/"):
        found = client.get(prefix + path)
        assert found.status_code in (404, 405) and "error" in found.json()


def test_bytes_are_read_as_the_graph_reads_them(client):
    found = client.post(
        PREDICT, json={"instances": [{"b64": base64.b64encode(b"a\xffb").decode()}]}
    )
    assert found.json()["predictions"][0]["label"] == "a\ufffdb"


def test_lone_surrogates_come_back(client):
    found = client.post(PREDICT, content=b'{"instances": ["\\ud800"]}')
    assert found.json()["predictions"][0]["label"] == "\ud800"


def test_metrics_count(client):
    client.post(PREDICT, json={"instances": ["a" * 150]})
    found = client.get("/metrics").text
    assert 'kbert_requests_total{dialect="tensorflow_serving",status="400"}' in found
    counted = dict(line.rsplit(" ", 1) for line in found.splitlines() if line[0] != "#")
    assert float(counted["kbert_texts_cut_total"]) == 1
    assert float(counted["kbert_texts_total"]) >= 10
    assert float(counted["kbert_batch_rows_count"]) >= 5
    assert float(counted["kbert_queued_texts"]) == 0


def test_the_description_has_requests_that_work(client):
    described = client.get("/openapi.json").json()
    assert {PREDICT, INFER, "/v1/embeddings"} <= set(described["paths"])
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            body = operation.get("requestBody", {"content": {"application/json": {}}})
            example = body["content"]["application/json"].get("example")
            assert client.request(method, path, json=example).status_code == 200


def test_a_token_is_asked_for():
    models = Models(topics=predictor(Task()))
    with TestClient(application(models, token="secret")) as client:
        refused = client.get("/v1/models/topics")
        assert refused.status_code == 401 and refused.headers["WWW-Authenticate"] == "Bearer"
        for wrong in ("Bearer Secret", "Bearer secret2", "Bearer", "Basic secret", "secret"):
            refused = client.get("/v1/models/topics", headers={"Authorization": wrong})
            assert refused.status_code == 401
        assert client.get("/healthz").status_code == 200
        allowed = {"Authorization": "Bearer secret"}
        assert client.get("/v1/models/topics", headers=allowed).status_code == 200


def test_a_fault_of_the_model_is_a_sentence():
    def broken(inputs):
        raise RuntimeError("broken")

    models = Models(topics=predictor(Task(), broken))
    with TestClient(application(models), raise_server_exceptions=False) as client:
        found = client.post(PREDICT, json={"instances": ["a"]})
        assert found.status_code == 500 and found.json() == {
            "error": "The server failed: RuntimeError."
        }


def test_a_full_server_says_when_to_come_again():
    gate = threading.Event()

    def held(inputs):
        gate.wait(10)
        return {"length": inputs["padding_mask"].sum(axis=1)}

    models = Models(topics=predictor(Task(), held))
    settings = ServerSettings(max_queued_texts=1, timeout_seconds=0.3)
    with TestClient(application(models, settings), raise_server_exceptions=False) as client:
        statuses = []
        ask = lambda: statuses.append(client.post(PREDICT, json={"instances": ["a"]}))  # noqa: E731
        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        gate.set()
        found = sorted(response.status_code for response in statuses)
        assert found == [503, 503, 504]
        refused = next(response for response in statuses if response.status_code == 503)
        assert refused.headers["Retry-After"] == "1"


def test_a_full_server_refuses_before_it_reads():
    gate, entered = threading.Event(), threading.Event()

    def held(inputs):
        entered.set()
        gate.wait(10)
        return {"length": inputs["padding_mask"].sum(axis=1)}

    models = Models(topics=predictor(Task(), held))
    with TestClient(application(models, ServerSettings(max_queued_texts=1))) as client:
        ask = functools.partial(client.post, PREDICT, json={"instances": ["a"]})
        first = threading.Thread(target=ask)
        first.start()
        entered.wait(10)
        refused = client.post(PREDICT, content=b"no JSON")
        health = client.get("/healthz")
        gate.set()
        first.join()
        assert refused.status_code == 503 and refused.headers["Retry-After"] == "1"
        assert refused.json() == {"error": "Too many texts are waiting."}
        assert health.status_code == 200
        assert client.post(PREDICT, content=b"no JSON").status_code == 400
