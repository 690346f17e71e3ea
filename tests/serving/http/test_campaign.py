"""A server that is disturbed gives right answers, to everyone."""

import asyncio
import sys

import pytest

from tests.serving.http.campaign import Campaign


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Memory is read from /proc.")
def test_none_wrong_none_lost(single, tmp_path):
    found = asyncio.run(Campaign(single[1] / "1", tmp_path, 4000, restarts=2, versions=4).run())
    assert found.answers >= 4000 and found.restarts == 2 and found.cancelled > 5
    assert (found.wrong, found.lost, found.refused) == (0, 0, 0)
    assert found.version == 4
