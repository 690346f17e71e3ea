"""Hugging Face's BertForPreTraining on PyTorch, attention by SDPA; on the GPU where there is one.

As it is, it scores every position over the vocabulary; "gather" is a variant of ours, with the same
modules, that scores the masked positions only; "compile" is torch.compile.
"""

import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import torch  # noqa: E402
import transformers  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402
from worker import VOCABULARY, Cell, serve  # noqa: E402


def main():
    cell = Cell.of(sys.argv[1:])
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    config = transformers.BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=cell.width,
        num_hidden_layers=cell.layers,
        num_attention_heads=cell.heads,
        intermediate_size=4 * cell.width,
        attn_implementation="sdpa",
    )
    model = transformers.BertForPreTraining(config).train().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=True)
    arrays = {
        name: torch.from_numpy(array).long().to(device) for name, array in cell.batch().items()
    }
    inputs = {
        "input_ids": arrays["token_ids"],
        "token_type_ids": arrays["segment_ids"],
        "attention_mask": arrays["padding_mask"],
    }
    rows = torch.arange(cell.rows, device=device)[:, None]
    labels = torch.full((cell.rows, cell.length), -100, device=device)
    labels[rows, arrays["mask_positions"]] = arrays["masked_lm"]

    def stock():
        labelled = {"labels": labels, "next_sentence_label": arrays["next_sentence"][:, 0]}
        return model(**inputs, **labelled).loss

    def gather():
        encoded = model.bert(**inputs)
        masked = encoded.last_hidden_state[rows, arrays["mask_positions"]]
        scores, next_sentence = model.cls(masked, encoded.pooler_output)
        loss = cross_entropy(scores.float().flatten(0, 1), arrays["masked_lm"].flatten())
        return loss + cross_entropy(next_sentence.float(), arrays["next_sentence"][:, 0])

    forward = gather if "gather" in sys.argv else stock
    if "compile" in sys.argv:
        forward = torch.compile(forward)

    def step():
        with torch.autocast(device, torch.bfloat16, enabled=cell.precision == "bfloat16"):
            loss = forward()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    def device_memory_mb():
        return torch.cuda.max_memory_allocated() // 2**20 if device == "cuda" else 0

    serve(step, device_memory_mb, transformers=transformers.__version__, torch=torch.__version__)


if __name__ == "__main__":
    main()
