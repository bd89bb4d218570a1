# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A connection of urllib3, made to fit a collector: it notices that it is dead, and sends a small request at once.

Nothing here limits the time of a request: ``antenna.backend.TimeLimit`` does, around all of it.
"""

import errno
import http.client
import select
import socket
import ssl
import time
from typing import Any

import gevent
from gevent import monkey
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError

from antenna.ext.google.addresses import AddressBook

# A connection that has been idle for longer, in seconds, may have been closed at the other end.
_MAX_IDLE = 60.0
# Answers are JSON objects of some 100 bytes, or error pages.
_MAX_SIZE = 4 * 1024 * 1024
_PIECE_SIZE = 64 * 1024
# Pieces of a request that are together no larger are sent together.
_SMALL = 64 * 1024

# What a connection raises whose peer has closed it, or has vanished, since the last answer; the last two over TLS.
_GONE = (ConnectionError, http.client.BadStatusLine, ssl.SSLEOFError, ssl.SSLZeroReturnError)

# gevent's would turn the loop.
_poll = monkey.get_original("select", "poll")


class KeptConnectionGoneError(http.client.HTTPException):
    """A connection that has served before gives no answer any more: it ended while it was idle."""


class _Answer(http.client.HTTPResponse):
    """An answer that has an end, and is not read for ever."""

    def begin(self) -> None:
        """Read the head. Raises ``HTTPException`` if it leaves open where the answer ends, ``OSError``."""
        super().begin()
        # 100 Continue is not seen here. After another interim answer, the final one would be taken for that to the next
        # request. A length that is none (RFC 9112 section 6.3) would be read until the connection ends.
        length = self.headers.get("Content-Length", "0")
        if self.status < http.HTTPStatus.OK or not (length.isascii() and length.isdigit()):
            raise http.client.HTTPException(f"broken answer: status {self.status}, Content-Length {length}")

    def read(self, amt: int | None = None) -> bytes:
        """Return the rest of the body. Raises ``HTTPException`` if it is too long, or cut short; ``OSError``."""
        if amt is not None or (self.length is not None and self.length <= _MAX_SIZE):
            return super().read(amt)
        data = b""
        while piece := super().read(_PIECE_SIZE):
            data += piece
            if len(data) > _MAX_SIZE:
                raise http.client.HTTPException("the answer is too long")
        return data


class PlainConnection(HTTPConnection):
    """What our connections do differently from those of urllib3."""

    response_class = _Answer
    #: Which addresses have served, for all connections alike.
    addresses: AddressBook

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._peer: Any = None
        self._answered_at: float | None = None
        self._held: bytes | None = None

    def _new_conn(self) -> socket.socket:
        """Connect, as urllib3 asks for it. ``timeout`` is a number for requests of google-auth only."""
        limit = self.timeout if isinstance(self.timeout, int | float) else None
        try:
            with gevent.Timeout(limit, TimeoutError(errno.ETIMEDOUT, "no connection in time")):
                connection = self.addresses.connect(self._dns_host, self.port, self.socket_options or ())
        except OSError as error:
            raise NewConnectionError(self, str(error)) from error
        self._peer = connection.getpeername()
        self._answered_at = None
        return connection

    @property
    def is_connected(self) -> bool:
        """Whether the next request may be sent: nothing has arrived, not even an end, and it is not too old."""
        if self.sock is None or self._answered_at is None or time.monotonic() - self._answered_at > _MAX_IDLE:
            return False
        poll = _poll()
        poll.register(self.sock.fileno(), select.POLLIN)
        return not poll.poll(0)

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send a request: a small one in one packet, as http.client would not."""
        self._held = b""
        try:
            super().request(*args, **kwargs)
            self._send_held()
        except TimeoutError as error:
            raise self._gone(error) from error
        finally:
            self._held = None

    def send(self, data: Any) -> None:
        """Send bytes, or hold them until there are more. Raises ``OSError``."""
        if self.sock is None:
            self.connect()
        if self._held is None:
            _send_all(self.sock, data)
        elif len(self._held) + len(data) <= _SMALL:
            self._held += data
        else:
            self._send_held()
            self._held = data

    def _send_held(self) -> None:
        if self._held:
            _send_all(self.sock, self._held)
            self._held = b""

    def getresponse(self) -> Any:
        """Return the answer. Raises ``KeptConnectionGoneError``, other ``HTTPException``, ``OSError``."""
        try:
            response = super().getresponse()
        except (*_GONE, TimeoutError) as error:
            raise self._gone(error) from error
        self._answered_at = time.monotonic()
        self.addresses.answered(self._peer)
        return response

    def _gone(self, error: Exception) -> Exception:
        """Return what to raise for ``error``: whether the request may be repeated on another connection."""
        if self._answered_at is not None:
            return KeptConnectionGoneError(f"{type(error).__name__}: {error}")
        return error

    def close(self) -> None:
        """Close the connection. If it never had an answer, other addresses come first next time."""
        if self.sock is not None and self._answered_at is None:
            self.addresses.gave_no_answer(self._peer)
        super().close()


class TlsConnection(PlainConnection, HTTPSConnection):
    """The same over TLS."""


def _send_all(connection: socket.socket, data: bytes) -> None:
    """Send all of ``data``. gevent's own ``sendall`` asks the kernel for the size of its buffer each time."""
    left = memoryview(data)
    while left:
        left = left[connection.send(left) :]
