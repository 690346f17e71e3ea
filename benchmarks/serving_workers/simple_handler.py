"""The simplest FastAPI handler around an exported SavedModel: one call of the graph a request.

python simple_handler.py EXPORT PORT
"""

import sys

import fastapi
import tensorflow as tf
import tensorflow_text  # noqa: F401
import uvicorn

loaded = tf.saved_model.load(f"{sys.argv[1]}/1")
signature = loaded.signatures["serving_default"]
app = fastapi.FastAPI()


@app.post("/v1/models/{path:path}")
def predict(path: str, body: dict):
    found = signature(text=tf.constant(body["instances"]))
    labels = [label.decode() for label in found["label"].numpy()]
    scores = found["score"].numpy().tolist()
    rows = zip(labels, scores, strict=True)
    return {"predictions": [{"label": label, "score": score} for label, score in rows]}


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error")
