"""Whole corpora to token stores: the memory they take, and that no text is changed."""

import json
import lzma
import os
import pathlib
import subprocess
import sys

import pytest

from kbert.corpus.prepare import prepare
from kbert.corpus.store import TokenStore
from kbert.text.sentences import split_sentences
from kbert.text.tokenizer import WordPieceTokenizer
from tests.conftest import ROOT
from tests.corpus.test_prepare import documents_of

DATA = pathlib.Path(os.environ.get("KBERT_DATA", ROOT.parent / "shared" / "data"))
# Peak memory in MB of the same text many times, above the imports.
MEMORY_SCRIPT = """
import resource, sys
import tensorflow, tensorflow_text
from kbert.corpus.prepare import prepare
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
prepare(sys.argv[3:], sys.argv[1], sys.argv[2], processes=2, progress=False)
print(peak() - before)
"""


@pytest.mark.slow
def test_memory_stays_below_500_mb(tmp_path):
    folder = DATA / "pretrain_en"
    vocabulary = DATA / "vocab" / "bert-base-uncased.vocab.txt"
    if not folder.is_dir():
        pytest.skip(f"no corpus in {folder}; KBERT_DATA names its parent folder")
    command = [sys.executable, "-c", MEMORY_SCRIPT, tmp_path / "store", vocabulary, folder]
    result = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    assert float(result.stdout) < 500


@pytest.mark.slow
def test_real_text_is_stored_as_the_tokenizer_says(tmp_path):
    if not (DATA / "pretrain_zh").is_dir():
        pytest.skip(f"no corpus in {DATA}; KBERT_DATA names the folder")
    rows = lzma.open(DATA / "pretrain_zh" / "zhwiki.jsonl.xz").readlines()[:500]
    rows += lzma.open(DATA / "pretrain_en" / "enwiki.jsonl.xz").readlines()[:500]
    (tmp_path / "a.jsonl").write_bytes(b"".join(rows))
    vocabulary = DATA / "vocab" / "bert-base-multilingual-cased.vocab.txt"
    options = {"lowercase": False, "validation_share": 0, "progress": False}
    prepare([tmp_path / "a.jsonl"], tmp_path / "store", vocabulary, **options)
    tokenizer = WordPieceTokenizer(vocabulary, lowercase=False)
    texts = [json.loads(row)["text"] for row in rows]
    expected = [tokenizer.tokenize(split_sentences(text)).to_list() for text in texts]
    assert documents_of(TokenStore(tmp_path / "store")["train"]) == expected
