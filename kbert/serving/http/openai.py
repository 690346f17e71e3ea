"""OpenAI's embeddings, of models that are encoders.

    POST /v1/embeddings  {"model": "NAME", "input": ["a text", ...]}
      -> {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [...]}], ...}

Errors are {"error": {"message": "a sentence", ...}}
(https://platform.openai.com/docs/api-reference/embeddings).
"""

import base64
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kbert.inference.fill_mask import FillMask
from kbert.serving.http.answering import Answering, RequestError, time_headers
from kbert.serving.http.responses import json_response

_KEYS = {"model", "input", "encoding_format", "dimensions", "user"}


def routes(answering: Answering) -> list[Route]:
    """What `answering` answers at /v1/embeddings."""

    async def embeddings(request: Request) -> Response:
        values = await answering.read_object(request)
        name, texts = _checked(values)
        predictor = answering.model(name)
        if predictor.answerer.task.name != "embedding":
            kind = predictor.answerer.task.name
            hint = "; kbert export --answers embedding makes one that does"
            raise RequestError(
                400,
                f"The model {name} gives no embeddings: it answers {kind}"
                f"{hint if kind == FillMask.name else ''}.",
            )
        answers = await answering.answer(request, predictor.answerer, texts)
        vectors = [answer["embedding"] for answer in answers.answers]
        if values.get("dimensions") not in (None, *{len(vector) for vector in vectors}):
            raise RequestError(400, "`dimensions` must be the model's own.")
        if values.get("encoding_format", "float") == "base64":
            vectors = [base64.b64encode(np.asarray(v, "<f4")).decode() for v in vectors]
        body = {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": vector}
                for index, vector in enumerate(vectors)
            ],
            "model": name,
            "usage": {"prompt_tokens": answers.tokens, "total_tokens": answers.tokens},
        }
        return json_response(body, headers=time_headers(answers))

    return [Route("/v1/embeddings", embeddings, methods=["POST"])]


def _checked(values: dict) -> tuple[str, list[str]]:
    """The model's name and the texts. Raises `RequestError` for what is no such request."""
    unknown = sorted(set(values) - _KEYS)
    if unknown:
        raise RequestError(400, f"Expected {', '.join(sorted(_KEYS))}. Received: {unknown}.")
    texts: Any = values.get("input")
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
        raise RequestError(400, "Expected a text, or a list of texts, under `input`.")
    if not isinstance(values.get("model"), str):
        raise RequestError(400, "Expected the name of a model under `model`.")
    if values.get("encoding_format", "float") not in ("float", "base64"):
        raise RequestError(400, "`encoding_format` must be float or base64.")
    return values["model"], texts
