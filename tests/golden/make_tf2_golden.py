"""Writes tf2/: small checkpoints as tensorflow/models saves them, and what its models compute.

In an environment with tf-models-official (2.20.0 when the files were made):

    python tests/golden/make_tf2_golden.py

Each folder of tf2/ is a release in one of its layouts, with outputs.npz beside the checkpoint.
"""

import json
import pathlib
import shutil

import numpy as np
import tensorflow as tf
import tf_keras
from official.core import base_trainer, config_definitions
from official.legacy.bert import bert_models, configs
from official.nlp.configs import bert, encoders
from official.nlp.data import pretrain_dataloader
from official.nlp.tasks import masked_lm
from official.nlp.tools import tf2_bert_encoder_checkpoint_converter as converter

FOLDER = pathlib.Path(__file__).parent / "tf2"
SIZES = {
    "vocab_size": 18,
    "hidden_size": 6,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 10,
    "max_position_embeddings": 12,
    "type_vocab_size": 2,
}
# kbert's names of tensorflow/models' inputs.
INPUTS = {
    "token_ids": "input_word_ids",
    "segment_ids": "input_type_ids",
    "padding_mask": "input_mask",
    "mask_positions": "masked_lm_positions",
}
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklm"]
BATCH, LENGTH = 3, 10


def rows():
    """tensorflow/models' inputs, every position one of a masked word."""
    rng = np.random.default_rng(1)
    positions = np.arange(LENGTH)
    inputs = {
        "input_word_ids": rng.integers(5, 18, (BATCH, LENGTH)),
        "input_mask": positions < np.array([[10], [7], [4]]),
        "input_type_ids": positions >= np.array([[5], [3], [10]]),
        "masked_lm_positions": np.tile(positions, (BATCH, 1)),
    }
    return {name: tf.constant(array, tf.int32) for name, array in inputs.items()}


def randomize(model, seed):
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        values = 0.3 * rng.standard_normal(weight.shape)
        weight.assign(values + weight.name.endswith("gamma:0"))


def task_and_model(kind):
    """The task of pre-training and its model, with an encoder of a kind: bert, bert_v2."""
    sizes = SIZES.copy()
    sizes["num_layers"] = sizes.pop("num_hidden_layers")
    encoder = encoders.EncoderConfig(type=kind, **{kind: encoders.BertEncoderConfig(**sizes)})
    head = bert.ClsHeadConfig(inner_dim=6, num_classes=2, dropout_rate=0.1, name="next_sentence")
    described = bert.PretrainerConfig(encoder=encoder, cls_heads=[head])
    data = pretrain_dataloader.BertPretrainDataConfig()
    task = masked_lm.MaskedLMTask(masked_lm.MaskedLMConfig(model=described, train_data=data))
    model = task.build_model()
    model(rows())  # Builds it.
    return task, model


def outputs_of_pretrainer(model):
    outputs = model(rows())
    states = outputs["encoder_outputs"] if "encoder_outputs" in outputs else []
    named = {"hidden_states": states, "sequence_output": outputs["sequence_output"]}
    if model.classification_heads:
        (head,) = model.classification_heads
        named["pooled_output"] = head(outputs["sequence_output"], only_project=True)
        named["next_sentence"] = outputs["next_sentence"]
    else:
        named["pooled_output"] = outputs["pooled_output"]
    return {**named, "masked_lm": outputs["mlm_logits"]}


def pretrained():
    """`checkpoint_items`, from which fine-tuning starts: without the next-sentence output."""
    _, model = task_and_model("bert")
    randomize(model, 2)
    outputs = outputs_of_pretrainer(model)
    del outputs["next_sentence"]
    return tf.train.Checkpoint(**model.checkpoint_items), outputs


def trainer(kind):
    """What the trainer of `train_lib` saves, after a step."""
    task, model = task_and_model(kind)
    randomize(model, 3)
    optimizer = tf_keras.optimizers.Adam(1e-3)
    labels = {
        "masked_lm_ids": rows()["input_word_ids"],
        "masked_lm_weights": tf.ones((BATCH, LENGTH)),
        "next_sentence_labels": tf.constant([[0], [1], [1]]),
    }
    task.train_step({**rows(), **labels}, model, optimizer, task.build_metrics())
    config = config_definitions.ExperimentConfig(task=task.task_config)
    saved = base_trainer.Trainer(config, task, model, optimizer, train=False, evaluate=False)
    return saved.checkpoint, outputs_of_pretrainer(model)


def legacy(only_encoder):
    """official/legacy/bert: what its training loop saves, or the encoder it exports."""
    config = configs.BertConfig.from_dict(SIZES)
    full, encoder, core = bert_models.pretrain_model(
        config, LENGTH, LENGTH, return_core_pretrainer_model=True
    )
    randomize(core, 4)
    inputs = list(rows().values())
    sequence_output, pooled_output = encoder(inputs[:3])
    named = {"sequence_output": sequence_output, "pooled_output": pooled_output}
    if only_encoder:
        return tf.train.Checkpoint(model=encoder), named
    optimizer = tf_keras.optimizers.legacy.Adam(1e-3)
    optimizer.apply_gradients([(tf.zeros_like(w), w) for w in full.trainable_weights])
    saved = tf.train.Checkpoint(model=full, optimizer=optimizer, global_step=optimizer.iterations)
    outputs = core(inputs)
    heads = {"masked_lm": outputs["masked_lm"], "next_sentence": outputs["classification"]}
    return saved, {**named, **heads}


def converted():
    """Google's release of 2018 by its converter: no head of its own for the next sentence."""
    model = converter._create_bert_pretrainer_model(configs.BertConfig.from_dict(SIZES))
    randomize(model, 5)
    items = {**model.checkpoint_items, "model": model}
    return tf.train.Checkpoint(**items), outputs_of_pretrainer(model)


def write(name, saved, outputs):
    folder = FOLDER / name
    folder.mkdir(parents=True)
    saved.write(str(folder / "bert_model.ckpt"))
    (folder / "bert_config.json").write_text(json.dumps({**SIZES, "hidden_act": "gelu"}))
    (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n")
    arrays = {key: np.asarray(value) for key, value in outputs.items() if len(value)}
    inputs = {ours: rows()[theirs].numpy() for ours, theirs in INPUTS.items()}
    np.savez_compressed(folder / "outputs.npz", **inputs, **arrays)


if __name__ == "__main__":
    shutil.rmtree(FOLDER, ignore_errors=True)
    write("pretrained", *pretrained())
    write("trainer", *trainer("bert"))
    write("trainer_v2", *trainer("bert_v2"))
    write("legacy", *legacy(only_encoder=False))
    write("legacy_encoder", *legacy(only_encoder=True))
    write("converted", *converted())
