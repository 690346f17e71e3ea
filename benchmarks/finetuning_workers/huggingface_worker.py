"""Hugging Face's models on PyTorch, attention by SDPA: FOLDER SIZE PRECISION LENGTH [grouped].

LENGTH is what its example scripts pad every row to, or 0 for the longest of a batch. "grouped":
rows of like length share a batch.
"""

import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import torch  # noqa: E402
import transformers  # noqa: E402
from rows import SIZES, VOCABULARY, endless_batches, read_rows, serve, stacked  # noqa: E402

# By an array that the rows have: the model, and what its targets are called.
KINDS = {
    "label": (transformers.BertForSequenceClassification, {"label": "labels"}),
    "tags": (transformers.BertForTokenClassification, {"tags": "labels"}),
    "start": (
        transformers.BertForQuestionAnswering,
        {"start": "start_positions", "end": "end_positions"},
    ),
}
INPUTS = {
    "token_ids": "input_ids",
    "segment_ids": "token_type_ids",
    "padding_mask": "attention_mask",
}


def main():
    folder, size, precision, length = sys.argv[1:5]
    torch.manual_seed(0)
    layers, width, heads = SIZES[size]
    rows = read_rows(folder)
    kind, targets = next(KINDS[name] for name in KINDS if name in rows[0])
    labels = 1 + max(int(row[name].max()) for row in rows for name in targets)
    config = transformers.BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        num_labels=2 if "start" in targets else labels,
    )
    model = kind(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5, weight_decay=0.01, fused=True)
    batches = endless_batches(rows, "grouped" in sys.argv)

    def step():
        arrays = stacked(next(batches), int(length) or None)
        given = {
            name: torch.from_numpy(arrays[own]).long() for own, name in (INPUTS | targets).items()
        }
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            loss = model(**given).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()
        return len(arrays["token_ids"])

    serve(step, threads=torch.get_num_threads())


if __name__ == "__main__":
    main()
