"""The page to try the models on: its files, and what it asks besides the models' answers.

    GET  /                                   the page; its files are /page/NAME
    GET  /page/v1/models                     {"models": [{"name", "kind", "views", ...}, ...]}
    POST /page/v1/models/NAME/VIEW           {"instances": [{"text": "..."}]} -> {"answers": [...]}

VIEW is "answer", or one of kbert/serving/views.py.
"""

import mimetypes
from importlib import resources
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import kbert
from kbert.serving.http.answering import Answering, RequestError, time_headers
from kbert.serving.http.responses import json_response

if TYPE_CHECKING:
    from kbert.serving.served import Served

# The page's own files alone: no other host, no script in the text, no frame around it.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_API = "/page/v1/"
_ANSWER = "answer"
# Of a task's settings those that the page says something about.
_SETTINGS = ("labels", "threshold", "null_threshold", "unanswerable", "mean", "deviation", "plain")


def is_file(path: str) -> bool:
    """Whether a path is the page's or one of its files, which anybody may read."""
    return path == "/" or (path.startswith("/page/") and not path.startswith(_API))


def routes(answering: Answering) -> list[Route]:
    """The page's files, and what `answering` answers under /page/v1/."""
    folder = resources.files("kbert.serving") / "page"
    files = {file.name: file.read_bytes() for file in folder.iterdir()}

    async def file(request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        if name not in files:
            raise RequestError(404, f"There is nothing at {request.url.path}.")
        kind = mimetypes.guess_type(name)[0] or "text/plain"
        return Response(files[name], media_type=kind, headers=_HEADERS)

    async def models(request: Request) -> Response:
        served = {name: answering.model(name) for name in answering.models.names}
        described = [_described(name, model) for name, model in served.items()]
        return json_response({"models": described, "version": kbert.__version__})

    async def view(request: Request) -> Response:
        served = answering.model(request.path_params["model"])
        name = request.path_params["view"]
        answerer = {_ANSWER: served.answerer, **served.views.answerers}.get(name)
        if answerer is None:
            raise RequestError(404, f"The model has no view {name}.")
        values = await answering.read_object(request)
        if not isinstance(values.get("instances"), list) or len(values) > 1:
            raise RequestError(400, "Expected a list of `instances`.")
        answers = await answering.answer(request, answerer, values["instances"])
        return json_response({"answers": answers.answers}, headers=time_headers(answers))

    return [
        Route("/", file),
        Route("/page/{name}", file),
        Route(f"{_API}models", models),
        Route(f"{_API}models/{{model}}/{{view}}", view, methods=["POST"]),
    ]


def _described(name: str, served: "Served") -> dict:
    task = served.answerer.task
    settings = {key: getattr(task, key) for key in _SETTINGS if hasattr(task, key)}
    return {
        "name": name,
        "version": served.version,
        "form": served.form,
        "kind": task.name,
        "fields": list(served.fields),
        "tokens": task.sequence_length,
        "views": [_ANSWER, *served.views.answerers],
        "lacking": served.views.lacking,
        "settings": settings,
    }
