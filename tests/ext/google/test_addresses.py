# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A name with several addresses is reached as long as one of them works, and in time."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import gevent.socket
import pytest

from antenna.backend import BackendError
from antenna.ext.google.http import GoogleHttp
from tests.support.google_http import OK, RESULT, assert_ends_in_time, post
from tests.support.peer import Peer, hang, send

Resolve = Callable[[int, *tuple[str, ...]], None]

DEAD = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
ALIVE = "127.0.0.1"
# Nothing listens there: connections are refused.
CLOSED = "127.0.0.5"


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """Function that gives the name ``storage.test`` addresses, in that order, on a port."""

    def resolve(port: int, *addresses: str) -> None:
        infos = [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in addresses
        ]
        monkeypatch.setattr(gevent.socket, "getaddrinfo", lambda *_, **__: infos)

    return resolve


@contextmanager
def dead(port: int, *addresses: str) -> Iterator[None]:
    """Listen on addresses and take no connection. Their queues are full, so packets to them are dropped."""
    with ExitStack() as opened:
        for address in addresses:
            listener = opened.enter_context(socket.create_server((address, port), backlog=0))
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(listener.getsockname())
        yield


@pytest.mark.parametrize(
    "addresses",
    [
        [DEAD[0], ALIVE],
        [*DEAD, ALIVE],
        [CLOSED, ALIVE],
        [CLOSED, DEAD[0], CLOSED, ALIVE],
        [ALIVE, DEAD[0]],
        [DEAD[0], ALIVE, DEAD[1]],
        # A machine without IPv6: there is no route.
        ["2001:db8::1", ALIVE],
    ],
    ids=" ".join,
)
def test_one_address_that_works_is_enough(
    resolve: Resolve, monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    monkeypatch.setattr("antenna.ext.google.addresses._ATTEMPT_DELAY", 0.1)
    with Peer(send(OK)) as peer, dead(peer.port, *(set(addresses) & set(DEAD))):
        resolve(peer.port, *addresses)
        client = GoogleHttp(f"http://storage.test:{peer.port}", None)

        assert post(client, seconds=2) == RESULT

        client.close()


def test_the_address_that_worked_is_the_first_next_time(resolve: Resolve, monkeypatch: pytest.MonkeyPatch) -> None:
    with Peer(send(OK)) as peer, dead(peer.port, *DEAD):
        resolve(peer.port, *DEAD, ALIVE)
        client = GoogleHttp(f"http://storage.test:{peer.port}", None)
        post(client)
        client.close()
        # If another address came first, it would take that long.
        monkeypatch.setattr("antenna.ext.google.addresses._ATTEMPT_DELAY", 10.0)

        assert post(client) == RESULT

        client.close()


def test_an_address_that_takes_connections_and_gives_no_answer_is_the_last_next_time(resolve: Resolve) -> None:
    with Peer(send(OK)) as peer, socket.create_server((DEAD[0], peer.port)):
        resolve(peer.port, DEAD[0], ALIVE)
        client = GoogleHttp(f"http://storage.test:{peer.port}", None)
        assert_ends_in_time(lambda seconds: post(client, seconds=seconds))

        assert post(client) == RESULT

        client.close()


def test_addresses_of_both_kinds_are_tried_in_turns(resolve: Resolve) -> None:
    """However many IPv6 addresses a name has, the second address that is tried is of IPv4 (RFC 8305)."""
    with Peer(send(OK)) as peer, socket.create_server((CLOSED, peer.port)) as other:
        other.settimeout(0)
        resolve(peer.port, *(f"2001:db8::{number}" for number in range(9)), ALIVE, CLOSED)
        client = GoogleHttp(f"http://storage.test:{peer.port}", None)

        assert post(client) == RESULT

        with pytest.raises(BlockingIOError):
            other.accept()
        client.close()


def test_addresses_that_all_refuse_are_an_error_at_once(resolve: Resolve) -> None:
    with Peer(send(OK)) as peer:
        resolve(peer.port, "127.0.0.6", CLOSED)
        client = GoogleHttp(f"http://storage.test:{peer.port}", None)
        started = time.monotonic()

        with pytest.raises(BackendError, match="ConnectionRefusedError"):
            post(client)

        assert time.monotonic() - started < 2
        client.close()


def test_addresses_that_are_all_dead_take_no_longer_than_the_deadline(resolve: Resolve) -> None:
    with Peer(hang) as peer, dead(peer.port, *DEAD):
        resolve(peer.port, *DEAD)
        client = GoogleHttp(f"http://storage.test:{peer.port}", None)

        assert_ends_in_time(lambda seconds: post(client, seconds=seconds))

        client.close()


def test_name_that_is_none_is_an_error() -> None:
    client = GoogleHttp("http://storage.invalid", None)

    with pytest.raises(BackendError, match="gaierror"):
        post(client)

    client.close()
