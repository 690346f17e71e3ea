"""TensorFlow Serving's REST interface, so that a client moves to it, or back, unchanged.

    POST /v1/models/NAME:predict   {"instances": ["text", ...]}  -> {"predictions": [{...}, ...]}
                                   {"inputs": {"text": ["text"]}} -> {"outputs": {...}}
    GET  /v1/models/NAME           -> {"model_version_status": [{"version": "1", ...}]}
    GET  /v1/models/NAME/metadata  -> {"model_spec": {...}, "metadata": {"signature_def": ...}}

All also under /v1/models/NAME/versions/VERSION. Errors are {"error": "a sentence"}
(https://www.tensorflow.org/tfx/serving/api_rest).
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kbert.serving.http.answering import Answering, RequestError, time_headers
from kbert.serving.http.responses import json_response
from kbert.serving.signature_defs import SIGNATURE

if TYPE_CHECKING:
    from kbert.serving.served import Served

_PATH = re.compile(
    r"(?P<name>[^/:]+)(/versions/(?P<version>[0-9]{1,18}))?(?P<verb>:predict|/metadata)?"
)
_KEYS = {"instances", "inputs", "signature_name"}


def routes(answering: Answering) -> list[Route]:
    """What `answering` answers under /v1/models/."""

    async def endpoint(request: Request) -> Response:
        path = request.path_params["path"]
        match = _PATH.fullmatch(path)
        if match is None:
            names = ", ".join(f"/v1/models/{name}" for name in answering.models.names)
            raise RequestError(404, f"There is nothing at /v1/models/{path}. Served: {names}.")
        predictor = answering.model(match["name"], match["version"])
        expected = ("POST",) if match["verb"] == ":predict" else ("GET", "HEAD")
        if request.method not in expected:
            raise RequestError(
                405,
                f"{request.url.path} takes {expected[0]}. Received: {request.method}.",
                Allow=", ".join(expected),
            )
        if match["verb"] == ":predict":
            return await _predict(answering, request, predictor)
        if match["verb"] == "/metadata":
            return json_response(_metadata(match["name"], predictor))
        return json_response(_status(predictor))

    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    return [Route("/v1/models/{path:path}", endpoint, methods=methods, name="tensorflow_serving")]


async def _predict(answering: Answering, request: Request, predictor: "Served") -> Response:
    values = await answering.read_object(request)
    unknown = sorted(set(values) - _KEYS)
    if unknown:
        raise RequestError(400, f"Expected {', '.join(sorted(_KEYS))}. Received: {unknown}.")
    if values.get("signature_name", SIGNATURE) != SIGNATURE:
        raise RequestError(400, f"Expected the signature {SIGNATURE}.")
    if ("instances" in values) == ("inputs" in values):
        raise RequestError(400, "Expected either `instances` or `inputs`.")
    if "instances" in values:
        if not isinstance(values["instances"], list):
            raise RequestError(400, "Expected a list of `instances`.")
        answering.check_number(values["instances"])
        instances = [_decoded(instance) for instance in values["instances"]]
        answers = await answering.answer(request, predictor.answerer, instances)
        body = {"predictions": answers.answers}
    else:
        instances = rows_of(_decoded(values["inputs"]), predictor.fields)
        answers = await answering.answer(request, predictor.answerer, instances)
        body = {"outputs": columns_of(answers.answers)}
    return json_response(body, headers=time_headers(answers))


def rows_of(inputs: Any, fields: Sequence[str]) -> list[dict]:
    """Columns as TensorFlow Serving takes them -> instances. Raises `RequestError`."""
    if len(fields) == 1 and not isinstance(inputs, dict):
        inputs = {fields[0]: inputs}
    if not isinstance(inputs, dict) or not inputs or set(inputs) - set(fields):
        raise RequestError(400, f"Expected `inputs` with the keys {', '.join(fields)}.")
    columns = {name: [v] if isinstance(v, str) else v for name, v in inputs.items()}
    if not all(isinstance(column, list) for column in columns.values()):
        raise RequestError(400, "Expected a list under each key of `inputs`.")
    lengths = {len(column) for column in columns.values()}
    if len(lengths) != 1:
        raise RequestError(400, f"Expected columns of one length. Received: {sorted(lengths)}.")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def columns_of(answers: Sequence[Mapping]) -> dict[str, list]:
    """Answers as columns; a key that an answer lacks is null there."""
    names = dict.fromkeys(name for answer in answers for name in answer)
    return {name: [answer.get(name) for answer in answers] for name in names}


def _decoded(value: Any) -> Any:
    """A JSON value in which {"b64": ...} stands for the bytes of a text."""
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) != {"b64"}:
        return {name: _decoded(item) for name, item in value.items()}
    try:
        return base64.b64decode(value["b64"], validate=True).decode("utf-8", "replace")
    except (binascii.Error, TypeError, ValueError) as error:
        raise RequestError(400, f"Expected base64 under `b64`: {error}.") from error


def _status(predictor: "Served") -> dict:
    status = {"error_code": "OK", "error_message": ""}
    version = str(predictor.version)
    return {"model_version_status": [{"version": version, "state": "AVAILABLE", "status": status}]}


def _metadata(name: str, predictor: "Served") -> dict:
    inputs = {}
    for field in predictor.fields:
        dims = [{"size": "-1", "name": ""}] * (2 if field == "choices" else 1)
        shape = {"dim": dims, "unknown_rank": False}
        inputs[field] = {"dtype": "DT_STRING", "tensor_shape": shape, "name": field}
    signature = {"inputs": inputs, "outputs": {}, "method_name": "tensorflow/serving/predict"}
    return {
        "model_spec": {"name": name, "signature_name": "", "version": str(predictor.version)},
        "metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}},
    }
