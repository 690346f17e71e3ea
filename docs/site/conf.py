"""Sphinx's settings for the documentation site; `make docs` runs it through build.py."""

import pathlib
import re

project = "kbert"
html_title = "kbert"
copyright = "the kbert authors, Apache-2.0"
extensions = ["myst_nb"]
root_doc = "docs/index"
# The rest of the folder is what pages link to.
include_patterns = [
    "README.md",
    "README.zh-CN.md",
    "CONTRIBUTING.md",
    "docs/*.md",
    "docs/*.ipynb",
    "docs/examples/*.ipynb",
    "docs/reports/**.md",
    "saved_models/**.md",
    "reference/**.md",
]
html_theme = "furo"
html_show_sphinx = False
html_copy_source = False
nb_execution_mode = "off"  # The tests run them.
# Nothing is loaded from another host, where a notebook has no widgets.
nb_ipywidgets_js = {}
# Headings have the anchors that GitHub gives them.
myst_heading_anchors = 4
myst_links_external_new_tab = False
# Commands are shown with what they print.
suppress_warnings = ["misc.highlighting_failure", "myst.header"]

_PAGES = {
    "Start": ["/README", "/docs/tutorial", "/docs/tasks", "/docs/keras", "/docs/migrating"],
    "Guides": [],  # All that stand nowhere else.
    "Examples": ["/docs/examples/*"],
    "Figures": [
        "/docs/results",
        "/docs/benchmarks",
        "/docs/experiments",
        "/docs/reports/**",
    ],
    "Reference": [
        "/reference/commands/index",
        "/docs/options",
        "/reference/python",
        "/CONTRIBUTING",
    ],
    "Trained models": ["/saved_models/**"],
    "中文": ["/docs/index.zh-CN", "/README.zh-CN", "/docs/*.zh-CN"],
}
_named = {page for pages in _PAGES.values() for page in pages} | {f"/{root_doc}"}
_DOCS = pathlib.Path(__file__).resolve().parent.parent
_guides = [f"/docs/{path.stem}" for path in sorted(_DOCS.glob("*.md")) if ".zh" not in path.stem]
_PAGES["Guides"] = [page for page in _guides if page not in _named]
# A link to a folder: the site shows pages and files.
_FOLDER_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?![a-z]+:)[^)\s]*/\)")


def _read(app, name, source):
    """What a page is on the site besides: no links to folders, and the contents in the first."""
    source[0] = _FOLDER_LINK.sub(r"\1", source[0])
    if name == root_doc:
        source[0] += "\n".join(
            f"\n```{{toctree}}\n:hidden:\n:glob:\n:caption: {title}\n\n"
            + "\n".join(pages)
            + "\n```"
            for title, pages in _PAGES.items()
        )


def setup(app):
    app.connect("source-read", _read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
