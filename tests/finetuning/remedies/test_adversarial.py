"""FGM and PGD against their formulas in NumPy; the table itself is never touched."""

import numpy as np
import pytest

from tests.engine.toy_model import KERNEL, TABLE, embedded, ids_batch, step, weights_of

INPUTS, TARGETS, WEIGHTS = ids_batch()
COUNTS = np.stack([np.bincount(row, minlength=len(TABLE)) for row in INPUTS["ids"]])


def loss_and_gradients(table):
    """sum_i weight_i (counts_i table kernel - y_i)^2 and its derivatives, by hand in float64."""
    table, kernel = table.astype("float64"), KERNEL.astype("float64")
    errors = COUNTS @ table @ kernel - TARGETS["y"]
    slopes = 2 * WEIGHTS["y"] * errors
    loss = (WEIGHTS["y"] * errors**2).sum()
    return loss, COUNTS.T @ slopes @ kernel.T, (COUNTS @ table).T @ slopes


def fgm(radius):
    """r = radius g / |g| (arXiv 1605.07725, equation 2)."""
    _, gradient, _ = loss_and_gradients(TABLE)
    return radius * gradient / np.sqrt((gradient**2).sum())


def pgd(radius, steps, step_size):
    """Steepest ascent, projected onto the ball (arXiv 1706.06083, section 2.1)."""
    move = np.zeros(TABLE.shape)
    for _ in range(steps):
        _, gradient, _ = loss_and_gradients(TABLE + move)
        move = move + step_size * gradient / np.sqrt((gradient**2).sum())
        length = np.sqrt((move**2).sum())
        move = move if length <= radius else move * radius / length
    return move


def expected_step(move):
    """-> both losses, and the weights after a step of rate 1 on the sum of both gradients."""
    plain, moved = loss_and_gradients(TABLE), loss_and_gradients(TABLE + move)
    weights = TABLE - plain[1] - moved[1], KERNEL - plain[2] - moved[2]
    return plain[0], moved[0], weights


CASES = {
    "fgm": ({"radius": 0.5}, fgm(0.5)),
    "pgd": ({"radius": 0.5, "steps": 4, "step_size": 0.2}, pgd(0.5, 4, 0.2)),  # 4 x 0.2 > 0.5
    "pgd inside": ({"radius": 5.0, "steps": 2, "step_size": 0.3}, pgd(5.0, 2, 0.3)),
}


def check(training_model, move, tolerance=1e-5):
    logs = step(training_model, ids_batch())
    plain, moved, weights = expected_step(move)
    assert logs["loss"] == pytest.approx(plain, rel=tolerance)
    assert logs["adversarial_loss"] == pytest.approx(moved, rel=tolerance)
    assert moved > plain
    for ours, expected in zip(weights_of(training_model), weights, strict=True):
        scale = np.abs(expected).max()
        np.testing.assert_allclose(ours, expected, atol=tolerance * scale)


@pytest.mark.parametrize("case", CASES)
def test_equals_numpy(case):
    arguments, move = CASES[case]
    check(embedded(**arguments), move)


@pytest.mark.parametrize("options", [{"accumulate": 2}, {"jit_step": True}], ids=str)
def test_in_microbatches_and_under_xla(options):
    arguments, move = CASES["pgd"]
    check(embedded(**arguments, **options), move)


@pytest.mark.parametrize(
    ("policy", "tolerance"), [("mixed_bfloat16", 3e-2), ("mixed_float16", 4e-3)]
)
def test_in_mixed_precision(precision, policy, tolerance):
    precision(policy)
    training_model = embedded(radius=0.5)
    if policy == "mixed_float16":
        training_model.loss_scale.assign(64)
    check(training_model, CASES["fgm"][1], tolerance)


def test_the_table_is_as_it_was():
    training_model = embedded(radius=0.5, rate=0.0, steps=3, step_size=0.2)
    step(training_model, ids_batch())
    table, kernel = weights_of(training_model)
    np.testing.assert_array_equal(table, TABLE)
    np.testing.assert_array_equal(kernel, KERNEL)


def test_without_a_gradient_nothing_moves():
    training_model = embedded(radius=0.5)
    inputs, targets, weights = ids_batch()
    logs = step(training_model, (inputs, targets, {"y": np.zeros_like(weights["y"])}))
    assert logs["loss"] == logs["adversarial_loss"] == 0
    np.testing.assert_array_equal(weights_of(training_model)[0], TABLE)
