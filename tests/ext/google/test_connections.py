# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Connections are kept as long as they work, end in time, and leave nothing open."""

import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from socket import IPPROTO_TCP, SO_KEEPALIVE, SOL_SOCKET, TCP_KEEPIDLE, TCP_USER_TIMEOUT
from typing import Any

import gevent
import pytest

from antenna.backend import BackendError, NoAnswer
from antenna.ext.google.addresses import AddressBook
from antenna.ext.google.http import GoogleHttp
from tests.support.google_http import LARGE, OK, RESULT, assert_ends_in_time, assert_fails, connect, post
from tests.support.peer import (
    Answer,
    Peer,
    answer,
    drip,
    fall_silent_after,
    hang,
    hang_unread,
    send,
    send_and_close,
    send_and_reset,
    send_in_turn,
    send_later,
    send_together,
)


class TestConnection:
    """Connections are kept. If one was closed meanwhile, a new one is opened, without an error."""

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
            peer.wait_until_ended(0)

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
        monkeypatch.setattr("antenna.ext.google.connection._MAX_IDLE", 0.1)
        with Peer(send(OK)) as peer:
            client = connect(peer)
            gevent.joinall([gevent.spawn(post, client) for _ in range(5)])
            gevent.sleep(0.2)

            assert post(client) == RESULT

            assert peer.requests[-1].connection == len(peer.connections) - 1
            client.close()

    def test_whose_peer_vanished_while_it_was_idle_is_replaced(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("antenna.ext.google.pools._SOCKET_OPTIONS", [(IPPROTO_TCP, TCP_USER_TIMEOUT, 300)])
        with Peer(fall_silent_after(OK), send(OK)) as peer:
            client = connect(peer)
            post(client)
            time.sleep(0.1)

            assert post(client, b"the same again") == RESULT

            assert [request.connection for request in peer.requests] == [0, 1]
            assert peer.requests[1].body == b"the same again"
            client.close()

    def test_that_is_new_and_whose_peer_vanishes_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("antenna.ext.google.pools._SOCKET_OPTIONS", [(IPPROTO_TCP, TCP_USER_TIMEOUT, 300)])
        with Peer(fall_silent_after(b"HTTP/1.1 200"), body_limit=10) as peer:
            client = connect(peer)
            with pytest.raises(NoAnswer, match="timed out"):
                post(client, LARGE * 4)

            assert len(peer.connections) == 1
            client.close()

    def test_notices_by_itself_that_its_peer_has_vanished(self, monkeypatch: pytest.MonkeyPatch) -> None:
        opened = []
        connect_to = AddressBook.connect

        def connect_and_remember(*args: Any) -> Any:
            opened.append(connect_to(*args))
            return opened[-1]

        monkeypatch.setattr(AddressBook, "connect", connect_and_remember)
        with Peer(send(OK)) as peer:
            client = connect(peer)
            post(client)
            (own,) = opened
            assert own.getsockopt(SOL_SOCKET, SO_KEEPALIVE)
            assert own.getsockopt(IPPROTO_TCP, TCP_KEEPIDLE) < 60
            assert own.getsockopt(IPPROTO_TCP, TCP_USER_TIMEOUT) == 2500
            client.close()

    def test_that_is_in_use_has_all_the_time(self) -> None:
        with Peer(send(OK), send_later(0.6, OK)) as peer:
            client = GoogleHttp(peer.url, None)
            post(client)

            assert post(client, seconds=1.15) == RESULT
            assert [request.connection for request in peer.requests] == [0, 0]
            client.close()

    def test_that_hangs_gets_its_request_once(self) -> None:
        with Peer(send(OK), hang, send(OK)) as peer:
            client = connect(peer)
            post(client)

            with pytest.raises(NoAnswer, match="no answer within"):
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
        with Peer(send_together(20, OK)) as peer:
            client = connect(peer)

            requests = [gevent.spawn(post, client, bytes([number])) for number in range(20)]

            assert [request.get() for request in requests] == [RESULT] * 20
            assert sorted(request.body for request in peer.requests) == [bytes([number]) for number in range(20)]
            assert len(peer.connections) == 20
            client.close()

    def test_is_kept_if_there_are_not_too_many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("antenna.ext.google.pools._MAX_KEPT", 3)
        with Peer(send_together(10, OK)) as peer:
            client = connect(peer)
            for _ in range(2):
                gevent.joinall([gevent.spawn(post, client) for _ in range(10)], raise_error=True)

            assert len(peer.connections) == 10 + 7
            client.close()


class TestTime:
    """A request ends at its deadline, wherever the server hangs."""

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

            assert_ends_in_time(lambda seconds: post(client, seconds=seconds))
            client.close()

    def test_of_a_server_that_does_not_read(self) -> None:
        with Peer(hang_unread, body_limit=10) as peer:
            client = connect(peer)

            assert_ends_in_time(lambda seconds: post(client, LARGE * 4, seconds=seconds))
            client.close()

    def test_of_a_server_that_takes_no_connections(self) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
            port = listener.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port)):
                client = GoogleHttp(f"http://127.0.0.1:{port}", None)

                assert_ends_in_time(lambda seconds: post(client, seconds=seconds))
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
            hanging = gevent.spawn(post, client, seconds=10)
            gevent.sleep(0.1)

            assert post(client) == RESULT

            assert not hanging.ready()
            hanging.kill()
            client.close()


class TestTls:
    """With TLS everything is the same, and the server has to prove its name."""

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
            peer.wait_until_ended(0)

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
                post(client, seconds=0.3)
            client.close()

    def test_handshake_takes_no_longer_than_the_deadline(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = GoogleHttp(f"https://127.0.0.1:{listener.getsockname()[1]}", None)

            assert_ends_in_time(lambda seconds: post(client, seconds=seconds))
            client.close()
