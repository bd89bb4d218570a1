# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Clients that stall or drip are cut off in time, and do not slow down other clients."""

import gzip
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.raw_http import RawConnection
from tests.support.reports import annotation, chunked, dump, multipart, post
from tests.support.watch import HONEST, MIB, Target

PRODUCT = annotation("ProductName", "Firefox")
BODY = multipart(PRODUCT, dump(bytes(100_000)))
STALLED_CLIENTS = 500

# The bytes that a client has sent when it stalls.
BEGINNINGS = {
    "nothing": b"",
    "half a head": b"POST /submit HTTP/1.1\r\nHost:",
    "a head": post(BODY)[: -len(BODY)],
    "half a body": post(BODY)[:-20_000],
    "half a gzip": post(gzip.compress(bytes(MIB)) * 3, {"Content-Encoding": "gzip"})[:-200],
    "half a chunk": post(chunked(BODY, 9000), {"Content-Length": None, "Transfer-Encoding": "chunked"})[:-9000],
}


@pytest.fixture
def target(impatient_target: Target) -> Iterator[Target]:
    with impatient_target.stays_well():
        yield impatient_target


def test_clients_that_stall(target: Target) -> None:
    with ExitStack() as stack:
        begun = []
        for name in ("a head", "half a body", "half a gzip", "half a chunk"):
            connection = stack.enter_context(target.server.connect())
            connection.send(BEGINNINGS[name])
            begun.append((connection, time.monotonic()))
        for connection, at in begun:
            target.assert_refused(connection.receive(), "timeout")
            assert 0.5 < time.monotonic() - at < 3
            connection.close()


def test_clients_that_drip(target: Target) -> None:
    heads = [BEGINNINGS["a head"], BEGINNINGS["half a chunk"], BEGINNINGS["half a chunk"][:-8000] + b"5;"]
    with ExitStack() as stack:
        connections = [stack.enter_context(target.server.connect()) for _ in heads]
        for connection, head in zip(connections, heads, strict=True):
            connection.send(head)
        for _ in range(12):
            time.sleep(0.1)
            for connection in connections:
                connection.send(b"x")
        for connection in connections:
            target.assert_refused(connection.receive(), "timeout")


def test_500_stalled_clients(shared_target: Target) -> None:
    """The limits are the default ones. The clients stall for the whole test."""
    with shared_target.stays_well(), ExitStack() as stack:
        before = median_of_honest_clients(shared_target)
        with shared_target.costs() as cost:
            for number in range(STALLED_CLIENTS):
                connection = stack.enter_context(shared_target.server.connect())
                connection.send(list(BEGINNINGS.values())[number % len(BEGINNINGS)])
            connected = time.monotonic()
            # Other work on the machine takes time now and then. Stalled clients would take it all the time.
            during = min(median_of_honest_clients(shared_target) for _ in range(3))

        # Twice as long at most. Other work on the machine can take a few milliseconds from both.
        assert during < 2 * before + 0.005
        assert time.monotonic() - connected < 15, "or they were not stalled all the time"
        assert cost.descriptors >= STALLED_CLIENTS
        assert cost.memory < 150 * MIB
        stack.close()


def test_250_clients_that_stall_with_a_lot_in_hand(shared_target: Target) -> None:
    """Each has sent a kilobyte that inflates to a megabyte. In memory, all of that would be 250 MiB."""
    body = gzip.compress(multipart(PRODUCT, dump(bytes(MIB)))[:-20])
    request = post(body, {"Content-Encoding": "gzip", "Content-Length": str(len(body) + 1)})
    with shared_target.stays_well(), ExitStack() as stack, shared_target.costs() as cost:
        for _ in range(250):
            stack.enter_context(shared_target.server.connect()).send(request)
        time.sleep(0.5)
        median_of_honest_clients(shared_target)
        stack.close()

    assert cost.memory < 125 * MIB


def median_of_honest_clients(target: Target) -> float:
    times = []
    for _ in range(15):
        begun = time.perf_counter()
        with RawConnection("127.0.0.1", target.server.port) as connection:
            connection.send(HONEST)
            target.collector.assert_kept(connection.receive())
        times.append(time.perf_counter() - begun)
    return statistics.median(times)
