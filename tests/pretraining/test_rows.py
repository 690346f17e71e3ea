"""PretrainingRows: a pure function of (store, seed, number), and every row well-formed."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert.corpus.store import TokenStore
from kbert.errors import DataError
from kbert.pretraining.masking.token import TokenMasking
from kbert.pretraining.objectives.masked_lm_next_sentence import MaskedLMNextSentence
from kbert.pretraining.rows import PretrainingRows
from kbert.pretraining.settings import ObjectiveSettings
from kbert.text.segments import pack_segments
from tests.conftest import ROOT
from tests.packed_rows import examples_of, unmasked
from tests.small_store import numbered_documents, vocabulary_of, write_store

CLS, SEP, MASK = 2, 3, 4


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    """60 documents of 13 tokens in two sentences; token i of the split has the id 5 + i."""
    return TokenStore(
        write_store(
            tmp_path_factory.mktemp("numbered") / "store",
            numbered_documents([[6, 7]] * 60),
            numbered_documents([[3, 3]] * 2),
            vocabulary_of(5 + 60 * 13),
        )
    )


@pytest.fixture(scope="module")
def store(tiny_store):
    return TokenStore(tiny_store)


def rows_of(store, batch_size=8, sequence_length=16, seed=1, split="train", rate=0.15, **options):
    return PretrainingRows(
        store,
        split,
        MaskedLMNextSentence(TokenMasking(store.vocabulary, rate)),
        sequence_length=sequence_length,
        batch_size=batch_size,
        seed=seed,
        **options,
    )


def assert_same(first, second):
    for a, b in zip(first, second, strict=True):
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


def fingerprint(batch):
    arrays = [part[name] for part in batch for name in sorted(part)]
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


@pytest.mark.parametrize(("packing", "sequences"), [(True, 2), (False, 1)])
def test_shapes_and_types(store, packing, sequences):
    rows = rows_of(store, packing=packing)
    inputs, targets, weights = rows.batch(0)
    slots = rows.objective.masking.max_predictions(16)
    shapes = {name: array.shape for name, array in inputs.items()}
    row = (8, 16)
    assert shapes == {
        "token_ids": row,
        "segment_ids": row,
        "padding_mask": row,
        "mask_positions": (8, slots),
        "cls_positions": (8, sequences),
    }
    for part, dtype in ((inputs, "int32"), (targets, "int32"), (weights, "float32")):
        assert {str(array.dtype) for array in part.values()} == {dtype}
    for part in (targets, weights):
        assert {n: a.shape for n, a in part.items()} == {
            "masked_lm": (8, slots),
            "next_sentence": (8, sequences),
        }


@given(number=st.integers(0, 10_000), seed=st.integers(0, 2**31), packing=st.booleans())
def test_every_row_is_well_formed(store, number, seed, packing):
    """Examples one after another, as if each stood alone; behind them nothing."""
    rows = rows_of(store, sequence_length=32, seed=seed, packing=packing)
    batch = inputs, targets, weights = rows.batch(number)
    token_ids, masks = unmasked(batch), inputs["padding_mask"]
    used = np.zeros(8, int)
    for example in examples_of(batch):
        row, columns = example.row, example.columns
        assert len(example.first) >= 1 and len(example.second) >= 1
        expected, segment_ids = pack_segments(example.first, example.second, 32, CLS, SEP)
        np.testing.assert_array_equal(columns, used[row] + np.arange(len(expected)))
        np.testing.assert_array_equal(token_ids[row, columns], expected)
        np.testing.assert_array_equal(inputs["segment_ids"][row, columns], segment_ids)
        assert inputs["cls_positions"][row, example.slot] == columns[0]
        assert weights["next_sentence"][row, example.slot] > 0
        used[row] += len(columns)
    for name in ("token_ids", "segment_ids", "padding_mask"):
        assert (inputs[name][np.arange(32) >= used[:, None]] == 0).all()
    assert used.sum() == rows.num_tokens(number) == (masks > 0).sum()
    assert (masks.max(axis=1) >= 1).all() and masks.max() <= rows.sequences_per_row
    np.testing.assert_array_equal(
        (weights["next_sentence"] > 0).sum(axis=1), inputs["padding_mask"].max(axis=1)
    )
    assert (weights["masked_lm"] > 0).any(axis=1).all()
    assert (targets["masked_lm"][weights["masked_lm"] > 0] >= 5).all()
    for weight in weights.values():
        assert weight.sum() == pytest.approx(1, abs=1e-6)
        assert len(set(weight[weight > 0])) == 1


def test_labels_are_true(numbered):
    """0: the second text follows the first in the store. 1: it is of another document."""
    rows = rows_of(numbered, batch_size=60)
    seen = []
    for number in range(20):
        for _, _, _, first, second, label in examples_of(rows.batch(number)):
            document, other = (first[0] - 5) // 13, (second[0] - 5) // 13
            assert (np.diff(first) == 1).all() and (np.diff(second) == 1).all()
            assert label == (document != other)
            assert label or second[0] > first[-1]
            seen.append(label)
    assert np.mean(seen) == pytest.approx(0.5, abs=0.06)


def documents_of(batch):
    """The document of each example of the store `numbered`."""
    return [(example.first[0] - 5) // 13 for example in examples_of(batch)]


def test_an_epoch_visits_every_stretch_once(numbered):
    """Rows of 16 tokens take stretches of 13: here, exactly one document each."""
    rows = rows_of(numbered, batch_size=6, packing=False)
    assert rows.rows_per_epoch == 60
    orders = []
    for epoch in range(3):
        visited = sum((documents_of(rows.batch(epoch * 10 + n)) for n in range(10)), [])
        assert sorted(visited) == list(range(60))
        orders.append(visited)
    assert orders[0] != orders[1] != orders[2]


def test_epochs_draw_other_masks(numbered):
    """The same stretch is masked, cut and paired anew."""
    rows = rows_of(numbered, batch_size=60, packing=False)
    positions = []
    for epoch in range(2):
        inputs, _, _ = batch = rows.batch(epoch)
        order = np.argsort(documents_of(batch))
        positions.append(inputs["mask_positions"][order])
    assert (positions[0] != positions[1]).any(axis=1).mean() > 0.5


def test_packing_puts_more_into_as_many_rows(store):
    packed, unpacked = (
        rows_of(store, batch_size=32, sequence_length=64, packing=packing).num_tokens(0)
        for packing in (True, False)
    )
    assert packed > 1.5 * unpacked


def test_the_first_row_moves_all_batches(store):
    moved = rows_of(store, batch_size=4, first_row=10 * 4)
    assert_same(moved.batch(3), rows_of(store, batch_size=4).batch(13))


def test_a_batch_depends_on_its_number_only(store):
    rows = rows_of(store)
    forward = [rows.batch(number) for number in range(6)]
    for number in reversed(range(6)):
        assert_same(rows_of(store).batch(number), forward[number])


def test_a_row_does_not_depend_on_the_batch_size(store):
    """Row i is row i, also where batches cross the ends of epochs."""
    small, large = rows_of(store, batch_size=3), rows_of(store, batch_size=180)
    assert large.batch_size > 2 * large.rows_per_epoch
    together = large.batch(0)[0]
    for number in range(60):
        part = small.batch(number)[0]
        for name, array in part.items():
            np.testing.assert_array_equal(array, together[name][number * 3 : number * 3 + 3])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["40189deb3cd21dd9", "54959039bf99498b", "792efbc090e6a65c"]),
        ({"packing": False}, ["ba80a5023d8efe05", "3bff8a9c1968bb69", "0d5c7aafe3079fac"]),
        (
            {"sequence_length": 48, "split": "validation"},
            ["060cbfb61e32cedc", "17c47fc11966d64a", "3409993593b4b38f"],
        ),
    ],
)
def test_batches_stay_what_they_are(store, options, expected):
    """A run that an older version began is resumed with the rows that it would have drawn."""
    rows = rows_of(store, **options)
    assert [fingerprint(rows.batch(number))[:16] for number in (0, 7, 1000)] == expected


def test_another_process_draws_the_same(store):
    """Without TensorFlow, too."""
    code = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "from tests.pretraining.test_rows import *\n"
        "rows = rows_of(TokenStore(sys.argv[1]))\n"
        "print(json.dumps([fingerprint(rows.batch(n)) for n in (0, 7, 1000)]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, store.path], cwd=ROOT, capture_output=True, check=True
    )
    expected = [fingerprint(rows_of(store).batch(n)) for n in (0, 7, 1000)]
    assert json.loads(result.stdout) == expected


def test_seeds_and_splits_differ(store):
    prints = {
        fingerprint(rows_of(store, seed=seed, split=split).batch(0))
        for seed in (0, 1, 2)
        for split in ("train", "validation")
    }
    assert len(prints) == 6


def test_shares_over_many_rows(store):
    """The paper's shares hold for whole rows: 15 % of the ordinary tokens, 80/10/10."""
    rows = rows_of(store, batch_size=512, sequence_length=48, short_probability=0.0)
    chosen = ordinary = 0
    fates = np.zeros(3)
    for number in range(12):
        batch = inputs, targets, weights = rows.batch(number)
        row, slot = np.nonzero(weights["masked_lm"])
        new = inputs["token_ids"][row, inputs["mask_positions"][row, slot]]
        old = targets["masked_lm"][row, slot]
        fates += [(new == MASK).sum(), (new == old).sum(), ((new != MASK) & (new != old)).sum()]
        chosen += len(row)
        ordinary += (unmasked(batch) >= 5).sum()
    assert ordinary > 100_000
    assert chosen / ordinary == pytest.approx(0.15, abs=0.01)
    # A random piece is by chance the old one in 1 of 55 cases.
    np.testing.assert_allclose(fates / chosen, [0.8, 0.1 + 0.1 / 55, 0.1 - 0.1 / 55], atol=0.01)


def test_unknown_words_in_the_text_are_not_predicted(tmp_path):
    documents = [[np.array([1, 6, 1, 7]), np.array([1, 1, 8])]] * 3
    store = TokenStore(write_store(tmp_path / "store", documents, documents, vocabulary_of(10)))
    inputs, targets, weights = rows_of(store, batch_size=64, rate=0.9).batch(0)
    assert set(targets["masked_lm"][weights["masked_lm"] > 0]) == {6, 7, 8}
    assert 1 in inputs["token_ids"]


def test_special_tokens_anywhere_in_the_vocabulary(tmp_path):
    """Published vocabularies have them at other places; padding is theirs too."""
    pieces = ["a", "[MASK]", "b", "[SEP]", "c", "[UNK]", "[PAD]", "d", "[CLS]", "e"]
    ordinary = [0, 2, 4, 7, 9]
    documents = [[np.array(ordinary), np.array(ordinary[:2])]] * 3
    store = TokenStore(write_store(tmp_path / "store", documents, documents, pieces))
    inputs, targets, weights = rows_of(store, batch_size=200, rate=0.5).batch(0)
    token_ids, padding = inputs["token_ids"], inputs["padding_mask"] == 0
    assert padding.any() and (token_ids[padding] == 6).all()
    assert (token_ids[:, 0] == 8).all()
    assert ((token_ids == 3).sum(axis=1) == 2 * inputs["padding_mask"].max(axis=1)).all()
    assert set(targets["masked_lm"][weights["masked_lm"] > 0]) == set(ordinary)
    assert set(token_ids[~padding]) == {*ordinary, 8, 3, 1}


def test_masking_rate(store):
    counts = {
        rate: (rows_of(store, batch_size=256, rate=rate).batch(0)[2]["masked_lm"] > 0).sum()
        for rate in (0.15, 0.3)
    }
    assert counts[0.3] / counts[0.15] == pytest.approx(2, rel=0.15)


@pytest.mark.parametrize("masking", ["token", "whole-word", "span", "low-frequency"])
def test_a_rate_that_falls_is_a_function_of_the_step(store, masking):
    """From 50 to 10 % in 5 steps; the second half of them drawn by itself, backwards."""
    settings = ObjectiveSettings(masking=masking, masking_rate=0.5, final_masking_rate=0.1)

    def rows(**options):
        objective, size = settings.built(store), {"sequence_length": 64, "batch_size": 32}
        return PretrainingRows(store, "train", objective, **size, seed=1, num_steps=5, **options)

    whole, shares = [rows().batch(number) for number in range(5)], []
    for batch in whole:
        shares.append((batch[2]["masked_lm"] > 0).sum() / (unmasked(batch) >= 5).sum())
    np.testing.assert_allclose(shares, [0.5, 0.4, 0.3, 0.2, 0.1], atol=0.02)
    rest = rows(first_row=3 * 32, first_step=3)
    for number in (1, 0):
        assert_same(rest.batch(number), whole[3 + number])


def test_rows_too_short_for_a_pair_are_refused(store):
    assert rows_of(store, sequence_length=5).batch(0)[0]["token_ids"].shape == (8, 5)
    with pytest.raises(DataError, match="at least 5 tokens.*sequence_length=4"):
        rows_of(store, sequence_length=4)


def test_a_split_of_one_document_is_refused(tmp_path):
    documents = numbered_documents([[3, 3], [2, 2]])
    store = TokenStore(write_store(tmp_path / "store", documents, documents[:1], vocabulary_of(20)))
    with pytest.raises(DataError, match="validation split must have at least 2 documents"):
        rows_of(store, split="validation")
