# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A connection waits for a limited time, and ends cleanly. See also tests/system, where whole workers run."""

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent import socket as gevent_socket

import antenna.server.connection
import antenna.server.early_answer
from antenna.server.connection import Connection, RequestWait

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
MIB = 1024 * 1024


class Pair:
    """A connection, and the end of it that the client has."""

    def __init__(self) -> None:
        server, self.client = gevent_socket.socketpair()
        self.connection = Connection(server.family, server.type, server.proto, fileno=server.detach())

    def wait_for_head(self, idle_seconds: float) -> bytes:
        """Wait for a request's head as gunicorn does.

        Return the bytes that came, or nothing if they did not come in time.
        """
        head = b""
        with RequestWait(set(), self.connection, idle_seconds):
            while not head.endswith(b"\r\n\r\n"):
                head += self.connection.recv(8192)
            return head
        return b""


@pytest.fixture
def pair() -> Iterator[Pair]:
    both = Pair()
    yield both
    both.connection.close()
    both.client.close()


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten all waits, so that no test waits for 20 s."""
    monkeypatch.setattr(antenna.server.connection, "HEAD_TIMEOUT", 0.2)
    monkeypatch.setattr(antenna.server.connection, "SEND_TIMEOUT", 0.2)
    monkeypatch.setattr(antenna.server.early_answer, "DRAIN_IDLE_SECONDS", 0.1)


def drip(client: gevent_socket.socket, pieces: list[bytes]) -> None:
    for piece in pieces:
        client.sendall(piece)
        gevent.sleep(0.01)


def in_greenlet(function: Callable[..., Any], *args: Any) -> Any:
    return gevent.spawn(function, *args).get(timeout=5)


class TestHead:
    def test_in_pieces(self, pair: Pair) -> None:
        gevent.spawn(drip, pair.client, [HEAD[:5], HEAD[5:20], HEAD[20:]])

        assert in_greenlet(pair.wait_for_head, 5.0) == HEAD

    @pytest.mark.parametrize("pieces", [[HEAD[:5]], [HEAD[:4], *([b"x"] * 40)]], ids=["stalls", "drips"])
    def test_that_does_not_end_in_time(self, pair: Pair, pieces: list[bytes]) -> None:
        begun = time.monotonic()
        sending = gevent.spawn(drip, pair.client, pieces)

        assert in_greenlet(pair.wait_for_head, 5.0) == b""
        assert 0.2 <= time.monotonic() - begun < 2
        answer = pair.client.recv(1000)
        assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert answer.endswith(b"\r\n\r\nDiscarded=timeout")
        sending.kill()

    def test_that_does_not_begin(self, pair: Pair) -> None:
        assert in_greenlet(pair.wait_for_head, 0.05) == b""
        pair.connection.close()
        assert pair.client.recv(1000) == b"", "nobody asked, so there is no answer"


class TestConnectionThatIsLost:
    def test_while_it_receives(self, pair: Pair) -> None:
        pair.connection.shutdown(socket.SHUT_RDWR)
        pair.connection.detach()

        with pytest.raises(ConnectionResetError):
            pair.connection.recv(1)

    def test_while_it_sends(self, pair: Pair) -> None:
        pair.client.close()

        with pytest.raises(ConnectionResetError):
            pair.connection.sendall(bytes(MIB))

    def test_because_the_client_does_not_read(self, pair: Pair) -> None:
        begun = time.monotonic()

        with pytest.raises(ConnectionResetError):
            pair.connection.sendall(bytes(50 * MIB))
        assert 0.2 <= time.monotonic() - begun < 2


class TestWaitThatIsInterrupted:
    def test_fails_and_the_connection_goes_on(self, pair: Pair) -> None:
        receiving = gevent.spawn(pair.connection.recv, 100)
        gevent.sleep(0.01)
        pair.connection.interrupt_wait()
        with pytest.raises(ConnectionResetError):
            receiving.get(timeout=1)

        pair.client.sendall(b"more")
        assert pair.connection.recv(100) == b"more"

    def test_when_nobody_waits(self, pair: Pair) -> None:
        pair.connection.interrupt_wait()
        pair.client.sendall(b"request")
        gevent.sleep(0.01)

        assert pair.connection.recv(100) == b"request"


def test_client_that_reads_slowly(pair: Pair) -> None:
    sending = gevent.spawn(pair.connection.sendall, bytes(MIB))
    received = 0
    while received < MIB:
        gevent.sleep(0.01)
        received += len(pair.client.recv(65536))

    sending.get(timeout=1)


def test_client_that_thinks_for_longer_than_it_may_read(pair: Pair) -> None:
    pair.connection.sendall(b"answer")
    receiving = gevent.spawn(pair.connection.recv, 100)
    gevent.sleep(0.4)

    pair.client.sendall(b"request")

    assert receiving.get(timeout=1) == b"request"
