# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A client that is still sending gets its answer, and then some time to read it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import gevent
import pytest
from gevent import socket

import antenna.server.early_answer
from antenna.server.connection import Connection as WorkerConnection
from antenna.server.early_answer import answer_early, half_close_and_drain, send_in_one_piece


@dataclass
class Body:
    """The body of a request, and whether the server was told to close the connection after it."""

    ended: bool
    connection: WorkerConnection
    closes: list[bool] = field(default_factory=list)

    def close_connection(self) -> None:
        self.closes.append(True)

    def hold_head(self) -> None:
        self.connection.hold_head()

    def half_close_and_drain(self) -> None:
        half_close_and_drain(self.connection)


class Answer:
    """A WSGI response that has to be closed."""

    closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield b"answer"

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def connection() -> Iterator[tuple[WorkerConnection, socket.socket]]:
    """The server's end and the client's."""
    accepted, client = socket.socketpair()
    server = WorkerConnection(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
    yield server, client
    server.close()
    client.close()


Connection = tuple[WorkerConnection, socket.socket]


def send(client: socket.socket, size: int, *, pause: float = 0.0, number: int = 1) -> None:
    """Send ``size`` bytes ``number`` times, and go away."""
    for _ in range(number):
        client.sendall(bytes(size))
        gevent.sleep(pause)
    client.close()


class TestSendInOnePiece:
    @pytest.mark.parametrize(
        ("method", "answer", "packets"),
        [
            ("POST", [b"content"], [b"head content"]),
            ("POST", [b"con", b"tent"], [b"head con", b"tent"]),
            ("HEAD", [b"content"], [b"head "]),
            ("GET", [], [b"head "]),
            ("GET", [b""], [b"head "]),
        ],
    )
    def test_head_goes_with_content_if_there_is_any(
        self, method: str, answer: list[bytes], packets: list[bytes]
    ) -> None:
        # This kind of socket keeps packets apart, so each receive returns what was sent at one time.
        server, client = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with client, WorkerConnection(server.family, server.type, fileno=server.detach()) as connection:
            send_in_one_piece(Body(ended=True, connection=connection), method, answer)
            # Gunicorn sends the head by itself, too.
            connection.sendall(b"head ")
            for piece in answer:
                if piece and method != "HEAD":
                    connection.sendall(piece)
            connection.shutdown(socket.SHUT_WR)

            assert list(iter(lambda: client.recv(100), b"")) == packets


class TestAnswerEarly:
    def test_body_has_been_read(self, connection: Connection) -> None:
        answer = [b"answer"]

        assert answer_early(Body(ended=True, connection=connection[0]), answer) is answer

    def test_body_has_not_been_read(self, connection: Connection) -> None:
        server, client = connection
        body, answer = Body(ended=False, connection=server), Answer()
        sending = gevent.spawn(send, client, 3_000_000)
        response: Any = answer_early(body, answer)

        assert body.closes == [True], "in time for the header that says so"
        assert list(response) == [b"answer"]
        response.close()
        assert answer.closed
        sending.get(timeout=1)


class TestHalfCloseAndDrain:
    def test_client_sees_the_end_and_can_send_on(self, connection: Connection) -> None:
        server, client = connection
        ending = gevent.spawn(half_close_and_drain, server)

        assert client.recv(1) == b""
        send(client, 10_000_000)
        ending.get(timeout=1)

    def test_client_that_is_gone(self, connection: Connection) -> None:
        server, client = connection
        client.close()
        half_close_and_drain(server)

    @pytest.mark.parametrize(
        ("bound", "value"), [("DRAIN_SECONDS", 0.2), ("DRAIN_IDLE_SECONDS", 0.05), ("MAX_DRAIN_SIZE", 5000)]
    )
    def test_is_bounded(
        self, connection: Connection, monkeypatch: pytest.MonkeyPatch, bound: str, value: float
    ) -> None:
        monkeypatch.setattr(antenna.server.early_answer, bound, value)
        server, client = connection
        pause = 0.1 if bound == "DRAIN_IDLE_SECONDS" else 0.01
        sending = gevent.spawn(send, client, 1000, pause=pause, number=1000)
        begun = time.monotonic()
        half_close_and_drain(server)
        sending.kill()

        assert time.monotonic() - begun < 2
