"""Files of predictions scored by the official rules. Needs no model and no Keras."""

import os

from kbert.errors import DataError
from kbert.metrics.settings import ConllSettings, NullOddsSettings
from kbert.tasks.readers.glue import find_set
from kbert.tasks.readers.lines import decoded_lines
from kbert.tasks.readers.squad_files import (
    is_squad2,
    read_null_odds,
    read_predictions,
    read_questions,
)

Path = str | os.PathLike


def squad_file_scores(
    data: Path,
    predictions: Path,
    null_odds: Path | None = None,
    settings: NullOddsSettings | None = None,
) -> dict:
    """SQuAD's scores: by version 2.0 where the data says which questions have no answer, else 1.1.

    Raises `DataError` for files that do not fit, and for null odds where nothing asks for them.
    """
    from kbert.metrics.squad import squad1_scores, squad2_scores

    questions = read_questions(data)
    gold, found = _gold_answers(questions), read_predictions(predictions)
    if is_squad2(questions):
        odds = None if null_odds is None else read_null_odds(null_odds)
        return squad2_scores(gold, found, odds, (settings or NullOddsSettings()).threshold)
    if null_odds is not None:
        raise DataError(f"{data}: every question has an answer; null odds say nothing.")
    return squad1_scores(gold, found)


def cmrc_file_scores(data: Path, predictions: Path) -> dict:
    """CMRC 2018's scores. Raises `DataError` for files that do not fit."""
    from kbert.metrics.cmrc import cmrc_scores

    return cmrc_scores(_gold_answers(read_questions(data)), read_predictions(predictions))


def conll_file_scores(file: Path, settings: ConllSettings | None = None) -> tuple[dict, str | None]:
    """conlleval's scores of a file with the right and the found tag, and what to know of them.

    Raises `DataError` for a file that does not fit.
    """
    from kbert.metrics.conll import Sentence, conll_scores, from_bioes, parse_columns

    settings = settings or ConllSettings()
    sentences = list(parse_columns(decoded_lines(file), file, settings.delimiter))
    tags = {tag for sentence in sentences for tags in sentence for tag in tags}
    note = None
    if settings.bioes:
        sentences = [Sentence(*map(from_bioes, sentence)) for sentence in sentences]
    elif any(tag.startswith("S-") for tag in tags):
        note = "conlleval joins neighbours of one type tagged S; --bioes keeps them apart."
    return conll_scores(sentences), note


def glue_file_scores(name: str, gold: Path, predictions: Path) -> dict:
    """The scores of a set of GLUE, by its own metrics. Raises `DataError` as the others do."""
    from kbert.tasks.readers.glue_files import glue_scores, read_answers

    name = find_set(name)
    return glue_scores(name, *read_answers(name, gold, predictions))


def _gold_answers(questions) -> dict:
    """id -> texts of its answers. Raises DataError for an id that comes again."""
    gold = {}
    for question in questions:
        if question.id in gold:
            raise DataError(f"{question.where}: expected each id once; this comes again.")
        gold[question.id] = [answer.text for answer in question.answers]
    return gold
