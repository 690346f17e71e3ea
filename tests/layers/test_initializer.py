"""How weights begin, and the scope in which they begin at 0."""

import numpy as np
from scipy import stats

from kbert import BertConfig, build_encoder
from kbert.layers.initializer import blank_weights, initializer


def test_a_normal_distribution_cut_off_at_two_deviations():
    values = np.asarray(initializer(0.02)((200, 200))).ravel() / 0.02
    assert stats.kstest(values, stats.truncnorm(-2, 2).cdf).pvalue > 1e-4


def test_blank_weights_only_within_the_scope():
    config = BertConfig.preset("tiny", 20)
    with blank_weights():
        blank = build_encoder(config)
    assert all(
        not np.asarray(weight).any() for weight in blank.weights if "gamma" not in weight.path
    )
    table = next(w for w in build_encoder(config).weights if w.path.endswith("token_table"))
    assert np.asarray(table).any()
