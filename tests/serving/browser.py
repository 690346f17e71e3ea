"""A headless Chromium of the system, and small models of every kind behind the page."""

import contextlib
import shutil
import threading

import uvicorn

from kbert import build_encoder, build_pretraining_model, export_saved_model, save
from kbert.checkpoints.directory import Checkpoint
from kbert.serving.checkpoint_or_export import load_served
from kbert.serving.http.app import application
from kbert.serving.http.server import listening, url_of
from kbert.serving.settings import ServerSettings
from kbert.tasks.classification import ClassificationTask
from kbert.tasks.multilabel import MultiLabelTask
from kbert.tasks.multiple_choice import MultipleChoiceTask
from kbert.tasks.question_answering import QuestionAnsweringTask
from kbert.tasks.regression import RegressionTask
from kbert.tasks.tagging import TaggingTask
from tests.inference.views.models import CONFIG, finetuned, tokenizer, with_weights

# Without its own calls to other hosts; every test has a profile of its own.
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()
LABELS = ("bad", "good", "中性")
TASKS = {
    "classes": ClassificationTask(labels=LABELS, sequence_length=16),
    "pairs": ClassificationTask(labels=LABELS, second_column="second", sequence_length=24),
    "multilabel": MultiLabelTask(labels=LABELS, sequence_length=16),
    "number": RegressionTask(sequence_length=16),
    "tags": TaggingTask(labels=("LOC", "PER"), sequence_length=16),
    "questions": QuestionAnsweringTask(
        sequence_length=32, max_question_length=8, stride=8, unanswerable=True
    ),
    "choices": MultipleChoiceTask(sequence_length=24),
}


def chromium():
    """The path of the system's Chromium, or None."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), None)


def write_models(folder):
    """All kinds as checkpoints, one as an export: name -> folder."""
    found = {name: finetuned(task) for name, task in TASKS.items()}
    found["masks"] = Checkpoint(with_weights(build_pretraining_model(CONFIG)), tokenizer(), CONFIG)
    found["encoder"] = Checkpoint(with_weights(build_encoder(CONFIG)), tokenizer(), CONFIG)
    for name, checkpoint in found.items():
        save(folder / name, checkpoint)
    export_saved_model(folder / "exported", found["classes"])
    return {name: folder / name for name in (*found, "exported")}


class ServedModels:
    """`kbert.serving.models.Models` of folders in either form."""

    def __init__(self, folders):
        self.loaded = {name: load_served(folder) for name, folder in folders.items()}

    @property
    def names(self):
        return list(self.loaded)

    def get(self, name, version=None):
        return self.loaded[name]

    def watch(self, seconds):
        pass

    def stop(self):
        pass


@contextlib.contextmanager
def serving(models, token=None, **settings):
    """The address of a server with the page, on a free port of the loopback interface."""
    settings = ServerSettings(port=0, page=True, log="none", **settings)
    app = application(models, settings, token)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on"))
    with listening(settings) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield url_of(listener)
        server.should_exit = True
        thread.join()
