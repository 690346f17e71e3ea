"""Files of texts and of vectors: NumPy, JSON lines, the folder of the projector in TensorBoard."""

import pathlib
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from kbert.errors import DataError
from kbert.files import (
    as_json,
    check_folder_writable,
    check_writable,
    replacing,
    replacing_together,
)
from kbert.tasks.readers.lines import text_lines
from kbert.tasks.readers.tables import read_rows

# One line of projector_config.pbtxt names one file.
_PROJECTOR = 'embeddings {\n  tensor_path: "tensors.tsv"\n  metadata_path: "metadata.tsv"\n}\n'


def read_texts(path: str, column: str) -> list[str]:
    """A text on each line of a .txt file, or in a column of a file of rows.

    Raises `DataError` for a file that does not fit, and for one without texts.
    """
    if pathlib.Path(path).suffix.lower() != ".txt":
        return [row.cells["text"] for row in read_rows(path, {"text": column})]
    texts = [line for _, line in text_lines(path)]
    if not texts:
        raise DataError(f"{path}: expected a text on each line, found none.")
    return texts


def vectors_writer(
    output: str, inputs: Iterable[str] = ()
) -> Callable[[Sequence[str], np.ndarray], None]:
    """The function that writes texts and their vectors (texts, width) to `output`.

    It is chosen by the name: .npy holds float32 (texts, width), .jsonl a line
    {"text": ..., "embedding": [...]} for each text, and a folder (a name without an ending) what
    `tensorboard --logdir FOLDER` shows as a projection. Raises `DataError` for another ending, for
    a place that cannot be written to, and for one of the files that are read (`inputs`).
    """
    writers = {".npy": _write_npy, ".jsonl": _write_jsonl, "": _write_projector}
    path = pathlib.Path(output)
    if path.suffix not in writers:
        raise DataError(f"The output must end in .npy or .jsonl, or be a folder. Received: {path}.")
    if path.suffix:
        check_writable(path, inputs)
    else:
        check_folder_writable(path)
    return lambda texts, vectors: writers[path.suffix](path, texts, vectors)


def _write_npy(path, texts, vectors):
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.save(file, vectors)


def _write_jsonl(path, texts, vectors):
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for text, vector in zip(texts, vectors, strict=True):
            # As short as float32 is exact.
            numbers = [float(str(number)) for number in vector]
            line = as_json({"text": text, "embedding": numbers})
            file.write(line + "\n")


def _write_projector(path, texts, vectors):
    labels = "".join(" ".join(text.split()) + "\n" for text in texts)
    rows = "".join("\t".join(map(str, vector)) + "\n" for vector in vectors)
    files = {"tensors.tsv": rows, "metadata.tsv": labels, "projector_config.pbtxt": _PROJECTOR}
    with replacing_together(path) as folder:
        for name, content in files.items():
            # Half of a pair of surrogates, as JSON may hold it, is no UTF-8.
            (folder / name).write_text(content, encoding="utf-8", errors="backslashreplace")
