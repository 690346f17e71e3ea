"""The answers of one model to the same instances, by every way to them."""

import itertools
import json
import subprocess
import sys
from typing import NamedTuple
from unittest import mock

import pytest
from starlette.testclient import TestClient

from apps.cli import run_command
from kbert import Checkpoint, Predictor, export_saved_model, save
from kbert.finetuning.evaluate import evaluate
from kbert.serving.http.app import application
from kbert.text.joining import join_words
from kbert.text.words import word_spans
from tests.conftest import ROOT
from tests.serving.http.served import Models
from tests.serving.string_answers import ALONE, answers_of, columns_of


class Case(NamedTuple):
    """A fine-tuned model, and instances for it, as objects without line breaks and tabs."""

    checkpoint: Checkpoint
    instances: list[dict]

    def label(self, number: int):
        """A right answer for a labelled file; any."""
        task = self.checkpoint.task
        if task.name == "regression":
            return float(number)
        return list(task.labels[:1]) if task.name == "multilabel" else task.labels[0]


def check_five_ways(cases: dict[str, Case], folder) -> None:
    """That `kbert evaluate`, `kbert predict`, the predictor, HTTP and the graph answer the same."""
    for name, case in cases.items():
        export_saved_model(folder / name / "export", case.checkpoint)
    alone = _alone({folder / name / "export": case for name, case in cases.items()})
    for (name, case), from_strings in zip(cases.items(), alone, strict=True):
        expected = _evaluated(case, folder / name)
        predictor = Predictor(folder / name / "export", batch_size=16)
        found = {
            "predict": _predicted(case, folder / name),
            "Predictor": predictor.predict(case.instances),
            "HTTP": _over_http(predictor, case.instances),
            "strings": answers_of(case.checkpoint.task, from_strings, case.instances),
        }
        for way, answers in found.items():
            assert len(answers) == len(expected) == len(case.instances)
            for number, (answer, wanted) in enumerate(zip(answers, expected, strict=True)):
                assert same(answer, wanted), (name, way, case.instances[number], answer, wanted)


def of_words(texts: list[str], characters: bool = False) -> list[dict]:
    """Instances whose words, joined, are the text: what a file of words can hold."""
    words = [[text[slice(*span)] for span in word_spans(text, characters)] for text in texts]
    joined = [join_words(found, spaces=not characters)[0] for found in words]
    return [
        {"text": text}
        for text, found in zip(joined, words, strict=True)
        if [text[slice(*span)] for span in word_spans(text, characters)] == found
    ]


def same(found, expected) -> bool:
    """Whether answers are the same, but for what a float32 loses.

    Spans whose scores differ by less may stand in another order, and which of them is the last.
    """
    if isinstance(expected, dict) and "nbest" in expected:
        rest = [{k: v for k, v in a.items() if k not in ("nbest", "id")} for a in (found, expected)]
        return _same_spans(found["nbest"], expected["nbest"]) and same(*rest)
    if isinstance(expected, dict):
        return set(found) == set(expected) and all(same(found[k], expected[k]) for k in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, float):
        return found == pytest.approx(expected, rel=1e-3, abs=1e-4)
    return found == expected


def _same_spans(found, expected) -> bool:
    if len(found) != len(expected):
        return False
    spans = []
    for nbest in (found, expected):
        scores = [answer["score"] for answer in nbest]
        assert all(now <= before + 1e-6 for before, now in itertools.pairwise(scores))
        spans.append({(answer["start"], answer["end"]): answer for answer in nbest})
    one, other = spans
    if not all(same(one[span], other[span]) for span in one.keys() & other.keys()):
        return False
    # What stands in one list alone has the score with which the other ends.
    alone = [one[span]["score"] for span in one.keys() - other.keys()]
    alone += [other[span]["score"] for span in other.keys() - one.keys()]
    least = max((answers[-1]["score"] for answers in (found, expected) if answers), default=0.0)
    return all(score == pytest.approx(least, rel=1e-3, abs=1e-7) for score in alone)


def _evaluated(case, folder):
    """What `kbert evaluate` computes its scores from."""
    task, path = case.checkpoint.task, folder / "labelled.jsonl"
    if task.name == "qa":
        path = path.with_suffix(".json")
        questions = [
            {
                "context": instance["second"],
                "qas": [{"id": str(number), "question": instance["text"], "answers": []}],
            }
            for number, instance in enumerate(case.instances)
        ]
        path.write_text(json.dumps({"data": [{"paragraphs": questions}]}))
    else:
        rows = [_row(case, number) for number in range(len(case.instances))]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    kept = {}

    def keep(task, answers, examples):
        kept["answers"] = answers
        return {}

    with mock.patch.object(type(task), "metrics", keep):
        evaluate(task, case.checkpoint, path, batch_size=5)
    return kept["answers"]


def _row(case, number):
    """A labelled row of a file for `kbert evaluate`."""
    task, instance = case.checkpoint.task, case.instances[number]
    if task.name == "tagging":
        words = list(task.parse(instance, "here").sentence.words)
        return {"tokens": words, "tags": ["O" if not task.plain else task.labels[0]] * len(words)}
    if task.name == "choice":
        return instance | {"label": 0}
    return instance | {"label": case.label(number)}


def _predicted(case, folder):
    """`kbert predict CHECKPOINT`."""
    save(folder / "checkpoint", case.checkpoint)
    asked, output = folder / "asked.txt", folder / "answers.jsonl"
    if case.checkpoint.task.takes_choices:
        asked = asked.with_suffix(".jsonl")
        lines = map(json.dumps, case.instances)
    else:
        lines = ("\t".join(instance.values()) for instance in case.instances)
    asked.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    arguments = [folder / "checkpoint", asked, "--output", output, "--batch-size", 7]
    assert run_command("predict", list(map(str, arguments))) == 0
    return list(map(json.loads, output.read_text(encoding="utf-8").splitlines()))


def _over_http(predictor, instances):
    """`POST :predict`."""
    with TestClient(application(Models(model=predictor))) as client:
        body = json.dumps({"instances": instances})
        found = client.post("/v1/models/model:predict", content=body)
        assert found.status_code == 200, found.text
        return found.json()["predictions"]


def _alone(cases):
    """The outputs of the string signatures in a process without kbert and Keras."""
    asked = [
        [str(folder / "1"), columns_of(case.checkpoint.task, case.instances)]
        for folder, case in cases.items()
    ]
    finished = subprocess.run(
        [sys.executable, "-c", ALONE],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        cwd=ROOT.parent,
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout.splitlines()[-1])
