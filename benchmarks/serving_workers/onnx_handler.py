"""The simplest FastAPI handler around ONNX Runtime: one call of the graph a request.

python onnx_handler.py EXPORT PORT LENGTH HUGGINGFACE

EXPORT is what `kbert export --format onnx` wrote, HUGGINGFACE the folder with the tokenizer.
"""

import json
import os
import pathlib
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import fastapi
import numpy as np
import onnxruntime
import transformers
import uvicorn

folder, port, length = pathlib.Path(sys.argv[1]) / "1", int(sys.argv[2]), int(sys.argv[3])
session = onnxruntime.InferenceSession(folder / "model.onnx")
tokenizer = transformers.AutoTokenizer.from_pretrained(sys.argv[4])
labels = json.loads((folder / "assets" / "task.json").read_text())["labels"]
app = fastapi.FastAPI()


@app.post("/v1/models/{path:path}")
def predict(path: str, body: dict):
    found = tokenizer(
        body["instances"], truncation=True, max_length=length, padding=True, return_tensors="np"
    )
    inputs = {
        "token_ids": found["input_ids"].astype("int32"),
        "segment_ids": found["token_type_ids"].astype("int32"),
        "padding_mask": found["attention_mask"].astype("int32"),
    }
    (logits,) = session.run(["logits"], inputs)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    rows = zip(probabilities.argmax(axis=1), probabilities.max(axis=1).tolist(), strict=True)
    return {"predictions": [{"label": labels[number], "score": score} for number, score in rows]}


uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")
