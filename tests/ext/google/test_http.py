# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Every way in which a server can answer ends as a result or as an error of the backend."""

import socket
import time
from collections.abc import Iterator

import gevent
import pytest

from antenna.backend import BackendDenied, BackendError, CrashRefused, Deadline
from antenna.config import ConfigurationError
from antenna.ext.google.http import GoogleHttp, emulator_endpoint
from tests.support.google_http import LARGE, OK, RESULT, assert_fails, connect, post
from tests.support.peer import (
    Answer,
    Peer,
    answer,
    drip,
    send,
    send_and_close,
    send_and_reset,
)


class TestRequest:
    """The request arrives as it was sent."""

    @pytest.mark.parametrize("content", [b"", b"MDMP", bytes(range(256)) * 1000, LARGE], ids=len)
    def test_post(self, content: bytes) -> None:
        with Peer(send(OK)) as peer:
            client = connect(peer)

            assert post(client, content) == RESULT

            (request,) = peer.requests
            assert request.line == "POST /upload?name=a HTTP/1.1"
            assert request.headers["host"] == f"localhost:{peer.port}"
            assert request.headers["content-length"] == str(len(content))
            assert request.headers["content-type"] == "application/octet-stream"
            assert "authorization" not in request.headers
            assert request.body == content
            client.close()

    def test_get(self) -> None:
        with Peer(send(OK)) as peer:
            client = connect(peer)

            assert client.get("/storage/v1/b/crashes/o?maxResults=1", Deadline(5)) == RESULT

            assert peer.requests[0].line == "GET /storage/v1/b/crashes/o?maxResults=1 HTTP/1.1"
            client.close()

    def test_small_request_is_one_packet(self) -> None:
        with Peer(send(OK)) as peer, socket.create_server(("127.0.0.1", 0)) as listener:
            client = GoogleHttp(f"http://127.0.0.1:{listener.getsockname()[1]}", None)
            request = gevent.spawn(post, client, b"MDMP" * 1000)
            gevent.sleep(0.05)
            connection, _ = listener.accept()
            gevent.sleep(0.05)

            with connection:
                assert connection.recv(100_000).endswith(b"\r\n\r\n" + b"MDMP" * 1000)
                connection.sendall(OK)
                assert request.get() == RESULT
            client.close()
            assert peer.requests == []


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *((status, BackendError) for status in (201, 204, 301, 308, 429, 500, 501, 502, 503, 504)),
        *((status, BackendError) for status in (405, 407, 408, 409, 412, 416, 421, 425, 451)),
        *((status, BackendDenied) for status in (401, 403, 404)),
        *((status, CrashRefused) for status in (400, 411, 413, 414, 415, 422, 431)),
    ],
)
def test_status_is_an_error_and_no_reason_to_give_up_the_connection(status: int, error: type[Exception]) -> None:
    """A status says whose fault it is: the backend's, an operator's, or that of this very crash."""
    body = b'{"error": {"message": "some reason"}}' if status != 204 else b""
    with Peer(send(answer(body, status)), send(OK)) as peer:
        client = connect(peer)
        with pytest.raises((BackendError, CrashRefused)) as raised:
            post(client)

        assert isinstance(raised.value, error)
        assert isinstance(raised.value, BackendDenied) == (error is BackendDenied)
        assert f"status {status}" in str(raised.value)
        assert post(client) == RESULT
        assert len(peer.connections) == 1
        client.close()


def test_reason_of_the_server_is_in_the_message_and_is_not_endless() -> None:
    with Peer(send(answer(b"no permission \xff" + b"x" * 100_000, 403))) as peer:
        client = connect(peer)
        with pytest.raises(BackendDenied, match="status 403: no permission") as raised:
            post(client)
        client.close()

    assert len(str(raised.value)) < 400
    assert str(raised.value).isascii() or "\ufffd" in str(raised.value)


class TestAnswer:
    """All answers that HTTP allows are read, and all others are errors."""

    @pytest.mark.parametrize(
        "data",
        [
            OK,
            answer(b'{"name": "v1/dump/a"}', 200, "X-Extra: 1", "Content-Type: application/json"),
            b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{"name"\r\ne\r\n: "v1/dump/a"}\r\n0\r\n\r\n',
            b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n15;x\r\n{"name": "v1/dump/a"}\r\n0\r\nT: 1\r\n\r\n',
            b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
            b'HTTP/1.1 200\r\nContent-Length: 21\r\n\r\n{"name": "v1/dump/a"}',
            b'HTTP/1.1 200 Sure\r\ncontent-length:21\r\n\r\n{"name": "v1/dump/a"}',
        ],
        ids=["plain", "headers", "chunked", "chunk extension and trailer", "continue", "no reason", "lower case"],
    )
    def test_that_is_valid_is_read_and_the_connection_kept(self, data: bytes) -> None:
        with Peer(send(data)) as peer:
            client = connect(peer)

            assert [post(client) for _ in range(3)] == [RESULT] * 3

            assert len(peer.connections) == 1
            client.close()

    @pytest.mark.parametrize(
        "respond",
        [
            send_and_close(b'HTTP/1.1 200 OK\r\n\r\n{"name": "v1/dump/a"}'),
            send_and_close(b'HTTP/1.0 200 OK\r\nContent-Length: 21\r\n\r\n{"name": "v1/dump/a"}'),
            send(answer(b'{"name": "v1/dump/a"}', 200, "Connection: close")),
            drip(OK, interval=0.001),
        ],
        ids=["until the end", "HTTP/1.0", "close", "slow"],
    )
    def test_that_ends_the_connection_is_read(self, respond: Answer) -> None:
        with Peer(respond) as peer:
            client = connect(peer)

            assert [post(client) for _ in range(3)] == [RESULT] * 3

            client.close()

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\r\n",
            b"SSH-2.0-OpenSSH_9.6\r\n",
            b"HTTP/1.1 OK 200\r\n\r\n",
            b"HTTP/1.1 2000 OK\r\n\r\n",
            b"HTTP/1.1 200 OK",
            b"HTTP/1.1 200 OK\r\nContent-Len",
            OK[:-1],
            answer(b""),
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
            b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n15\r\n{"name": "v1/d',
            b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{"name": "v1/dump/a"}\r\n0\r\n\r\n',
            b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n{"name": "v1/dump/a"}\r\n0\r\n\r\n',
            b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 20_000 + b"\r\n{}",
            b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n{}",
            b"HTTP/1.1 " + b"2" * 100_000,
        ],
        ids=lambda data: data[:60].decode().encode("unicode_escape").decode() + f" ({len(data)})",
    )
    def test_that_is_broken_is_an_error(self, data: bytes) -> None:
        with Peer(send_and_close(data)) as peer:
            assert_fails(peer, r"\w+: |not JSON")

            assert len(peer.requests) == 1

    @pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\nContent-Len", OK[:-1], answer(b"")])
    def test_that_ends_in_a_reset_is_an_error(self, data: bytes) -> None:
        with Peer(send_and_reset(data)) as peer:
            assert_fails(peer, r"\w+: |not JSON")

            assert len(peer.requests) == 1

    @pytest.mark.parametrize(
        "head",
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: -1",
            b"HTTP/1.1 200 OK\r\nContent-Length: +21",
            b"HTTP/1.1 200 OK\r\nContent-Length: many",
            b"HTTP/1.1 200 OK\r\nContent-Length: 0x15",
            b"HTTP/1.1 200 OK\r\nContent-Length: 21\r\nContent-Length: 22",
            b"HTTP/1.1 103 Early Hints\r\nLink: </>",
        ],
    )
    def test_that_leaves_open_where_it_ends_is_an_error_at_once(self, head: bytes) -> None:
        with Peer(send(head + b'\r\n\r\n{"name": "v1/dump/a"}'), send(OK)) as peer:
            client = connect(peer)
            started = time.monotonic()
            with pytest.raises(BackendError):
                post(client)
            assert time.monotonic() - started < 2

            # Bytes that come later on that connection are not taken for an answer.
            assert post(client) == RESULT
            assert [request.connection for request in peer.requests] == [0, 1]
            client.close()

    @pytest.mark.parametrize(
        ("content", "match"),
        [
            (b"", "not JSON"),
            (b"OK", "not JSON"),
            (b"<html>Bad gateway</html>", "not JSON"),
            (b'{"name": "v1/d', "not JSON"),
            (b'{"name": "\xff"}', "not JSON"),
            (b"[" * 100_000, "not JSON"),
            (b'{"size": ' + b"9" * 10_000 + b"}", "not JSON"),
            (b"null", "not a JSON object"),
            (b"[]", "not a JSON object"),
            (b'"name"', "not a JSON object"),
        ],
        ids=lambda value: repr(value[:20]),
    )
    def test_that_is_no_json_object_is_an_error(self, content: bytes, match: str) -> None:
        with Peer(send(answer(content))) as peer:
            assert_fails(peer, match)


@pytest.mark.parametrize(
    ("value", "url"),
    [
        (" 127.0.0.1:8085/ ", "http://127.0.0.1:8085"),
        ("[::1]:8085", "http://[::1]:8085"),
        ("https://emulator", "https://emulator"),
        (" ", None),
    ],
)
def test_emulator_that_a_variable_names(monkeypatch: pytest.MonkeyPatch, value: str, url: str | None) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", value)

    assert emulator_endpoint("PUBSUB_EMULATOR_HOST") == url


@pytest.mark.parametrize(
    "value", ["http://[", "host:port", "host:99999", "tcp://host:1", "http://", "://host", ":8085"]
)
def test_emulator_that_is_no_address_is_a_bad_value(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", value)

    with pytest.raises(ConfigurationError, match=r"^PUBSUB_EMULATOR_HOST has a bad value "):
        emulator_endpoint("PUBSUB_EMULATOR_HOST")


def test_server_that_is_not_there_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = GoogleHttp(f"http://127.0.0.1:{port}", None)

    with pytest.raises(BackendError, match="ConnectionRefusedError"):
        post(client)


def test_body_that_cannot_be_read_is_an_error() -> None:
    def body() -> Iterator[bytes]:
        yield LARGE
        raise OSError(5, "Input/output error")

    with Peer(send(OK)) as peer:
        client = connect(peer)

        with pytest.raises(BackendError, match="Input/output error"):
            client.post("/", body, {"Content-Length": str(2 * len(LARGE))}, Deadline(5))

        client.close()
