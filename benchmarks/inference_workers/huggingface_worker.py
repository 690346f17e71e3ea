"""Hugging Face: the text-classification pipeline. Arguments: FOLDER [sorted].

"sorted": the texts are given longest first, which a user must think of himself.
"""

import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
from serving_requests import serve


def open_model(precision, length):
    import torch
    import transformers

    folder = sys.argv[1] + "/huggingface"
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=getattr(torch, precision)
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    pipeline = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer)

    def scores(texts):
        order = range(len(texts))
        if sys.argv[2:] == ["sorted"]:
            order = sorted(order, key=lambda number: -len(texts[number]))
        found = pipeline(
            [texts[number] for number in order],
            batch_size=32,
            top_k=None,
            truncation=True,
            max_length=length,
        )
        by_label = [{one["label"]: one["score"] for one in labels} for labels in found]
        scores = [0.0] * len(texts)
        for number, labels in zip(order, by_label, strict=True):
            scores[number] = labels["1"]
        return scores

    return scores


serve(open_model)
