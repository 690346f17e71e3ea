"""A page in two languages: each leads to the other, and both have the same parts and commands."""

import re

import pytest

from tests.conftest import ROOT

CHINESE = sorted([*ROOT.glob("docs/*.zh-CN.md"), ROOT / "README.zh-CN.md"])
# Its tables of public names and of sizes stand in English only, and it says where.
SHORTER = {"migrating.zh-CN.md"}
# Numbers and options have one home.
ENGLISH_ONLY = {"results.md", "benchmarks.md", "experiments.md", "options.md"}
every_page = pytest.mark.parametrize("page", CHINESE, ids=lambda page: page.name)


def english(page):
    return page.with_name(page.name.replace(".zh-CN", ""))


def without_blocks(page):
    text = page.read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def test_every_guide_has_a_translation():
    guides = {page.name for page in ROOT.glob("docs/*.md") if ".zh-CN" not in page.name}
    assert guides - ENGLISH_ONLY == {english(page).name for page in CHINESE} - {"README.md"}


@every_page
def test_each_language_leads_to_the_other(page):
    """At the head; and a Chinese page leads on to Chinese pages."""
    for one, other in ((page, english(page)), (english(page), page)):
        head = "\n".join(one.read_text(encoding="utf-8").splitlines()[:12])
        assert f"]({other.name})" in head, one
    for link in re.findall(r"\]\(([^)\s#:]+)[)#]", without_blocks(page)):
        target = (page.parent / link).resolve()
        translation = target.with_name(target.name.replace(".md", ".zh-CN.md"))
        own = target == english(page)
        assert own or translation in (target, page) or translation not in CHINESE, link


@every_page
def test_both_have_the_same_commands(page):
    """With the same options; texts and remarks may be in the page's language."""

    def commands(one):
        text = one.read_text(encoding="utf-8").replace("\\\n", " ")
        found = re.findall(
            r"^(?:    )+(?:\$ )?(?:.*\| )?kbert (.*?)(?: # .*)?$", text, re.MULTILINE
        )
        return [(line.split()[0], re.findall(r"--[\w-]+", line)) for line in found]

    assert commands(page) == commands(english(page))


@every_page
def test_both_have_the_same_parts(page):
    if page.name in SHORTER:
        assert f"]({english(page).name}#" in page.read_text(encoding="utf-8")
        return
    for part in (r"^#+(?= )", r"^```\w*$", r"^!\[|^<img"):
        found = [re.findall(part, one.read_text(), re.M) for one in (page, english(page))]
        assert found[0] == found[1], part


@pytest.mark.parametrize("suffix", [".md", ".zh-CN.md"])
def test_the_index_leads_to_every_guide(suffix):
    index = (ROOT / "docs" / f"index{suffix}").read_text(encoding="utf-8")
    chosen = CHINESE if suffix != ".md" else [english(page) for page in CHINESE]
    names = {page.name for page in chosen} - {f"README{suffix}", f"index{suffix}"}
    for name in sorted(names | ENGLISH_ONLY):
        assert f"]({name})" in index, name
    for notebook in ROOT.glob("docs/examples/*.ipynb"):
        if notebook.stem not in ("dates", "senses"):  # They stand in neighbours.md.
            assert f"](examples/{notebook.name})" in index, notebook.name
