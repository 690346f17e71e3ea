"""The entities of a text as a fine-tuned tagger finds them, for `kbert prepare` to mark."""

import hashlib
import os
import pathlib
from collections.abc import Sequence

from kbert.checkpoints.formats import load_finetuned
from kbert.corpus.marks import SpanMarks
from kbert.errors import DataError
from kbert.inference.answerer import Answerer
from kbert.tasks.tagging import TaggingTask


class TaggedEntities:
    """A tagger's checkpoint as a source of entities (`kbert.corpus.marks.EntitySource`).

    Raises `DataError` for a folder that is no tagger of entities.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = str(path)
        self._answerer()  # A mistake is told before long work.
        digest = hashlib.sha256()
        for file in sorted(pathlib.Path(path).iterdir()):
            if file.is_file():
                with open(file, "rb") as opened:
                    digest.update(hashlib.file_digest(opened, "sha256").digest())
        self.digest = digest.hexdigest()

    def marker(self, tokenizer) -> SpanMarks:
        """Finds them in whole sentences, with a model of its own."""
        answerer = self._answerer()

        def find(sentences: Sequence[str]) -> list[list[tuple[int, int]]]:
            return [
                [(entity["start"], entity["end"]) for entity in answer["entities"]]
                for answer in answerer.predict(sentences)
            ]

        return SpanMarks(tokenizer, find)

    def _answerer(self) -> Answerer:
        model, tokenizer, _, task = load_finetuned(self.path)
        if not isinstance(task, TaggingTask) or task.plain:
            raise DataError(
                f"{self.path} must be a tagger of entities, as `kbert finetune tagging` writes it."
            )
        return Answerer(task, tokenizer, model)
