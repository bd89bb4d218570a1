# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Every way in which a server can fail ends as an error of the backend, in time, and with nothing left open."""

import contextlib
import json
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import gevent.socket
import gevent.ssl
import google.auth.exceptions
import google.oauth2.credentials
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.auth.credentials import Credentials
from google.auth.transport import Request as AuthRequest

from antenna.backend import BackendConfigurationError, BackendDenied, BackendError, CrashRefused, Deadline
from antenna.ext.google.http import GoogleHttp, credentials_for
from tests.support.peer import (
    Answer,
    Peer,
    answer,
    drip,
    hang,
    send,
    send_and_close,
    send_and_reset,
    send_in_turn,
    send_later,
)

OK = answer(b'{"name": "v1/dump/a"}')
RESULT = {"name": "v1/dump/a"}
LARGE = os.urandom(5_000_000)


@pytest.fixture(autouse=True)
def cooperative(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets that gevent can interrupt, as in the collector. The peers' are the system's: they have threads."""
    monkeypatch.setattr(socket, "create_connection", gevent.socket.create_connection)
    monkeypatch.setattr(ssl, "create_default_context", gevent.ssl.create_default_context)


@pytest.fixture(autouse=True)
def nothing_is_left_open() -> Iterator[None]:
    gevent.sleep(0)  # the hub opens descriptors when it begins
    before = count_descriptors()
    yield
    deadline = time.monotonic() + 5
    while count_descriptors() > before and time.monotonic() < deadline:
        time.sleep(0.01)  # the peers' threads close theirs
    assert count_descriptors() <= before


def count_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def connect(peer: Peer, credentials: Credentials | None = None) -> GoogleHttp:
    return GoogleHttp(peer.url, credentials)


def post(client: GoogleHttp, content: bytes = b"MDMP", seconds: float = 5.0) -> dict[str, object]:
    pieces = [content[start : start + 256 * 1024] for start in range(0, len(content), 256 * 1024)]
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(len(content))}
    return client.post("/upload?name=a", lambda: iter(pieces), headers, Deadline(seconds))


def assert_fails(peer: Peer, match: str, content: bytes = b"MDMP", error: type[Exception] = BackendError) -> None:
    """One request, one error, and the connection is not used again."""
    client = connect(peer)
    with pytest.raises(error, match=match):
        post(client, content)
    client.close()


class TestRequest:
    """What arrives is what was sent."""

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
class TestStatus:
    """A status says whose fault it is: the backend's, an operator's, or that of this very crash."""

    def test_means_an_error(self, status: int, error: type[Exception]) -> None:
        with Peer(send(answer(b'{"error": {"message": "some reason"}}' if status != 204 else b"", status))) as peer:
            client = connect(peer)
            with pytest.raises((BackendError, CrashRefused)) as raised:
                post(client)
            client.close()

        assert type(raised.value) is error
        assert f"status {status}" in str(raised.value)

    def test_is_no_reason_to_give_up_the_connection(self, status: int, error: type[Exception]) -> None:
        with Peer(send(answer(b"{}" if status != 204 else b"", status)), send(OK)) as peer:
            client = connect(peer)
            with pytest.raises(error):
                post(client)

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
    """Whatever HTTP allows is read, and whatever it does not allow is an error."""

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
    @pytest.mark.parametrize("end", [send_and_close, send_and_reset], ids=["closed", "reset"])
    def test_that_is_broken_is_an_error(self, data: bytes, end: Callable[[bytes], Answer]) -> None:
        with Peer(end(data)) as peer:
            assert_fails(peer, r"\w+: |not JSON")

            assert len(peer.requests) == 1

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


class TestConnection:
    """Connections are kept, and one that was closed meanwhile costs nothing but a new one."""

    def test_is_used_again(self) -> None:
        with Peer(send(OK)) as peer:
            client = connect(peer)
            for _ in range(10):
                post(client, LARGE[:100_000])

            assert {request.connection for request in peer.requests} == {0}
            client.close()

    @pytest.mark.parametrize("content", [b"MDMP", LARGE], ids=["small", "large"])
    @pytest.mark.parametrize("end", [send_and_close, send_and_reset], ids=["closed", "reset"])
    def test_that_was_ended_while_it_was_idle_is_replaced_and_the_body_sent_anew(
        self, end: Callable[[bytes], Answer], content: bytes
    ) -> None:
        with Peer(end(OK), send(OK)) as peer:
            client = connect(peer)
            post(client)
            time.sleep(0.2)

            assert post(client, content) == RESULT

            assert [request.connection for request in peer.requests] == [0, 1]
            assert peer.requests[1].body == content
            client.close()

    @pytest.mark.parametrize("end", [send_and_close, send_and_reset], ids=["closed", "reset"])
    def test_that_ends_without_an_answer_is_replaced_if_it_was_idle(self, end: Callable[[bytes], Answer]) -> None:
        with Peer(send(OK), end(b""), send(OK)) as peer:
            client = connect(peer)
            post(client)

            assert post(client, LARGE) == RESULT

            assert [request.connection for request in peer.requests] == [0, 0, 1]
            assert peer.requests[1].body == peer.requests[2].body == LARGE
            client.close()

    def test_a_request_is_sent_twice_at_most(self) -> None:
        with Peer(send(OK), send_and_close(b"")) as peer:
            client = connect(peer)
            post(client)

            with pytest.raises(BackendError):
                post(client)

            assert [request.connection for request in peer.requests] == [0, 0, 1]
            client.close()

    def test_is_not_used_again_after_half_an_answer(self) -> None:
        with Peer(send_and_close(OK[:-3], after=0.1), send(OK)) as peer:
            client = connect(peer)
            with pytest.raises(BackendError, match="IncompleteRead"):
                post(client)

            assert post(client) == RESULT
            assert [request.connection for request in peer.requests] == [0, 1]
            client.close()

    def test_is_not_used_again_after_the_time_was_over(self) -> None:
        with Peer(send_later(0.3, OK), send(OK)) as peer:
            client = connect(peer)
            with pytest.raises(BackendError):
                post(client, seconds=0.1)

            assert post(client) == RESULT
            assert [request.connection for request in peer.requests] == [0, 1]
            client.close()

    def test_that_was_idle_for_long_is_not_used_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("antenna.ext.google.http._MAX_IDLE", 0.1)
        with Peer(send(OK)) as peer:
            client = connect(peer)
            gevent.joinall([gevent.spawn(post, client) for _ in range(5)])
            gevent.sleep(0.2)

            assert post(client) == RESULT

            assert peer.requests[-1].connection == len(peer.connections) - 1
            client.close()

    def test_that_died_while_it_was_idle_is_replaced_and_so_are_the_others(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("antenna.ext.google.http._DEAD_AFTER", 0.2)
        monkeypatch.setattr("antenna.ext.google.http._FRESH", 0.05)
        with Peer(*[send(OK)] * 5, hang, send(OK)) as peer:
            client = GoogleHttp(peer.url, None, repeatable=True)
            gevent.joinall([gevent.spawn(post, client) for _ in range(5)], raise_error=True)
            idle = len(peer.connections)
            gevent.sleep(0.1)

            assert post(client, b"MDMP", seconds=1) == RESULT

            assert [request.body for request in peer.requests[5:]] == [b"MDMP"] * 2
            assert post(client) == RESULT
            assert len(peer.connections) == idle + 1, "one of those that were idle is still in use"
            client.close()

    def test_that_is_in_use_has_all_the_time(self) -> None:
        with Peer(send(OK), send_later(0.6, OK)) as peer:
            client = GoogleHttp(peer.url, None, repeatable=True)
            post(client)

            assert post(client, seconds=1) == RESULT
            assert [request.connection for request in peer.requests] == [0, 0]
            client.close()

    def test_that_hangs_gets_no_request_twice_that_must_not_be_repeated(self) -> None:
        with Peer(send(OK), hang, send(OK)) as peer:
            client = connect(peer)
            post(client)

            with pytest.raises(BackendError):
                post(client, seconds=0.3)

            assert len(peer.requests) == 2
            assert post(client) == RESULT
            client.close()

    def test_with_an_answer_that_nobody_has_asked_for_is_not_used_again(self) -> None:
        stale = answer(b'{"name": "of another request"}')
        with Peer(send_in_turn(OK, stale), send(OK)) as peer:
            client = connect(peer)
            post(client)
            time.sleep(0.1)

            assert post(client) == RESULT
            assert [request.connection for request in peer.requests] == [0, 1]
            client.close()

    def test_is_nobody_elses_meanwhile(self) -> None:
        with Peer(drip(OK, interval=0.005)) as peer:
            client = connect(peer)

            requests = [gevent.spawn(post, client, bytes([number])) for number in range(20)]

            assert [request.get() for request in requests] == [RESULT] * 20
            assert sorted(request.body for request in peer.requests) == [bytes([number]) for number in range(20)]
            assert len(peer.connections) == 20
            client.close()

    def test_is_kept_if_there_are_not_too_many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("antenna.ext.google.http._MAX_KEPT", 3)
        with Peer(drip(OK, interval=0.005)) as peer:
            client = connect(peer)
            for _ in range(2):
                gevent.joinall([gevent.spawn(post, client) for _ in range(10)], raise_error=True)

            assert len(peer.connections) == 10 + 7
            client.close()


class TestTime:
    """A server takes as long as the deadline says and no longer, wherever it hangs."""

    @pytest.mark.parametrize(
        "respond",
        [
            hang,
            drip(OK),
            drip(b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 20),
            drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 20),
            drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 10, interval=0.01),
        ],
        ids=["no answer", "slow answer", "slow headers", "slow chunks", "continue and continue"],
    )
    @pytest.mark.parametrize("is_kept", [False, True], ids=["new connection", "kept connection"])
    def test_of_a_server_that_hangs(self, respond: Answer, is_kept: bool) -> None:
        with Peer(*([send(OK)] if is_kept else []), respond) as peer:
            client = connect(peer)
            if is_kept:
                post(client)

            assert_ends_in_time(lambda: post(client, seconds=0.3))
            client.close()

    def test_of_a_server_that_does_not_read(self) -> None:
        with Peer(send_later(2, OK), body_limit=10) as peer:
            client = connect(peer)

            assert_ends_in_time(lambda: post(client, LARGE * 4, seconds=0.3))
            client.close()

    def test_of_a_server_that_takes_no_connections(self) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
            port = listener.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port)):
                client = GoogleHttp(f"http://127.0.0.1:{port}", None)

                assert_ends_in_time(lambda: post(client, seconds=0.3))
                client.close()

    def test_that_is_over_before_it_begins(self) -> None:
        with Peer(send(OK)) as peer:
            client = connect(peer)

            with pytest.raises(BackendError, match="out of time"):
                post(client, seconds=0)

            assert peer.connections == []
            client.close()

    def test_of_others_is_not_taken(self) -> None:
        with Peer(hang, send(OK)) as peer:
            client = connect(peer)
            hanging = gevent.spawn(post, client, seconds=1)
            gevent.sleep(0.1)
            started = time.monotonic()

            assert post(client) == RESULT

            assert time.monotonic() - started < 0.5
            with pytest.raises(BackendError):
                hanging.get()
            client.close()


def assert_ends_in_time(request: Callable[[], object]) -> None:
    started = time.monotonic()
    with pytest.raises(BackendError):
        request()
    assert 0.2 < time.monotonic() - started < 0.7


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


class FakeCredentials(Credentials):
    """Gets a token without a server."""

    def __init__(self, outcome: Callable[[], None] = lambda: None, lifetime: float = 3600.0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.refreshed = 0
        self._outcome = outcome
        self._lifetime = lifetime

    def refresh(self, request: AuthRequest) -> None:
        self._outcome()
        self.refreshed += 1
        self.token = f"token-{self.refreshed}"
        now = datetime.now(UTC).replace(tzinfo=None)
        self.expiry = now + timedelta(seconds=self._lifetime)


def fail() -> None:
    raise google.auth.exceptions.RefreshError("invalid_grant")


def fail_to_connect() -> None:
    raise google.auth.exceptions.TransportError("connection refused")


class TestToken:
    """Requests carry a token, which is made anew when it expires."""

    def test_is_made_once_and_sent_with_each_request(self) -> None:
        credentials = FakeCredentials()
        with Peer(send(OK)) as peer:
            client = connect(peer, credentials)
            for _ in range(3):
                post(client)
            client.close()

        assert [request.headers["authorization"] for request in peer.requests] == ["Bearer token-1"] * 3

    def test_is_made_anew_when_it_expires(self) -> None:
        credentials = FakeCredentials(lifetime=0)
        with Peer(send(OK)) as peer:
            client = connect(peer, credentials)
            for _ in range(2):
                post(client)
            client.close()

        assert [request.headers["authorization"] for request in peer.requests] == ["Bearer token-1", "Bearer token-2"]

    def test_is_made_anew_when_the_server_takes_it_no_longer(self) -> None:
        credentials = FakeCredentials()
        with Peer(send(answer(b"{}", 401)), send(OK)) as peer:
            client = connect(peer, credentials)
            with pytest.raises(BackendDenied):
                post(client)

            assert post(client) == RESULT
            client.close()

        assert [request.headers["authorization"] for request in peer.requests] == ["Bearer token-1", "Bearer token-2"]

    def test_is_never_in_an_error(self) -> None:
        with Peer(send(answer(b"{}", 403))) as peer:
            client = connect(peer, FakeCredentials())
            with pytest.raises(BackendDenied) as raised:
                post(client)
            client.close()

        assert "token-1" not in str(raised.value)

    @pytest.mark.parametrize("outcome", [fail, fail_to_connect])
    def test_that_cannot_be_made_is_an_error_of_the_backend(self, outcome: Callable[[], None]) -> None:
        with Peer(send(OK)) as peer:
            client = connect(peer, FakeCredentials(outcome))
            with pytest.raises(BackendError, match=r"RefreshError: |TransportError: "):
                post(client)
            client.close()

        assert peer.requests == []

    def test_takes_no_longer_than_the_deadline(self) -> None:
        with Peer(send(OK)) as peer:
            client = connect(peer, FakeCredentials(lambda: gevent.sleep(10)))

            assert_ends_in_time(lambda: post(client, seconds=0.3))
            client.close()

    def test_of_a_real_token_server(self) -> None:
        token = json.dumps({"access_token": "real", "expires_in": 3600}).encode()
        with Peer(send(answer(token))) as server, Peer(send(OK)) as peer:
            credentials = google.oauth2.credentials.Credentials(
                None, refresh_token="r", token_uri=f"{server.url}/token", client_id="c", client_secret="s"
            )
            client = connect(peer, credentials)
            for _ in range(2):
                post(client)
            client.close()

        assert [request.line for request in server.requests] == ["POST /token HTTP/1.1"]
        assert {request.headers["authorization"] for request in peer.requests} == {"Bearer real"}

    @pytest.mark.parametrize("status", [400, 401, 403])
    def test_that_the_token_server_refuses_is_an_error_of_the_backend(self, status: int) -> None:
        with Peer(send(answer(b'{"error": "invalid_grant"}', status))) as server, Peer(send(OK)) as peer:
            credentials = google.oauth2.credentials.Credentials(
                None, refresh_token="r", token_uri=f"{server.url}/token", client_id="c", client_secret="s"
            )
            client = connect(peer, credentials)
            with pytest.raises(BackendError, match="invalid_grant"):
                post(client)
            client.close()


class TestCredentials:
    """Credentials are Google's application default credentials, and none for an emulator."""

    def test_of_an_emulator(self) -> None:
        assert credentials_for("127.0.0.1:8080", ["scope"]) is None

    def test_of_a_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = tmp_path / "key.json"
        file.write_text(
            json.dumps({"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"})
        )
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))

        credentials = credentials_for(None, ["scope"])

        assert isinstance(credentials, google.oauth2.credentials.Credentials)
        assert credentials.client_id == "c"

    @pytest.mark.parametrize("content", [None, "", "{}", '{"type": "odd"}'])
    def test_that_are_missing_or_broken_stop_the_start(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
    ) -> None:
        file = tmp_path / "key.json"
        if content is not None:
            file.write_text(content)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))

        with pytest.raises(BackendConfigurationError, match="no credentials for Google Cloud: "):
            credentials_for(None, ["scope"])


def make_certificate(directory: Path, name: str) -> Path:
    """Return a file with a key and a certificate that it signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .issuer_name(subject)
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = directory / f"{name}.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return file


@pytest.fixture
def make_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ssl.SSLContext]:
    """Function that returns a server's TLS with a certificate for a name, which clients trust."""

    def make(name: str) -> ssl.SSLContext:
        file = make_certificate(tmp_path, name)
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    return make


class TestTls:
    """TLS changes nothing, but that a server has to prove its name."""

    @pytest.mark.parametrize("content", [b"MDMP", LARGE], ids=["small", "large"])
    def test_requests_get_through(self, make_tls: Callable[[str], ssl.SSLContext], content: bytes) -> None:
        with Peer(send(OK), tls=make_tls("localhost")) as peer:
            client = connect(peer)

            assert [post(client, content) for _ in range(3)] == [RESULT] * 3

            assert [request.body for request in peer.requests] == [content] * 3
            assert len(peer.connections) == 1
            client.close()

    @pytest.mark.parametrize("content", [b"MDMP", LARGE], ids=["small", "large"])
    @pytest.mark.parametrize("end", ["closed", "cut", "reset"])
    def test_connection_that_was_ended_while_it_was_idle_is_replaced(
        self, make_tls: Callable[[str], ssl.SSLContext], content: bytes, end: str
    ) -> None:
        def answer_and_end(connection: socket.socket) -> bool:
            assert isinstance(connection, ssl.SSLSocket)
            if end == "reset":
                return send_and_reset(OK)(connection)
            connection.sendall(OK)
            if end == "closed":  # says that it has finished, as TLS wants it
                connection.settimeout(0.05)
                with contextlib.suppress(TimeoutError):
                    connection.unwrap()
            return False

        with Peer(answer_and_end, send(OK), tls=make_tls("localhost")) as peer:
            client = connect(peer)
            post(client)
            time.sleep(0.2)

            assert post(client, content) == RESULT

            assert [request.connection for request in peer.requests] == [0, 1]
            client.close()

    def test_half_an_answer_is_an_error(self, make_tls: Callable[[str], ssl.SSLContext]) -> None:
        with Peer(send_and_close(OK[:-3]), tls=make_tls("localhost")) as peer:
            assert_fails(peer, "IncompleteRead")

    def test_server_with_another_name_gets_nothing(self, make_tls: Callable[[str], ssl.SSLContext]) -> None:
        with Peer(send(OK), tls=make_tls("other.example.com")) as peer:
            assert_fails(peer, "CERTIFICATE_VERIFY_FAILED")
            assert peer.requests == []

    def test_server_that_nobody_vouches_for_gets_nothing(
        self, make_tls: Callable[[str], ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tls = make_tls("localhost")
        monkeypatch.delenv("SSL_CERT_FILE")
        with Peer(send(OK), tls=tls) as peer:
            assert_fails(peer, "CERTIFICATE_VERIFY_FAILED")
            assert peer.requests == []

    def test_server_that_speaks_no_tls_is_an_error(self) -> None:
        with Peer(send(OK)) as peer:
            client = GoogleHttp(peer.url.replace("http:", "https:"), None)
            with pytest.raises(BackendError, match=r"SSLError|ConnectionResetError|TimeoutError|no answer"):
                post(client, seconds=1)
            client.close()

    def test_handshake_takes_no_longer_than_the_deadline(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = GoogleHttp(f"https://127.0.0.1:{listener.getsockname()[1]}", None)

            assert_ends_in_time(lambda: post(client, seconds=0.3))
            client.close()
