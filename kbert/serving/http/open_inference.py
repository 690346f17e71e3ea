"""The Open Inference Protocol, version 2, over REST (KServe, Triton, Seldon).

    GET  /v2, /v2/health/live, /v2/health/ready
    GET  /v2/models/NAME, /v2/models/NAME/ready
    POST /v2/models/NAME/infer
         {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a text"]}]}

Models also under /v2/models/NAME/versions/VERSION. An output is BYTES of texts, FP64 of numbers;
anything else is BYTES of JSON (https://github.com/kserve/open-inference-protocol).
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import kbert
from kbert.files import as_json
from kbert.serving.http.answering import Answering, RequestError, time_headers
from kbert.serving.http.responses import json_response
from kbert.serving.http.tensorflow_serving import columns_of, rows_of

if TYPE_CHECKING:
    from kbert.serving.served import Served

_MODEL = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")


def routes(answering: Answering) -> list[Route]:
    """What `answering` answers under /v2."""

    def model_of(request: Request) -> "Served":
        return answering.model(request.path_params["name"], request.path_params.get("version"))

    async def server(request: Request) -> Response:
        return json_response({"name": "kbert", "version": kbert.__version__, "extensions": []})

    async def live(request: Request) -> Response:
        return json_response({"live": True})

    async def ready(request: Request) -> Response:
        return json_response({"ready": True})

    async def model(request: Request) -> Response:
        predictor = model_of(request)
        shape = {name: [-1, -1] if name == "choices" else [-1] for name in predictor.fields}
        return json_response(
            {
                "name": request.path_params["name"],
                "versions": [str(predictor.version)],
                "platform": predictor.platform,
                "inputs": [
                    {"name": name, "datatype": "BYTES", "shape": shape[name]}
                    for name in predictor.fields
                ],
                "outputs": [],
            }
        )

    async def model_ready(request: Request) -> Response:
        model_of(request)
        return json_response({"name": request.path_params["name"], "ready": True})

    async def infer(request: Request) -> Response:
        predictor = model_of(request)
        values = await answering.read_object(request)
        instances = rows_of(_columns(values), predictor.fields)
        wanted = _wanted_outputs(values)
        answers = await answering.answer(request, predictor.answerer, instances)
        found = columns_of(answers.answers)
        if found and (unknown := set(wanted or ()) - set(found)):
            raise RequestError(
                400, f"Expected outputs of {', '.join(found)}. Received: {min(unknown)}."
            )
        outputs = {n: found[n] for n in found if wanted is None or n in wanted}
        body = {
            "model_name": request.path_params["name"],
            "model_version": str(predictor.version),
            **({"id": values["id"]} if isinstance(values.get("id"), str) else {}),
            "outputs": [_tensor(name, column) for name, column in outputs.items()],
        }
        return json_response(body, headers=time_headers(answers))

    return [
        Route("/v2", server),
        Route("/v2/health/live", live),
        Route("/v2/health/ready", ready),
        *(Route(path, model) for path in _MODEL),
        *(Route(f"{path}/ready", model_ready) for path in _MODEL),
        *(Route(f"{path}/infer", infer, methods=["POST"]) for path in _MODEL),
    ]


def _columns(values: Mapping) -> dict[str, list]:
    """The request's tensors as columns. Raises `RequestError` for what is none."""
    tensors = values.get("inputs")
    if not isinstance(tensors, list) or not tensors:
        raise RequestError(400, "Expected a list of tensors under `inputs`.")
    columns = {}
    for tensor in tensors:
        if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
            raise RequestError(400, "Expected a tensor with name, shape, datatype and data.")
        name, shape, data = tensor["name"], tensor.get("shape"), tensor.get("data")
        if tensor.get("datatype") != "BYTES":
            raise RequestError(400, f"Input {name!r}: expected the datatype BYTES.")
        known = isinstance(shape, list) and len(shape) in (1, 2)
        if not known or not all(type(size) is int and size >= 0 for size in shape):
            raise RequestError(400, f"Input {name!r}: expected a shape of one or two sizes.")
        flat = _flat(data)
        if len(flat) != math.prod(shape):
            raise RequestError(
                400, f"Input {name!r}: shape {shape} does not fit {len(flat)} values."
            )
        columns[name] = flat if len(shape) == 1 else _rows(flat, shape[1])
    return columns


def _flat(data: Any) -> list:
    if not isinstance(data, list):
        raise RequestError(400, "Expected a list under `data`.")
    nested = [isinstance(row, list) for row in data]
    if any(nested) and not all(nested):
        raise RequestError(400, "Expected values, or lists of values, under `data`.")
    return [item for row in data for item in row] if any(nested) else data


def _rows(flat: list, width: int) -> list[list]:
    return [flat[start : start + width] for start in range(0, len(flat), max(width, 1))]


def _wanted_outputs(values: Mapping) -> set[str] | None:
    """The names of the outputs that a request asks for; None for all."""
    wanted = values.get("outputs")
    if wanted is None:
        return None
    if not isinstance(wanted, list) or not all(isinstance(item, dict) for item in wanted):
        raise RequestError(400, "Expected a list of objects under `outputs`.")
    return {str(item.get("name")) for item in wanted}


def _tensor(name: str, column: Sequence[Any]) -> dict:
    """A column of answers as a tensor."""
    try:
        array = np.asarray(column)
    except ValueError:  # Lists of several lengths.
        array = np.empty(0)
    # None and texts are of other kinds: a text is no number because it looks like one.
    if array.dtype.kind in "if" and array.size:
        data = array.astype("float64").ravel().tolist()
        return {"name": name, "datatype": "FP64", "shape": list(array.shape), "data": data}
    data = [value if isinstance(value, str) else as_json(value) for value in column]
    return {"name": name, "datatype": "BYTES", "shape": [len(column)], "data": data}
