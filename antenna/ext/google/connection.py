# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A connection of urllib3 for a collector: it notices a dead peer, and sends a small request in one packet.

The time of a request is not limited in this module. Its caller does that, with ``antenna.backend.TimeLimit``.
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

# Seconds. If a connection has been idle for longer, the peer may have closed it, so it is not used again.
_MAX_IDLE = 60.0
# Largest answer, in bytes. Answers are JSON objects of some 100 bytes, or error pages.
_MAX_SIZE = 4 * 1024 * 1024
_PIECE_SIZE = 64 * 1024
# Bytes. Pieces of a request that have at most this size together are sent together.
_SMALL = 64 * 1024

# Exceptions of a connection whose peer has closed it, or has vanished, since the last answer. The last two come from
# TLS.
_GONE = (ConnectionError, http.client.BadStatusLine, ssl.SSLEOFError, ssl.SSLZeroReturnError)

# gevent's own ``poll`` would let other greenlets run.
_poll = monkey.get_original("select", "poll")


class KeptConnectionGoneError(http.client.HTTPException):
    """A connection that was answered before is not answered any more. It most likely ended while it was idle."""


class _Answer(http.client.HTTPResponse):
    """An answer of HTTP. It must have a definite end, and is not read without limit."""

    def begin(self) -> None:
        """Read the head. Raises ``HTTPException`` if it does not say where the answer ends, and ``OSError``."""
        super().begin()
        # http.client handles 100 Continue itself. After any other interim answer, the final one would be taken for the
        # answer to the next request. If the length is not valid (RFC 9112 section 6.3), the answer would be read until
        # the connection ends.
        length = self.headers.get("Content-Length", "0")
        if self.status < http.HTTPStatus.OK or not (length.isascii() and length.isdigit()):
            raise http.client.HTTPException(f"broken answer: status {self.status}, Content-Length {length}")

    def read(self, amt: int | None = None) -> bytes:
        """Return the rest of the body. Raises ``HTTPException`` if it is too long or cut short, and ``OSError``."""
        if amt is not None or (self.length is not None and self.length <= _MAX_SIZE):
            return super().read(amt)
        data = b""
        while piece := super().read(_PIECE_SIZE):
            data += piece
            if len(data) > _MAX_SIZE:
                raise http.client.HTTPException("the answer is too long")
        return data


class PlainConnection(HTTPConnection):
    """A connection over plain TCP. Its methods replace those of urllib3's connection that do not suit a collector."""

    response_class = _Answer
    #: The experience with addresses that all connections share.
    addresses: AddressBook

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._peer: Any = None
        self._answered_at: float | None = None
        self._held: bytes | None = None

    def _new_conn(self) -> socket.socket:
        """Connect. urllib3 calls this. ``timeout`` is a number only for requests of google-auth."""
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
        """Whether the connection can be used again: it is not too old, and nothing has arrived, not even its end."""
        if self.sock is None or self._answered_at is None or time.monotonic() - self._answered_at > _MAX_IDLE:
            return False
        poll = _poll()
        poll.register(self.sock.fileno(), select.POLLIN)
        return not poll.poll(0)

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send a request. A small one is sent in one packet, which http.client would not do."""
        self._held = b""
        try:
            super().request(*args, **kwargs)
            self._send_held()
        except TimeoutError as error:
            raise self._gone(error) from error
        finally:
            self._held = None

    def send(self, data: Any) -> None:
        """Send bytes, or hold them back until there are more. Raises ``OSError``."""
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
        """Return the exception to raise for ``error``.

        It tells whether the request may be repeated on another connection.
        """
        if self._answered_at is not None:
            return KeptConnectionGoneError(f"{type(error).__name__}: {error}")
        return error

    def close(self) -> None:
        """Close the connection. If it was never answered, other addresses are tried first next time."""
        if self.sock is not None and self._answered_at is None:
            self.addresses.gave_no_answer(self._peer)
        super().close()


class TlsConnection(PlainConnection, HTTPSConnection):
    """A connection over TLS."""


def _send_all(connection: socket.socket, data: bytes) -> None:
    """Send all of ``data``. gevent's own ``sendall`` would ask the kernel for the size of its buffer each time."""
    left = memoryview(data)
    while left:
        left = left[connection.send(left) :]
