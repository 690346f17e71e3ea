"""Hugging Face's classifier with random weights, base: ids in, logits out. Argument: the precision.

Answers "ROWS TOKENS" on a line with the seconds of one call.
"""

import json
import os
import sys
import time

import torch
import transformers

torch.set_num_threads(len(os.sched_getaffinity(0)))
config = transformers.BertConfig()
model = transformers.BertForSequenceClassification(config).eval()
model.to(getattr(torch, sys.argv[1]))
print("worker: {}", flush=True)
for line in sys.stdin:
    rows, tokens = map(int, line.split())
    ids = torch.randint(5, 30000, (rows, tokens))
    inputs = {
        "input_ids": ids,
        "token_type_ids": torch.zeros_like(ids),
        "attention_mask": torch.ones_like(ids),
    }
    began = time.perf_counter()
    with torch.inference_mode():
        model(**inputs).logits.float().numpy()
    print(f"worker: {json.dumps(time.perf_counter() - began)}", flush=True)
