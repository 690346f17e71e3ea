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
    }
    for name in models.names:
        predictor = models.get(name)
        instance = predictor.example_instance
        paths[f"/v1/models/{name}"] = {"get": _answered("State of the model's version.")}
        paths[f"/v1/models/{name}/metadata"] = {"get": _answered("Its signature.")}
        paths[f"/v1/models/{name}:predict"] = {
            "post": _asked(
                "Answers to instances.", _instances(predictor), {"instances": [instance]}
            )
        }
        paths[f"/v2/models/{name}"] = {"get": _answered("The model's inputs.")}
    return {
        "openapi": "3.1.0",
        "info": {"title": "kbert", "version": kbert.__version__},
        "paths": paths,
    }


def _instances(predictor: "Served") -> dict:
    properties = {
        name: {"type": "array", "items": _TEXT, "minItems": 2} if name == "choices" else _TEXT
        for name in predictor.fields
    }
    instance = {
        "type": "object",
        "properties": properties,
        "required": [name for name in predictor.fields if name != "question"],
    }
    return {
        "type": "object",
        "properties": {"instances": {"type": "array", "items": instance}},
        "required": ["instances"],
    }


def _answered(summary: str, media_type: str = "application/json") -> dict:
    content = {media_type: {"schema": {}}}
    return {
        "summary": summary,
        "responses": {"200": {"description": summary, "content": content}, "default": _ERROR},
    }


def _asked(summary: str, schema: dict, example: dict) -> dict:
    content = {"application/json": {"schema": schema, "example": example}}
    return _answered(summary) | {"requestBody": {"required": True, "content": content}}
