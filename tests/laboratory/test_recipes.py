"""The recipes that are shipped: each is read, with the sets where they are there."""

import pytest

from kbert.laboratory.grid import FOUND
from kbert.laboratory.minimal_pairs import read_pairs
from kbert.laboratory.recipe.file import read_recipe
from kbert.text.vocabulary import load_vocabulary
from tests.conftest import ROOT
from tests.small_store import write_random_store

RECIPES = sorted((ROOT / "recipes").glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_read(path, shared_data, monkeypatch, tmp_path):
    language = "zh" if path.stem.endswith("_zh") else "en"
    checkpoint = ROOT / f"saved_models/kbert-mini-{language}/checkpoint"
    store = write_random_store(tmp_path / "store", load_vocabulary(checkpoint / "vocab.txt"))
    teachers = [f"{task}{seed}" for task in ("sst2", "ag_news", "sick") for seed in ("", ".10")]
    starts = ("general", "general_zh", "general_wiki", "reviews.pieces", "novels.pieces")
    for name in [*teachers, *starts]:
        (tmp_path / name).symlink_to(checkpoint)
    (tmp_path / "reviews.test.jsonl").write_text('{"text": "good", "label": "pos"}\n')
    for name in ("ag_news.train.tsv", "ag_news.test.tsv", "authors.train.tsv", "authors.test.tsv"):
        (tmp_path / name).write_text("text\tlabel\ngood\tSports\n")
    (tmp_path / "sst2.train.tsv").write_text("sentence\tlabel\ngood\t1\n")
    for name in ("qnli.train.tsv", "qnli.test.tsv"):
        (tmp_path / name).write_text("question\tsentence\tlabel\nWho?\tAnn.\tentailment\n")
    for name in ("wikigold.train.conll", "wikigold.test.conll"):
        (tmp_path / name).write_text("Ann I-PER\n")
    tasks = ("sst2", "ag_news", "mrpc", "wikigold", "chnsenticorp")
    domains = ("reviews", "reviews_zh", "reviews.pieces", "novels", "novels.pieces")
    for name in (*tasks, *domains):
        (tmp_path / f"{name}.store").symlink_to(store)
    for name in ("KBERT_DOMAINS", "KBERT_SETS", "KBERT_TEACHERS"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("KBERT_STORE", str(store))
    monkeypatch.setenv("KBERT_DATA", str(shared_data("glue").parent))
    recipe = read_recipe(path)
    assert len(recipe.seeds) >= 5
    assert {recipe.baseline} < recipe.variants.keys()
    compared = {variant for task in recipe.expected.values() for variant in task}
    compared |= {variant for task in recipe.paper.values() for variant in task}
    assert compared <= recipe.variants.keys() | ({FOUND} if recipe.search else set())


def test_the_pairs_of_order_have_the_same_characters():
    pairs = read_pairs(ROOT / "recipes/order.zh.jsonl")
    assert all(sorted(pair.good) == sorted(pair.bad) != pair.good for pair in pairs)
