# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""An answer to a client that is still sending."""

import contextlib
import socket
import time
from collections.abc import Iterator

from antenna.body import RequestBody

# What a client may still send after its answer. Under these bounds it has time to read the answer
# before the connection goes; a connection closed on unread bytes is reset, and the answer lost.
_MAX_SECONDS = 30.0
_MAX_IDLE_SECONDS = 2.0
_MAX_SIZE = 256 * 1024 * 1024
_READ_SIZE = 256 * 1024


class EarlyAnswer:
    """A WSGI response that is sent before the body has been read.

    When it has been sent, the WSGI server calls ``close()``: half-close, so that the client sees the end of the
    answer, and read on for a while (RFC 9112 section 9.6).
    """

    def __init__(self, answer: bytes, body: RequestBody) -> None:
        """``answer`` is the whole of the answer's body."""
        self._answer = answer
        self._body = body
        body.end_connection()

    def __iter__(self) -> Iterator[bytes]:
        """Yield the answer."""
        yield self._answer

    def close(self) -> None:
        """Half-close the connection and read what still comes."""
        if self._body.socket is not None:
            end_connection(self._body.socket)


def end_connection(connection: socket.socket) -> None:
    """Half-close ``connection``, and read on until the client closes it too or a bound is reached."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        _drain(connection)


def _drain(connection: socket.socket) -> None:
    end = time.monotonic() + _MAX_SECONDS
    size = 0
    buffer = bytearray(_READ_SIZE)
    while size < _MAX_SIZE and (left := end - time.monotonic()) > 0:
        connection.settimeout(min(left, _MAX_IDLE_SECONDS))
        received = connection.recv_into(buffer)
        if not received:
            return
        size += received
