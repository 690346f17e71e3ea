"""Every block of Python on every page runs, in order, as a reader would paste it.

Pages run in a folder that has what a checkout has, `samples` and `saved_models`. In bert.md the
comments behind a block's prints are what it prints.
"""

import json
import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT

# Pages with the comments that stand for what is printed, and those with none.
PRINTED = ("docs/bert.md", "docs/bert.zh-CN.md")
TOKENIZER = ("docs/tokenizer.md", "docs/tokenizer.zh-CN.md")
PAGES = (*PRINTED, *TOKENIZER, "README.md", "README.zh-CN.md")

# One process for all pages: TensorFlow takes seconds to start. Each page has names of its own.
RUN = """
import contextlib, io, json, sys
printed = {}
for page, blocks in json.load(sys.stdin).items():
    names, printed[page] = {}, []
    for number, block in enumerate(blocks):
        with contextlib.redirect_stdout(io.StringIO()) as stream:
            exec(compile(block, f"{page}, block {number + 1}", "exec"), names)
        printed[page].append(stream.getvalue())
print(json.dumps(printed))
"""


def blocks_of(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """What each block of each page printed."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("samples", "saved_models"):
        (folder / name).symlink_to(ROOT / name)
    result = subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps({page: blocks_of(page) for page in PAGES}),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return json.loads(result.stdout.splitlines()[-1])


def test_every_block_runs(printed):
    assert all(printed[page] for page in PAGES)


@pytest.mark.parametrize("page", PRINTED)
def test_blocks_print_what_the_page_says(page, printed):
    for block, found in zip(blocks_of(page), printed[page], strict=True):
        assert found.splitlines() == re.findall(r"^# (.*)$", block, re.MULTILINE), block


@pytest.mark.parametrize("name", ["keras", "serving"])
def test_a_translation_has_the_same_code(name):
    assert blocks_of(f"docs/{name}.zh-CN.md") == blocks_of(f"docs/{name}.md")


def test_no_page_is_forgotten():
    with_code = {
        str(path.relative_to(ROOT))
        for pattern in ("*.md", "docs/*.md", "saved_models/**/*.md")
        for path in ROOT.glob(pattern)
        if blocks_of(path.relative_to(ROOT))
    }
    # Each has a test of its own: tests/test_plain_keras.py, tests/serving/test_export.py.
    tested = {
        f"docs/{name}{suffix}" for name in ("keras", "serving") for suffix in (".md", ".zh-CN.md")
    }
    assert with_code == {*PAGES, *tested}
