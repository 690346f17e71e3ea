"""What pages say that the shipped models put in the place of [MASK] is what they do."""

import re

import pytest

from kbert import fill_mask, load
from tests.conftest import ROOT

FOLDERS = {language: ROOT / "saved_models" / f"kbert-mini-{language}" for language in ("en", "zh")}


@pytest.fixture(scope="module")
def checkpoints():
    return {language: load(folder / "checkpoint") for language, folder in FOLDERS.items()}


@pytest.mark.parametrize("language", FOLDERS)
def test_sentences_of_a_card(checkpoints, language):
    card = (FOLDERS[language] / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.*\[MASK\].*) \| (.*) \|$", card, re.MULTILINE)
    assert len(rows) == 10
    found = fill_mask(checkpoints[language], [sentence for sentence, _ in rows], top=3)
    for (sentence, said), ((*guesses,),) in zip(rows, found, strict=True):
        pieces, scores = zip(*(part.rsplit(" ", 1) for part in said.split(", ")), strict=True)
        assert tuple(guess["token"] for guess in guesses) == pieces, sentence
        shown = [guess["score"] for guess in guesses]
        assert shown == pytest.approx(list(map(float, scores)), abs=0.0051), sentence


@pytest.mark.parametrize(
    ("page", "language", "between", "joint"),
    [("neighbours.md", "en", r"\*(.+?)\*", " "), ("neighbours.zh-CN.md", "zh", "“(.+?)”", "")],
)
def test_places_side_by_side_are_no_sentence(checkpoints, page, language, between, joint):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    first = re.search(r'--top 1 (?:\\\n +)?"(.+?)"\n\n(.+?)\n', text)
    said, second = (
        re.findall(between, first[2])[:1],
        re.search(r'["“]([^"“”]+\[MASK\][^"”]*)["”]', first[2]),
    )
    said += re.findall(between, first[2][second.end() :])[:1]
    found = fill_mask(checkpoints[language], [first[1], second[1]], top=1)
    for masks, expected in zip(found, said, strict=True):
        assert joint.join(guess["token"].removeprefix("##") for (guess,) in masks) == expected


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_the_guess_on_the_first_page(checkpoints, page):
    text = (ROOT / page).read_text(encoding="utf-8")
    model = r"saved_models/kbert-mini-(..)/checkpoint"
    language, asked, shown = re.search(
        rf'kbert fill-mask {model} "(.+?)"\n((?: +[01]\.\d+ .+\n)+)', text
    ).groups()
    lines = [line.split(maxsplit=2) for line in shown.splitlines()]
    ((found,),) = fill_mask(checkpoints[language], [asked], top=len(lines))
    for guess, (score, piece, filled) in zip(found, lines, strict=True):
        assert (guess["token"], guess["text"]) == (piece, filled)
        assert guess["score"] == pytest.approx(float(score), abs=1e-4)
