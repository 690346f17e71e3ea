"""Which of the two tokenizers runs here: they give the same ids."""

import importlib.util

from kbert.text.piece_ids import PieceIds


def tokenizer_class(backend: str = "tensorflow") -> type[PieceIds]:
    """`WordPieceTokenizer` for Keras's backend TensorFlow, if tensorflow-text is installed; else
    `PythonTokenizer`, which is several times slower on text that is new to it."""
    if backend == "tensorflow" and _is_installed("tensorflow_text"):
        from kbert.text.tokenizer import WordPieceTokenizer

        return WordPieceTokenizer
    from kbert.text.python_tokenizer import PythonTokenizer

    return PythonTokenizer


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ValueError:  # Its import is blocked.
        return False
