# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""How answers are sent: in one piece, and so that they also reach a client that is still sending."""

import contextlib
import socket
import time
from collections.abc import Iterable, Iterator
from typing import Any

from antenna.hub import Turn
from antenna.limits import DRAIN_IDLE_SECONDS, DRAIN_SECONDS, MAX_DRAIN_SIZE

_READ_SIZE = 64 * 1024


def send_in_one_piece(environ: dict[str, Any], answer: Iterable[bytes]) -> None:
    """Have head and content sent together: two packets cost twice the CPU, the client's too."""
    has_content = isinstance(answer, list) and any(answer) and environ["REQUEST_METHOD"] != "HEAD"
    hold_head = getattr(environ.get("gunicorn.socket"), "hold_head", None)  # only antenna.server.worker's can
    if has_content and hold_head is not None:
        hold_head()


def end_if_unread(environ: dict[str, Any], answer: Iterable[bytes]) -> Iterable[bytes]:
    """Return the answer of a WSGI application; one to a body that has not been read to its end ends the connection."""
    body = environ["wsgi.input"]
    if getattr(
        body, "ended", True
    ):  # only antenna.server.framed_body, which gunicorn's configuration puts there, tells
        return answer
    body.close_connection()
    return _EarlyAnswer(answer, environ["gunicorn.socket"])


class _EarlyAnswer:
    """A WSGI response after which the rest of the request is read and dropped.

    When it has been sent, the WSGI server calls ``close()``.
    """

    def __init__(self, answer: Iterable[bytes], connection: socket.socket) -> None:
        self._answer = answer
        self._connection = connection

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._answer)

    def close(self) -> None:
        if hasattr(self._answer, "close"):
            self._answer.close()
        end_connection(self._connection)


def end_connection(connection: socket.socket) -> None:
    """Half-close ``connection``, and read on until the client closes it too or a bound is reached.

    A connection that is closed on unread bytes is reset, and the client may lose the answer (RFC 9112 section 9.6).
    """
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
