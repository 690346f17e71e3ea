"""tf-models-official's masked LM task with its next-sentence head: its own train step."""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TF_USE_LEGACY_KERAS"] = "1"

import importlib.metadata  # noqa: E402

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
import tf_keras  # noqa: E402
from official.modeling import optimization  # noqa: E402
from official.nlp.configs import bert, encoders  # noqa: E402
from official.nlp.data import pretrain_dataloader  # noqa: E402
from official.nlp.tasks import masked_lm  # noqa: E402
from worker import VOCABULARY, Cell, serve  # noqa: E402


def task_of(cell):
    encoder = encoders.EncoderConfig(
        bert=encoders.BertEncoderConfig(
            vocab_size=VOCABULARY,
            hidden_size=cell.width,
            num_layers=cell.layers,
            num_attention_heads=cell.heads,
            intermediate_size=4 * cell.width,
        )
    )
    head = bert.ClsHeadConfig(
        inner_dim=cell.width, num_classes=2, dropout_rate=0.1, name="next_sentence"
    )
    data = pretrain_dataloader.BertPretrainDataConfig(use_next_sentence_label=True)
    model = bert.PretrainerConfig(encoder=encoder, cls_heads=[head])
    return masked_lm.MaskedLMTask(masked_lm.MaskedLMConfig(train_data=data, model=model))


def optimizer():
    decay = {
        "weight_decay_rate": 0.01,
        "exclude_from_weight_decay": ["LayerNorm", "layer_norm", "bias"],
    }
    config = optimization.OptimizationConfig(
        {
            "optimizer": {"type": "adamw", "adamw": decay},
            "learning_rate": {"type": "constant", "constant": {"learning_rate": 1e-4}},
        }
    )
    factory = optimization.OptimizerFactory(config)
    return factory.build_optimizer(factory.build_learning_rate())


def main():
    cell = Cell.of(sys.argv[1:])
    if cell.precision == "bfloat16":
        tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    task = task_of(cell)
    model, adam, metrics = task.build_model(), optimizer(), task.build_metrics()
    arrays = cell.batch()
    inputs = {
        "input_word_ids": arrays["token_ids"],
        "input_mask": arrays["padding_mask"],
        "input_type_ids": arrays["segment_ids"],
        "masked_lm_positions": arrays["mask_positions"],
        "masked_lm_ids": arrays["masked_lm"],
        "masked_lm_weights": np.ones(arrays["masked_lm"].shape, "float32"),
        "next_sentence_labels": arrays["next_sentence"],
    }
    inputs = {name: tf.constant(array) for name, array in inputs.items()}
    train = tf.function(lambda data: task.train_step(data, model, adam, metrics)["loss"])
    serve(
        lambda: float(train(inputs)),
        tf_models_official=importlib.metadata.version("tf-models-official"),
        tensorflow=tf.__version__,
    )


if __name__ == "__main__":
    main()
