"""The server's description of itself, as OpenAPI 3.1."""

from typing import TYPE_CHECKING

import kbert
from kbert.serving.models import Models

if TYPE_CHECKING:
    from kbert.serving.served import Served

_TEXT = {"type": "string"}
_ERROR = {
    "description": "What was expected, and what was received.",
    "content": {
        "application/json": {
            "schema": {"type": "object", "properties": {"error": {}}, "required": ["error"]}
        }
    },
}


def description(models: Models) -> dict:
    """What `GET /openapi.json` answers: the paths of each model, with a request that works."""
    paths = {
        "/healthz": {"get": _answered("The server lives.")},
        "/readyz": {"get": _answered("The models are loaded.")},
        "/metrics": {"get": _answered("Counters in Prometheus's form.", "text/plain")},
        "/v2": {"get": _answered("The server.")},
        "/v2/health/live": {"get": _answered("The server lives.")},
        "/v2/health/ready": {"get": _answered("The models are loaded.")},
    }
    for name in models.names:
        predictor = models.get(name)
        paths |= _tensorflow_serving(f"/v1/models/{name}", predictor)
        paths |= _open_inference(f"/v2/models/{name}", predictor)
        if predictor.answerer.task.name == "embedding":
            paths["/v1/embeddings"] = _embeddings(name)
    return {
        "openapi": "3.1.0",
        "info": {"title": "kbert", "version": kbert.__version__},
        "paths": paths,
    }


def _tensorflow_serving(path: str, predictor: "Served") -> dict:
    instances = _object(instances=_list(_instance(predictor)))
    example = {"instances": [predictor.example_instance]}
    return {
        path: {"get": _answered("State of the model's version.")},
        f"{path}/metadata": {"get": _answered("Its signature.")},
        f"{path}:predict": {"post": _asked("Answers to instances.", instances, example)},
    }


def _open_inference(path: str, predictor: "Served") -> dict:
    tensor = _object(
        name={"enum": list(predictor.fields)},
        shape=_list({"type": "integer", "minimum": 0}),
        datatype={"const": "BYTES"},
        data={"type": "array"},
    )
    example = [
        {
            "name": name,
            "shape": [1, len(value)] if name == "choices" else [1],
            "datatype": "BYTES",
            "data": [value],
        }
        for name, value in predictor.example_instance.items()
    ]
    asked = _asked("Answers as tensors.", _object(inputs=_list(tensor)), {"inputs": example})
    return {
        path: {"get": _answered("The model's inputs.")},
        f"{path}/ready": {"get": _answered("The model is loaded.")},
        f"{path}/infer": {"post": asked},
    }


def _embeddings(name: str) -> dict:
    schema = _object(model={"type": "string"}, input=_list(_TEXT))
    example = {"model": name, "input": ["..."]}
    return {"post": _asked("Vectors of texts, in OpenAI's shape.", schema, example)}


def _instance(predictor: "Served") -> dict:
    properties = {
        name: {"type": "array", "items": _TEXT, "minItems": 2} if name == "choices" else _TEXT
        for name in predictor.fields
    }
    required = [name for name in predictor.fields if name != "question"]
    return {"type": "object", "properties": properties, "required": required}


def _object(**properties: dict) -> dict:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: dict) -> dict:
    return {"type": "array", "items": items}


def _answered(summary: str, media_type: str = "application/json") -> dict:
    content = {media_type: {"schema": {}}}
    return {
        "summary": summary,
        "responses": {"200": {"description": summary, "content": content}, "default": _ERROR},
    }


def _asked(summary: str, schema: dict, example: dict) -> dict:
    content = {"application/json": {"schema": schema, "example": example}}
    return _answered(summary) | {"requestBody": {"required": True, "content": content}}
