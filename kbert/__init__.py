"""BERT in Keras 3 and TensorFlow: from a folder of text to an answer over HTTP.

Names load on first use, so that `import kbert` costs nothing and the parts that need no TensorFlow
work on a machine without it.
"""

import importlib

from kbert.tensorflow_start import set_flags

__version__ = "0.1.0"

set_flags()  # before TensorFlow's import

# Each public name and the module that defines it.
_HOMES = {
    "BertConfig": "kbert.config",
    "MultiHeadSelfAttention": "kbert.layers.attention",
    "BertEmbedding": "kbert.layers.embedding",
    "TransformerEncoderBlock": "kbert.layers.encoder_block",
    "build_encoder": "kbert.models",
    "build_pretraining_model": "kbert.models",
    "WordPieceTokenizer": "kbert.text.tokenizer",
    "PythonTokenizer": "kbert.text.python_tokenizer",
    "train_vocabulary": "kbert.corpus.vocabulary",
    "Checkpoint": "kbert.checkpoints.directory",
    "load": "kbert.checkpoints.directory",
    "save": "kbert.checkpoints.directory",
    "encoder_of": "kbert.checkpoints.directory",
    "from_google": "kbert.checkpoints.google.release",
    "from_huggingface": "kbert.checkpoints.huggingface.directory",
    "from_keras_hub": "kbert.checkpoints.keras_hub",
    "to_google": "kbert.checkpoints.google.release",
    "to_huggingface": "kbert.checkpoints.huggingface.directory",
    "to_keras_hub": "kbert.checkpoints.keras_hub",
    "prepare": "kbert.corpus.prepare",
    "TokenStore": "kbert.corpus.store",
    "pretrain": "kbert.pretraining.run",
    "PretrainingSettings": "kbert.pretraining.settings",
    "Schedule": "kbert.pretraining.settings",
    "fill_mask": "kbert.inference.fill_mask",
    "ClassificationTask": "kbert.tasks.classification",
    "RegressionTask": "kbert.tasks.regression",
    "MultiLabelTask": "kbert.tasks.multilabel",
    "TaggingTask": "kbert.tasks.tagging",
    "QuestionAnsweringTask": "kbert.tasks.question_answering",
    "MultipleChoiceTask": "kbert.tasks.multiple_choice",
    "SimilarityTask": "kbert.tasks.similarity",
    "finetune": "kbert.finetuning.run",
    "FinetuningSettings": "kbert.finetuning.settings",
    "evaluate": "kbert.finetuning.evaluate",
    "export_saved_model": "kbert.serving.export",
    "Predictor": "kbert.serving.predictor",
    "embed": "kbert.inference.text_encoder",
    "load_text_encoder": "kbert.inference.text_encoder",
    "convert": "kbert.checkpoints.conversion",
    "ConversionSettings": "kbert.checkpoints.conversion",
    "load_answerer": "kbert.serving.checkpoint_or_export",
    "predict": "kbert.serving.checkpoint_or_export",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'kbert' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted(__all__)
