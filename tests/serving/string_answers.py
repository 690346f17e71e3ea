"""The outputs of an export's string signature, as the answers that `kbert predict` prints."""

import inspect

import numpy as np

# Runs every export in a process that knows TensorFlow and tensorflow-text alone: reads a list of
# [folder, {name: strings}] in JSON, prints the outputs of each.
IMPORTS = """
import json, sys
import tensorflow as tf, tensorflow_text
sys.modules["kbert"] = None
for name in list(sys.modules):
    if name.split(".")[0] == "keras":
        sys.modules[name] = None


"""
RUN = """
found = []
for folder, columns in json.load(sys.stdin):
    signature = tf.saved_model.load(folder).signatures["serving_default"]
    outputs = signature(**{name: tf.constant(column) for name, column in columns.items()})
    found.append({name: plain(value.numpy()) for name, value in outputs.items()})
print(json.dumps(found))
"""


def plain(value):
    """An array as lists, its strings as text."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogatepass")
    return plain(value.tolist()) if hasattr(value, "tolist") else value


ALONE = IMPORTS + inspect.getsource(plain) + RUN


def columns_of(task, instances):
    """The arguments of the signature for instances that are objects."""
    columns = {name: [instance[name] for instance in instances] for name in task.instance_fields}
    if "choices" in columns:
        most = max(map(len, columns["choices"]))
        columns["choices"] = [[*row, *[""] * (most - len(row))] for row in columns["choices"]]
        columns["question"] = [question or "" for question in columns["question"]]
    return columns


def answers_of(task, outputs, instances):
    """What `Task.decode` says, of the signature's outputs as lists."""
    rows = [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]
    return [
        _KINDS[task.name](task, row, instance)
        for row, instance in zip(rows, instances, strict=True)
    ]


def _classification(task, row, instance):
    return row | {"probabilities": dict(zip(task.labels, row["probabilities"], strict=True))}


def _regression(task, row, instance):
    return row


def _multilabel(task, row, instance):
    labels, count = row["labels"], row["num_labels"]
    assert not any(labels[count:])
    probabilities = dict(zip(task.labels, row["probabilities"], strict=True))
    return {"labels": labels[:count], "probabilities": probabilities}


def _choice(task, row, instance):
    count = len(instance["choices"])
    assert not any(row["probabilities"][count:])
    return row | {"probabilities": row["probabilities"][:count]}


def _tagging(task, row, instance):
    words = {name: row[name][: row["num_tokens"]] for name in ("tokens", "tags")}
    count = row.get("num_entities", 0)
    names = ("text", "type", "start", "end", "score")
    columns = [row.get(f"entity_{name}", [])[:count] for name in names]
    entities = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    return words | {"entities": entities}


def _qa(task, row, instance):
    names = ("text", "start", "end", "score")
    columns = [row[f"nbest_{name}"][: row["num_nbest"]] for name in names]
    nbest = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    best = {
        name: None if row[name] == -1 else row[name]
        for name in (*names, "null_score")
        if name in row
    }
    return best | {"nbest": nbest}


def _embedding(task, row, instance):
    mask = np.array(row["padding_mask"], bool)
    vectors = np.array(row["sequence_output"])[mask].tolist()
    return {"sequence_output": vectors, **{k: row[k] for k in ("pooled_output", "embedding")}}


def _fill_mask(task, row, instance):
    """Without the filled texts."""
    masks = zip(row["token"], row["score"], strict=True)
    return {
        "masks": [
            [{"token": t, "score": s} for t, s in zip(*mask, strict=True)]
            for mask in list(masks)[: row["num_masks"]]
        ]
    }


_KINDS = {
    "classification": _classification,
    "regression": _regression,
    "multilabel": _multilabel,
    "choice": _choice,
    "tagging": _tagging,
    "qa": _qa,
    "embedding": _embedding,
    "fill-mask": _fill_mask,
}
