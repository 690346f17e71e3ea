"""A fine-tuning with Hugging Face's Trainer: FOLDER OUTPUT PRECISION LENGTH [grouped].

FOLDER has a checkpoint in Hugging Face's format and train.jsonl, of which a tenth is held out. The
Trainer scores and saves each of three epochs, as `kbert finetune` does.
"""

import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np  # noqa: E402
import transformers  # noqa: E402


def main():
    folder, output, precision, length = sys.argv[1:5]
    tokenizer = transformers.AutoTokenizer.from_pretrained(f"{folder}/huggingface")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        f"{folder}/huggingface", num_labels=2
    )
    with open(f"{folder}/train.jsonl", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    texts = [[row["text"] for row in rows]]
    if "second" in rows[0]:
        texts.append([row["second"] for row in rows])
    encoded = tokenizer(*texts, truncation=True, max_length=int(length))
    examples = [
        {"labels": int(row["label"])} | {name: values[number] for name, values in encoded.items()}
        for number, row in enumerate(rows)
    ]
    order = np.random.default_rng(0).permutation(len(examples))
    held_out = len(examples) // 10
    trainer = transformers.Trainer(
        model,
        transformers.TrainingArguments(
            output,
            num_train_epochs=3,
            per_device_train_batch_size=32,
            per_device_eval_batch_size=32,
            learning_rate=5e-5,
            weight_decay=0.01,
            warmup_steps=0.1,
            bf16=precision == "bfloat16",
            eval_strategy="epoch",
            save_strategy="epoch",
            logging_steps=10,
            load_best_model_at_end=True,
            report_to="none",
            use_cpu=True,
            train_sampling_strategy="group_by_length" if "grouped" in sys.argv else "random",
        ),
        train_dataset=[examples[number] for number in order[held_out:]],
        eval_dataset=[examples[number] for number in order[:held_out]],
        data_collator=transformers.DataCollatorWithPadding(tokenizer),
        compute_metrics=lambda found: {
            "accuracy": float((found.predictions.argmax(-1) == found.label_ids).mean())
        },
    )
    trainer.train()
    trainer.save_model(f"{output}/best")


if __name__ == "__main__":
    main()
