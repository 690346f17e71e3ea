"""Answers and errors as JSON."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from kbert.files import as_json


def json_response(
    values: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A response whose texts may hold anything that a client sent, lone surrogates too."""
    body = as_json(values).encode("utf-8")
    return Response(body, status, headers, media_type="application/json")
