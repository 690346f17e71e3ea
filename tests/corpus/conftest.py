"""What the tests of the corpus share: a vocabulary and a text as files."""

import pytest

from tests.corpus.small_corpus import PIECES, make_text


@pytest.fixture
def vocabulary(tmp_path):
    path = tmp_path / "pieces.txt"
    path.write_text("".join(piece + "\n" for piece in PIECES))
    return str(path)


@pytest.fixture
def text_file(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(make_text(400))
    return str(path)
