"""A recipe of seconds: two variants, two tasks, two seeds, on the tiny store."""

import json

import numpy as np

from kbert.laboratory.ablation import ablate

RECIPE = """\
title = "Rates of masking"
source = "a table"
baseline = "few"
seeds = 2
resamples = 100
store = "{store}"

[pretraining]
preset = "tiny"
num_layers = 1
num_heads = 2
hidden_dim = 8
intermediate_dim = 16
num_steps = 6
warmup_steps = 1
batch_size = 4
sequence_length = 32
save_every = 2
validation_batches = 2

[finetuning]
sequence_length = 16
epochs = 1
batch_size = 16

[variants.few]

[variants.many.pretraining]
masking_rate = 0.5

[tasks.words]
kind = "classification"
train = "train.tsv"
test = "test.tsv"

[tasks.pairs]
kind = "judge"
pairs = "pairs.jsonl"

[tasks.loss]
kind = "held-out"

[paper.words]
few = 80.0
many = 78.5

[expected.pairs]
many = "+"
"""


def write_recipe(folder, store, text=RECIPE):
    """Write the recipe and its files into a folder; returns the recipe's path."""
    rng = np.random.default_rng(0)

    def words(count):
        return [f"a{number}" for number in rng.integers(40, size=count)]

    for name, rows in (("train", 40), ("test", 20)):
        lines = ["text\tlabel"]
        for row in range(rows):
            lines.append(f"{' '.join([*words(4), f'a{50 + row % 2}'])}\t{row % 2}")
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    pairs = [
        {"good": f"a{n} a{n + 1} a{n + 2}", "bad": f"a{n} a{n + 9}", "term": "order"}
        for n in range(12)
    ]
    (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)), encoding="utf-8")
    recipe = folder / "recipe.toml"
    recipe.write_text(text.replace("{store}", str(store)), encoding="utf-8")
    return recipe


def run(recipe, output, **options):
    """Silently; returns the report."""
    return ablate(recipe, output, verbose=0, **options)
