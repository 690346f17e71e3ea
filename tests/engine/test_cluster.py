"""What TF_CONFIG says, and how workers meet: every mistake is a sentence."""

import contextlib
import json
import re
import socket
import threading

import pytest

from kbert.engine.cluster import Cluster, meet, parse
from kbert.errors import DataError

TWO = {"worker": ["one:1000", "two:2000"]}


def config(cluster, kind="worker", index=0):
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})


@pytest.fixture
def port():
    """A port that is free."""
    with socket.socket() as free:
        free.bind(("", 0))
        return free.getsockname()[1]


@pytest.mark.parametrize("text", ["", "{}", '{"cluster": {}}', config({"worker": ["one:1"]})])
def test_without_other_workers_a_process_is_alone(text):
    assert parse(text) == Cluster()
    assert parse(text).is_chief and parse(text).share(8) == slice(0, 8)


def test_workers_are_numbered_from_the_chief():
    assert parse(config(TWO, index=1)) == Cluster(("one:1000", "two:2000"), 1)
    three = {"worker": TWO["worker"], "chief": ["[::1]:3"]}
    addresses = ("[::1]:3", "one:1000", "two:2000")
    assert parse(config(three, "chief")) == Cluster(addresses, 0)
    assert parse(config(three, index=1)) == Cluster(addresses, 2)
    assert not parse(config(three, index=1)).is_chief


def test_shares_are_all_rows_once():
    rows = range(12)
    shares = [rows[Cluster(("a:1", "b:1", "c:1"), index).share(12)] for index in range(3)]
    assert [row for share in shares for row in share] == list(rows)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("worker 0 of 2", "TF_CONFIG must be like {.*Received: worker 0 of 2"),
        ("[1]", "TF_CONFIG must be like"),
        ('{"cluster": {"worker": ["one", "two"]}}', "TF_CONFIG must be like"),
        ('{"cluster": {"worker": ["one:x", "two:1"]}}', "TF_CONFIG must be like"),
        ('{"cluster": {"worker": ["one:70000", "two:1"]}}', "TF_CONFIG must be like"),
        ('{"cluster": {"worker": 2}}', "TF_CONFIG must be like"),
        (config({**TWO, "ps": ["three:1"]}), "may have a chief. Received: ps"),
        (config(TWO, index=2), '2 of type worker, counted from 0. Received: {.*"index": 2}'),
        (config(TWO, index=-1), "counted from 0"),
        (config(TWO, index="0"), "counted from 0"),
        (config(TWO, kind="chief"), "2 of type worker, .* Received: .*chief"),
        (json.dumps({"cluster": TWO}), "counted from 0. Received: null"),
    ],
)
def test_mistakes_are_named(text, message):
    with pytest.raises(DataError, match=message):
        parse(text)


@pytest.fixture
def addresses():
    """Of three workers on this machine."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
        for each in sockets:
            each.bind(("", 0))
        return tuple(f"localhost:{each.getsockname()[1]}" for each in sockets)


def test_workers_meet_whichever_comes_first(addresses):
    """None leaves its port before all have come, though others knock: it may not open it again."""
    met = []

    def come(index):
        meet(Cluster(addresses, index), patience=60)
        met.append(index)

    workers = [threading.Thread(target=come, args=(index,)) for index in range(3)]
    for one in workers[:2]:
        one.start()
    host, port = addresses[0].split(":")
    for said in (b"", b"GET / HTTP/1.1", b"kbert worker two", b"\xff"):
        with contextlib.suppress(OSError), socket.create_connection((host, int(port))) as stranger:
            stranger.sendall(said)
    assert met == []
    workers[2].start()
    for one in workers:
        one.join()
    assert sorted(met) == [0, 1, 2]


def test_a_port_that_is_taken(port):
    with socket.socket() as taken:
        taken.bind(("", port))
        taken.listen()
        message = f"Worker 1 cannot listen at port {port}, .* Address already in use"
        with pytest.raises(DataError, match=message):
            meet(Cluster(("localhost:1", f"localhost:{port}"), 1))


@pytest.mark.parametrize("host", ["localhost", "no-such-host.invalid"])
def test_a_worker_that_does_not_come(port, host):
    message = re.escape(
        f"Expected 2 workers, as TF_CONFIG says. After 0 seconds there was no answer from worker 1 "
        f"at {host}:1."
    )
    with pytest.raises(DataError, match=message):
        meet(Cluster((f"localhost:{port}", f"{host}:1"), 0), patience=0)
