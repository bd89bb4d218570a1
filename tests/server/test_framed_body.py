# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The framing of a body is removed as RFC 9112 says, in whatever pieces the body is received."""

import time
from collections.abc import Iterator
from itertools import repeat
from typing import Any

import gevent.socket
import pytest
from gunicorn.config import Config
from gunicorn.http.parser import RequestParser

import antenna.server.framed_body
from antenna.hub import Turn
from antenna.refusal import Reason, Refusal
from antenna.server.connection import Connection
from antenna.server.framed_body import FramedBody
from tests.support.reports import chunked
from tests.support.wire import Wire

LENGTH = "Content-Length: {}"
CHUNKED = "Transfer-Encoding: chunked"


def requests(data: bytes, size: int) -> Iterator[Any]:
    """Yield the requests on a connection as gunicorn parses them, with the collector's class for bodies."""
    parser = RequestParser(Config(), Wire(data, repeat(size)), ("127.0.0.1", 1))
    while True:
        try:
            request = next(parser)
        except StopIteration:
            return
        request.body = FramedBody(request)
        yield request


def test_time_that_is_over() -> None:
    request = next(requests(post(LENGTH.format(4), b"body"), 10))
    request.body.begin(time.monotonic(), Turn())

    with pytest.raises(TimeoutError):
        request.body.read(100)


def read_all(body: FramedBody) -> bytes:
    pieces = []
    while not body.ended:
        pieces.append(body.read(65536))
    assert body.read(65536) == b""
    return b"".join(pieces)


def post(header: str, body: bytes) -> bytes:
    return f"POST / HTTP/1.1\r\n{header}\r\n\r\n".encode() + body


def read(header: str, body: bytes, size: int) -> bytes:
    return read_all(next(requests(post(header, body), size)).body)


def assert_refused(body: bytes, reason: Reason, header: str = CHUNKED) -> None:
    for size in (1, 65536):
        with pytest.raises(Refusal) as raised:
            read(header, body, size)
        assert raised.value.reason is reason


@pytest.mark.parametrize("size", [1, 3, 8192])
@pytest.mark.parametrize(
    ("header", "body", "content"),
    [
        (LENGTH.format(5), b"hello", b"hello"),
        (LENGTH.format("005"), b"hello", b"hello"),
        (LENGTH.format(5), b"hello world", b"hello"),
        (CHUNKED, b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", b"hello world"),
        (CHUNKED, chunked(bytes(10_000), 9_999), bytes(10_000)),
    ],
)
def test_content(header: str, body: bytes, content: bytes, size: int) -> None:
    assert read(header, body, size) == content


@pytest.mark.parametrize("size", [1, 3, 8192])
def test_next_request_begins_where_the_body_ends(size: int) -> None:
    wire = (
        post(CHUNKED, b"5\r\nhello\r\n0\r\nTrailer: 1\r\n\r\n")
        + post(LENGTH.format(3), b"two")
        + post(CHUNKED, b"0\r\n\r\n")
        + post(LENGTH.format(4), b"four")
    )

    assert [read_all(request.body) for request in requests(wire, size)] == [b"hello", b"two", b"", b"four"]


@pytest.mark.parametrize(
    "request_bytes", [b"POST / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", post(LENGTH.format(0), b"")]
)
def test_no_body(request_bytes: bytes) -> None:
    body = next(requests(request_bytes, 8192)).body

    assert body.ended
    assert body.read(65536) == b""


def test_a_read_returns_what_there_is() -> None:
    body = next(requests(post(LENGTH.format(100_000), bytes(100_000)), 1000)).body

    assert 0 < len(body.read(65536)) <= 1000


@pytest.mark.parametrize("body", [b"x\r\nhello\r\n", b"5\r\nhello world\r\n"])
def test_bad_framing(body: bytes) -> None:
    assert_refused(body, Reason.BAD_FRAMING)


@pytest.mark.parametrize("body", [b"", b"5", b"5\r\n", b"5\r\nhe", b"5\r\nhello", b"5\r\nhello\r\n0\r\n", b"0\r\nA: 1"])
def test_connection_that_ends_too_early(body: bytes) -> None:
    assert_refused(body, Reason.INCOMPLETE_BODY)
    assert_refused(body, Reason.INCOMPLETE_BODY, header=LENGTH.format(100))


class TestInterrupt:
    REFUSAL = Refusal(Reason.TOO_LARGE, "share of temporary files")

    @pytest.fixture
    def client(self) -> Iterator[gevent.socket.socket]:
        """A client that has sent four bytes of a body of five. ``body`` is the reader of that body."""
        server, client = gevent.socket.socketpair()
        connection = Connection(server.family, server.type, server.proto, fileno=server.detach())
        client.sendall(post(LENGTH.format(5), b"four"))
        request: Any = next(RequestParser(Config(), connection, ("127.0.0.1", 1)))
        self.body = FramedBody(request)
        assert self.body.read(100) == b"four"
        yield client
        connection.close()
        client.close()

    @pytest.mark.usefixtures("client")
    def test_of_a_read_that_waits(self) -> None:
        reading = gevent.spawn(self.body.read, 100)
        gevent.sleep(0.01)
        self.body.interrupt(self.REFUSAL)

        with pytest.raises(Refusal) as raised:
            reading.get(timeout=1)
        assert raised.value is self.REFUSAL

    def test_of_a_read_that_has_just_got_something(self, client: gevent.socket.socket) -> None:
        reading = gevent.spawn(self.body.read, 100)
        gevent.sleep(0.01)
        client.sendall(b"!")
        self.body.interrupt(self.REFUSAL)

        with pytest.raises(Refusal) as raised:
            reading.get(timeout=1)
        assert raised.value is self.REFUSAL

    def test_of_the_next_read(self, client: gevent.socket.socket) -> None:
        self.body.interrupt(self.REFUSAL)
        client.sendall(b"!")

        with pytest.raises(Refusal) as raised:
            self.body.read(100)
        assert raised.value is self.REFUSAL

    def test_not_of_what_has_been_read(self, client: gevent.socket.socket) -> None:
        assert self.body.can_be_interrupted
        client.sendall(b"!")
        assert self.body.read(100) == b"!"

        assert not self.body.can_be_interrupted


def test_framing_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(antenna.server.framed_body, "MAX_CHUNK_FRAMING", 5000)
    body = b"1\r\nx\r\n" * 990 + b"%b0\r\n\r\n"

    assert len(read(CHUNKED, body % b"", 1000)) == 990
    with pytest.raises(Refusal) as raised:
        read(CHUNKED, body % (b"1\r\nx\r\n" * 20), 1000)
    assert raised.value.reason is Reason.TOO_LARGE
