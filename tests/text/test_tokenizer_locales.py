"""Token ids are the same in every locale, by the tokenizer and by a SavedModel that holds it.

ICU, inside of TensorFlow, reads the environment only: the locales need not be installed.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from kbert.text.tokenizer import WordPieceTokenizer
from kbert.text.vocabulary import SPECIAL_TOKENS

ROOT = Path(__file__).parents[2]
# Turkish, Azerbaijani and Lithuanian lower-case in their own ways.
LOCALES = [
    {"LANG": "tr_TR.UTF-8"},
    {"LC_ALL": "lt_LT.UTF-8"},
    pytest.param({"LC_MESSAGES": "az_AZ.UTF-8"}, marks=pytest.mark.slow),
    pytest.param({"LC_ALL": "C"}, marks=pytest.mark.slow),
]
PIECES = [*SPECIAL_TOKENS, "istanbul", "ile", "ıstanbul", "##\u0307"]
SCRIPT = """
import sys
import tensorflow as tf
import tensorflow_text
from kbert.text.tokenizer import WordPieceTokenizer
from tests.text import test_tokenizer_reference as reference

saved = tf.saved_model.load(sys.argv[1])
assert saved.tokenize(tf.constant(["İstanbul Île"])).numpy().tolist() == [[2, 5, 6, 3]]
pieces = list(dict.fromkeys(reference.character_vocabulary()))
for options in ({}, {"strip_accents": False}):
    tokenizer = WordPieceTokenizer(pieces, **options)
    reference.assert_same_ids(tokenizer, reference.TRAPS + reference.odd_strings(1000))
"""


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    module = tf.Module()
    module.tokenizer = WordPieceTokenizer(PIECES)
    module.tokenize = tf.function(
        lambda texts: module.tokenizer(texts)["token_ids"], [tf.TensorSpec([None], tf.string)]
    )
    tf.saved_model.save(module, folder)
    return folder


@pytest.mark.parametrize("locale", LOCALES, ids=str)
def test_ids_do_not_depend_on_the_locale(saved_model, locale):
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("LC_", "LANG"))}
    kept |= {"PYTHONUTF8": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", SCRIPT, saved_model]
    result = subprocess.run(command, cwd=ROOT, env=kept | locale, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 0, result.stderr
