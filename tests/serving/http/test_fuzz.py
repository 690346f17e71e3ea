"""Requests drawn from the server's own description, right ones and wrong ones: no status 5xx."""

import json

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from starlette.testclient import TestClient

from kbert.serving.http.app import application
from kbert.serving.http.openapi import description
from tests.serving.http.served import Embedding, Models, Task, predictor

schemathesis = pytest.importorskip("schemathesis")
MODELS = Models(topics=predictor(Task()), vectors=predictor(Embedding()))
OPERATIONS = [
    result.ok()
    for result in schemathesis.openapi.from_dict(description(MODELS)).get_all_operations()
]


@pytest.fixture(scope="module")
def client():
    with TestClient(application(MODELS), raise_server_exceptions=False) as client:
        yield client


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_no_request_makes_the_server_fail(client, operation, mode):
    if operation.method == "get" and mode == schemathesis.GenerationMode.NEGATIVE:
        pytest.skip("Nothing is asked that could be wrong.")
    found = set()

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=100,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case):
        body = case.body if isinstance(case.body, bytes) else json.dumps(case.body, default=str)
        response = client.request(case.method, case.formatted_path, content=body)
        assert response.status_code < 500, (body, response.text)
        found.add(response.status_code)

    ask()
    if mode == schemathesis.GenerationMode.POSITIVE:
        assert 200 in found
