"""Errors as they go from process to process."""

import pickle

from kbert.errors import Stopped


def test_a_worker_says_that_it_was_stopped():
    found = pickle.loads(pickle.dumps(Stopped(15, 40)))
    assert (found.signal, found.step, str(found)) == (15, 40, str(Stopped(15, 40)))
