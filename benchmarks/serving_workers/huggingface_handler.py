"""The simplest FastAPI handler around a Hugging Face model: one call of it a request.

python huggingface_handler.py FOLDER PORT LENGTH
"""

import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import fastapi
import torch
import transformers
import uvicorn

folder, port, length = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(len(os.sched_getaffinity(0)))
model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
app = fastapi.FastAPI()


@app.post("/v1/models/{path:path}")
def predict(path: str, body: dict):
    inputs = tokenizer(
        body["instances"], truncation=True, max_length=length, padding=True, return_tensors="pt"
    )
    with torch.inference_mode():
        scores, numbers = model(**inputs).logits.softmax(-1).max(-1)
    labels = [model.config.id2label[number] for number in numbers.tolist()]
    rows = zip(labels, scores.tolist(), strict=True)
    return {"predictions": [{"label": label, "score": score} for label, score in rows]}


uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")
