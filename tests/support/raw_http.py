# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""HTTP over a bare socket.

A test sends exactly the bytes that it wants, also bytes that no client library would send.
"""

import contextlib
import socket
import struct
from dataclasses import dataclass
from http.client import HTTPMessage, parse_headers
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class RawResponse:
    """An answer. The names of ``headers`` are found in any case."""

    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


class RawConnection:
    """A connection to a server. Use it in a ``with`` statement."""

    def __init__(self, host: str, port: int, timeout_seconds: float = 30.0) -> None:
        """Connect. If an operation takes longer than ``timeout_seconds``, it raises TimeoutError."""
        self.socket = socket.create_connection((host, port), timeout_seconds)
        self._reader = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """Send all of ``data``, or as much as the server takes before it closes its side."""
        # A server may refuse a request before it has read all of it. Then its answer can be received.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def receive(self) -> RawResponse:
        """Return the next answer, ``100 Continue`` included.

        Raises EOFError if the server closed the connection without one, AssertionError if the answer
        has no length of its own (RFC 9112, section 6.3).
        """
        status_line = self._reader.readline()
        if not status_line:
            raise EOFError("closed without an answer")
        status = int(status_line.split(b" ", 2)[1])
        headers = parse_headers(self._reader)
        if status < 200 or status in {204, 304}:
            return RawResponse(status, headers, b"")
        assert "Content-Length" in headers, f"no Content-Length: {status_line!r} {headers.items()}"
        length = int(headers["Content-Length"])
        body = self._reader.read(length)
        assert len(body) == length, f"{len(body)} of {length} bytes"
        return RawResponse(status, headers, body)

    def is_closed_by_server(self) -> bool:
        """Wait until the server closes the connection. Returns False if the server sends something instead."""
        return self._reader.read(1) == b""

    def close_with_a_reset(self) -> None:
        """Close the connection as a client that crashes: the server gets a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._reader.close()
        self.socket.close()


def exchange(host: str, port: int, request: bytes, timeout_seconds: float = 30.0) -> RawResponse:
    """Send a request on a connection of its own, and return the final answer. Raises as ``RawConnection`` does."""
    with RawConnection(host, port, timeout_seconds) as connection:
        connection.send(request)
        response = connection.receive()
        while response.status < 200:
            response = connection.receive()
        return response
