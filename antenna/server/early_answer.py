# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Sends answers in one piece, and early answers so that a client which is still sending can read them.

An answer is early if it is sent before all of the body has arrived. If the server then closed the connection with
bytes unread, the kernel would reset it, and the client might lose the answer (RFC 9112 section 9.6). So the server
half-closes the connection, and reads on for a while.
"""

import contextlib
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from antenna.hub import Turn
from antenna.limits import DRAIN_IDLE_SECONDS, DRAIN_SECONDS, MAX_DRAIN_SIZE

_READ_SIZE = 64 * 1024


class Body(Protocol):
    """The body of the request that is answered, with its connection. ``antenna.server.framed_body`` implements it."""

    @property
    def ended(self) -> bool:
        """Whether the body has been read to its end."""

    @property
    def close_connection(self) -> Callable[[], None]:
        """A function that makes the answer say that the connection will be closed."""

    def hold_head(self) -> None:
        """Send the head of the answer together with its content."""

    def half_close_and_drain(self) -> None:
        """End the connection in such a way that the client can read the answer although it is still sending."""


def send_in_one_piece(body: Body, method: str, answer: Iterable[bytes]) -> None:
    """Have the head and the content of an answer sent together: two packets cost twice the CPU, also the client's."""
    if isinstance(answer, list) and any(answer) and method != "HEAD":
        body.hold_head()


def answer_early(body: Body, answer: Iterable[bytes]) -> Iterable[bytes]:
    """Return the answer of a WSGI application. If the body was not read to its end, the answer ends the connection."""
    if body.ended:
        return answer
    body.close_connection()
    return _EarlyAnswer(answer, body)


class _EarlyAnswer:
    """A WSGI response. When it has been sent, the rest of the request is read and dropped.

    The WSGI server calls ``close()`` when it has sent the response.
    """

    def __init__(self, answer: Iterable[bytes], body: Body) -> None:
        self._answer = answer
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._answer)

    def close(self) -> None:
        if hasattr(self._answer, "close"):
            self._answer.close()
        self._body.half_close_and_drain()


def half_close_and_drain(connection: socket.socket) -> None:
    """Half-close ``connection``, and read on until the client closes it, too, or a limit is reached."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        _drain(connection)


def _drain(connection: socket.socket) -> None:
    end = time.monotonic() + DRAIN_SECONDS
    size = 0
    turn = Turn()
    buffer = bytearray(_READ_SIZE)
    while size < MAX_DRAIN_SIZE and (left := end - time.monotonic()) > 0:
        connection.settimeout(min(left, DRAIN_IDLE_SECONDS))
        received = connection.recv_into(buffer)
        if not received:
            return
        size += received
        turn.pass_on()
