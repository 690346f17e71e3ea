"""The documentation site: it builds, its links lead somewhere, and it loads nothing from others."""

import html.parser
import re
import subprocess
import sys
import urllib.parse

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow
# What a browser fetches by itself.
LOADS = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}


class Page(html.parser.HTMLParser):
    """Links, what is loaded, and anchors."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loads, self.ids = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.ids |= {values[name] for name in ("id", "name") if values.get(name)}
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if values.get(LOADS.get(tag)):
            self.loads.append(values[LOADS[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("sphinx")
    output = tmp_path_factory.mktemp("site")
    result = subprocess.run(
        [sys.executable, ROOT / "docs" / "site" / "build.py", output],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    return output


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def test_nothing_is_loaded_from_other_hosts(site, pages):
    for path, page in pages.items():
        foreign = [load for load in page.loads if re.match("([a-z]+:)?//", load)]
        assert not foreign, path
    for path in (*site.rglob("*.css"), *site.rglob("*.html")):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"""url\(\s*['"]?([a-z]+:)?//|@import\s+['"]?([a-z]+:)?//""", text), (
            path
        )
    for path in site.rglob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"""(import|fetch|src\s*=)\s*\(?['"]([a-z]+:)?//""", text), path


def test_links_lead_somewhere(site, pages):
    for path, page in pages.items():
        for link in page.links:
            if re.match("[a-z]+:", link):
                continue
            name, _, anchor = urllib.parse.unquote(link).partition("#")
            target = (path.parent / name).resolve() if name else path
            assert target.is_relative_to(site) and target.is_file(), f"{path}: {link}"
            if anchor and target.suffix == ".html":
                assert anchor in pages[target].ids, f"{path}: {link}"


def test_every_command_and_public_name_has_its_place(site, pages):
    import kbert
    from apps.cli import COMMANDS

    for name in COMMANDS:
        assert (site / "reference" / "commands" / f"{name}.html").is_file()
    text = (site / "reference" / "python.html").read_text(encoding="utf-8")
    for name in set(kbert.__all__) - {"__version__"}:
        assert f"kbert.{name}" in text, name
    finetune = (site / "reference" / "commands" / "finetune.html").read_text(encoding="utf-8")
    assert "kbert finetune similarity" in finetune and "--learning-rate" in finetune


def test_every_page_of_both_languages_is_there_and_searched(site):
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    pages = [*ROOT.glob("docs/*.md"), *ROOT.glob("docs/**/*.ipynb"), *ROOT.glob("README*.md")]
    for page in pages:
        name = page.relative_to(ROOT).with_suffix("")
        assert (site / f"{name}.html").is_file() and f'"{name}"' in index, page
