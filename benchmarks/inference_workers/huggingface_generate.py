"""Hugging Face's GPT-2 of base's size with random weights, float32, its cache on.

Answers "TEXTS LENGTH TOKENS" on a line with the seconds of one call that draws so many tokens.
"""

import json
import os
import sys
import time

import torch
import transformers

torch.set_num_threads(len(os.sched_getaffinity(0)))
config = transformers.GPT2Config(vocab_size=30522, n_positions=512)
model = transformers.GPT2LMHeadModel(config).eval()
print("worker: {}", flush=True)
for line in sys.stdin:
    texts, length, tokens = map(int, line.split())
    ids = torch.randint(5, 30000, (texts, length))
    began = time.perf_counter()
    with torch.inference_mode():
        model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=False,
            pad_token_id=0,
            eos_token_id=30521,
        )
    print(f"worker: {json.dumps(time.perf_counter() - began)}", flush=True)
