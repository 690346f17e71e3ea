"""The page: its files and their policy, its endpoints, on models that need no TensorFlow."""

import re

import pytest
from starlette.testclient import TestClient

from kbert.inference.answerer import Answerer
from kbert.inference.fill_mask import MOST_MASKS
from kbert.inference.forward import Forward
from kbert.inference.views.base import View
from kbert.serving.http.app import application
from kbert.serving.settings import ServerSettings
from kbert.serving.views import Views
from tests.conftest import ROOT
from tests.serving.http.served import Models, Predictor, Task, predictor

FILES = sorted(path.name for path in (ROOT / "kbert" / "serving" / "page").iterdir())


class WithViews(Predictor):
    """A model with a view: how many tokens there are."""

    form = "checkpoint"

    @property
    def views(self):
        return Views({"tokens": Answerer(Task(), None, self.answerer.model)}, {"attention": "no"})


def client_of(token=None, **settings):
    models = Models(topics=WithViews(*predictor(Task())))
    app = application(models, ServerSettings(max_characters=200, **settings), token)
    return TestClient(app, raise_server_exceptions=False)


@pytest.fixture(scope="module")
def client():
    with client_of(page=True) as client:
        yield client


def test_the_page_loads_its_own_files_alone(client):
    found = client.get("/")
    assert found.headers["Content-Type"].startswith("text/html")
    for name in ("/", *(f"/page/{file}" for file in FILES)):
        response = client.get(name)
        assert response.status_code == 200
        assert response.headers["Content-Security-Policy"].startswith("default-src 'self';")
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert client.get("/page/app.js").headers["Content-Type"].startswith("text/javascript")
    assert set(re.findall(r'(?:href|src)="/page/([^"]+)"', found.text)) <= set(FILES)


def test_no_more_words_can_be_hidden_than_the_server_guesses(client):
    assert f"const MOST_HIDDEN = {MOST_MASKS};" in client.get("/page/view_fill_mask.js").text


@pytest.mark.parametrize("name", FILES)
def test_a_file_names_no_other_host_and_no_missing_file(name):
    text = (ROOT / "kbert" / "serving" / "page" / name).read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\s\"']*", text)) <= {"http://www.w3.org/2000/svg"}
    assert set(re.findall(r'from "\./([^"]+)"', text)) <= set(FILES)
    # The policy forbids them.
    assert "style=" not in text and "innerHTML" not in text and "eval(" not in text


def test_every_sentence_is_there_in_both_languages():
    folder = ROOT / "kbert" / "serving" / "page"
    sentences = (folder / "language.js").read_text(encoding="utf-8")
    body = sentences[sentences.index("{") : sentences.index("\n};")]
    keys = re.findall(r'^  "?([\w.-]+)"?: \[', body, re.MULTILINE)
    assert len(keys) == len(set(keys))
    used = set()
    for path in folder.glob("*.js"):
        used |= set(re.findall(r'\bsay\("([\w.-]+)"', path.read_text(encoding="utf-8")))
        used |= set(re.findall(r'label: "(\w+)"', path.read_text(encoding="utf-8")))
    assert used <= set(keys)
    # The second of each pair is Chinese.
    pairs = re.findall(r'\[\s*"((?:[^"\\]|\\.)*)",\s*"((?:[^"\\]|\\.)*)"\s*\]', body)
    assert len(pairs) == len(keys)
    assert [p for p in pairs if not re.search("[\u4e00-\u9fff]", "".join(p))] == []


def test_models_and_views(client):
    (model,) = client.get("/page/v1/models").json()["models"]
    assert model["name"] == "topics" and model["kind"] == "classification"
    assert model["views"] == ["answer", "tokens"] and model["lacking"] == {"attention": "no"}
    body = {"instances": [{"text": "abc"}, {"text": "天气"}]}
    for view in model["views"]:
        answers = client.post(f"/page/v1/models/topics/{view}", json=body).json()["answers"]
        assert [answer["score"] for answer in answers] == [4, 3]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("topics/none", {"instances": []}, 404),
        ("none/tokens", {"instances": []}, 404),
        ("topics/tokens", {"instances": "a"}, 400),
        ("topics/tokens", {"instances": [], "more": 1}, 400),
        ("topics/tokens", {"instances": [{"no": "text"}]}, 400),
        ("topics/tokens", {"instances": [{"text": "a" * 201}]}, 413),
    ],
)
def test_what_is_refused(client, path, body, status):
    found = client.post(f"/page/v1/models/{path}", json=body)
    assert found.status_code == status and found.json()["error"].endswith(".")


def test_files_that_are_not_the_pages(client):
    for path in ("/page/", "/page/none.js", "/page/../views.py", "/page/%2e%2e%2fviews.py"):
        assert client.get(path).status_code == 404
    assert client.get("/page/v1/models/topics/tokens").status_code == 405


def test_without_the_option_there_is_no_page():
    with client_of() as client:
        assert [client.get(path).status_code for path in ("/", "/page/app.js")] == [404, 404]


def test_a_token_is_asked_for_what_the_models_say():
    with client_of("secret", page=True) as client:
        assert client.get("/").status_code == client.get("/page/app.js").status_code == 200
        assert client.get("/page/v1/models").status_code == 401
        found = client.get("/page/v1/models", headers={"Authorization": "Bearer secret"})
        assert found.status_code == 200


def test_a_view_through_the_batcher():
    """Tokens of a real tokenizer need no model."""
    from tests.inference.views.models import tokenizer

    class Served(WithViews):
        @property
        def views(self):
            return Views({"tokens": Answerer(View(5), tokenizer(), Forward(lambda _: {}))}, {})

    app = application(Models(topics=Served(*predictor(Task()))), ServerSettings(page=True))
    with TestClient(app) as client:
        body = {"instances": [{"text": "the film was good"}]}
        (answer,) = client.post("/page/v1/models/topics/tokens", json=body).json()["answers"]
    assert [token["token"] for token in answer["tokens"]] == "[CLS] the film was [SEP]".split()
    assert [token["token"] for token in answer["cut"]] == ["good"]
