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
        ("[" * 100_000, "TF_CONFIG must be like"),
        ('{"cluster": []}', "TF_CONFIG must be like"),
        ('{"cluster": null}', "TF_CONFIG must be like"),
        ('{"cluster": ["one:1000", "two:2000"]}', "TF_CONFIG must be like"),
        (config({"worker": "one:1000"}), "TF_CONFIG must be like"),
        (config({"worker": {"one:1000": 0, "two:2000": 1}}), "TF_CONFIG must be like"),
        (config({"worker": None}), "TF_CONFIG must be like"),
        (config({"worker": [1000, 2000]}), "TF_CONFIG must be like"),
        (config({"worker": ["one:1000", ["two:2000"]]}), "TF_CONFIG must be like"),
        (config({"worker": ["http://one:1000", "two:2000"]}), "TF_CONFIG must be like"),
        (config({"worker": ["one: 1000", "two:2000"]}), "TF_CONFIG must be like"),
        (config({"worker": ["one:1_000", "two:2000"]}), "TF_CONFIG must be like"),
        (config({"worker": ["one:1000", "two:2000", "one:1000"]}), "twice: one:1000"),
        (config({"worker": ["one:1000"], "chief": ["one:1000"]}), "twice: one:1000"),
        (config({**TWO, "chief": ["a:1", "b:1"]}), "may have one chief. Received: 2"),
        (config({"worker": ["one:1000"]}, index=1), "1 of type worker, counted from 0"),
        (config({**TWO, "ps": ["three:1"]}), "may have a chief. Received: ps"),
        (config(TWO, index=2), '2 of type worker, counted from 0. Received: {.*"index": 2}'),
        (config(TWO, index=-1), "counted from 0"),
        (config(TWO, index="0"), "counted from 0"),
        (config(TWO, index=True), "counted from 0"),
        (config(TWO, index=1.0), "counted from 0"),
        (config(TWO, index=None), "counted from 0"),
        (config(TWO, kind=["worker"]), "counted from 0"),
        (config(TWO, kind="chief"), "2 of type worker, .* Received: .*chief"),
        (json.dumps({"cluster": TWO}), "counted from 0. Received: null"),
    ],
)
def test_mistakes_are_named(text, message):
    with pytest.raises(DataError, match=message) as raised:
        parse(text)
    assert len(str(raised.value)) < 500 and "\n" not in str(raised.value)


def test_a_value_of_several_lines_is_told_in_one():
    text = json.dumps({"cluster": TWO | {"worker": ["one"]}}, indent=2)
    with pytest.raises(DataError) as raised:
        parse(text)
    assert str(raised.value).endswith('Received: { "cluster": { "worker": [ "one" ] } }')


@pytest.fixture
def addresses():
    """Of three workers on this machine."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
        for each in sockets:
            each.bind(("", 0))
        return tuple(f"localhost:{each.getsockname()[1]}" for each in sockets)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_workers_of_ipv6_meet(addresses):
    addresses = tuple(address.replace("localhost", "[::1]") for address in addresses)
    met = []

    def come(index):
        meet(Cluster(addresses, index), patience=60)
        met.append(index)

    workers = [threading.Thread(target=come, args=(index,)) for index in range(3)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    assert sorted(met) == [0, 1, 2]


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


def missing(found):
    """What is said of each worker that did not come."""
    with pytest.raises(DataError) as raised:
        meet(found, patience=0)
    expected = (
        r"Expected \d+ workers, as TF_CONFIG says\. After 0 seconds there was no answer from "
    )
    return re.fullmatch(expected + r"(.*)\.", str(raised.value)).group(1)


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("localhost", "Connection refused"),
        ("no-such-host.invalid", "[^()]+"),
        ("a..b", r"[^()]+ \(?.*"),  # No name at all, which is no OSError.
    ],
)
def test_a_worker_that_does_not_come(port, host, reason):
    said = missing(Cluster((f"localhost:{port}", f"{host}:1"), 0))
    assert re.fullmatch(rf"worker 1 at {host}:1 \({reason}\)", said)


def test_another_program_at_a_workers_address(port):
    """It takes the connection and says nothing, or something that no worker says."""
    with socket.create_server(("localhost", 0)) as other:
        address = f"localhost:{other.getsockname()[1]}"
        said = missing(Cluster((f"localhost:{port}", address), 0))
    assert said == (
        f"worker 1 at {address} (what listens there is no worker of this run, or cannot reach "
        "this one)"
    )


def test_workers_with_other_addresses_do_not_meet(addresses):
    """One of them was told of a third worker: each waits for all of its own."""
    found = []

    def come(own):
        try:
            meet(own, patience=0.3)
        except DataError as error:
            found.append(str(error))

    clusters = [Cluster(addresses[:2], 0), Cluster(addresses, 1), Cluster(addresses, 2)]
    workers = [threading.Thread(target=come, args=(own,)) for own in clusters]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    assert len(found) == 3 and all("there was no answer from worker" in error for error in found)


def test_a_host_that_never_answers_holds_up_nobody(port, monkeypatch):
    """As packets that are lost, or a name that is looked up for ever."""
    answers = threading.Event()

    def connection(*_, **__):
        answers.wait()
        raise OSError("no route to host")

    monkeypatch.setattr(socket, "create_connection", connection)
    monkeypatch.setattr("kbert.engine.cluster._ANSWER", 0.1)
    hosts = [f"dead{number}:1" for number in range(50)]
    said = missing(Cluster((f"localhost:{port}", *hosts), 0))
    answers.set()
    assert said.count("still looking for it") == 50
