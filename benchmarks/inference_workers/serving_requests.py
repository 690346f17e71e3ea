"""What the workers of benchmarks/inference.py share: JSON requests in, JSON answers out."""

import json
import sys
import time
from collections.abc import Callable


def serve(open_model: Callable[[str, int], Callable[[list[str]], list[float]]]) -> None:
    """Answer {"texts", "length", "precision"} with {"seconds", "scores"} until the input ends.

    Args:
        open_model: of a precision and a sequence length gives the function from texts to the
            probability of the second label; what it takes is not measured.
    """
    models = {}
    for line in sys.stdin:
        request = json.loads(line)
        key = (request["precision"], request["length"])
        if key not in models:
            models[key] = open_model(*key)
        began = time.perf_counter()
        scores = models[key](request["texts"])
        answer = {"seconds": time.perf_counter() - began, "scores": scores}
        print("worker: " + json.dumps(answer), flush=True)
