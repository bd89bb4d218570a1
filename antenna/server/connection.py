# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""One client: its connection, the wait for its next request, and the refusal of requests that are not HTTP.

Gunicorn reads requests from a ``Connection``, and answers on it. Three times are bounded:

* ``RequestWait`` bounds how long a connection may be idle, and then how long the head of a request may take.
* ``antenna.server.framed_body`` sets the deadline of a body on the socket, for each receive.
* ``Connection.send`` bounds how long a client may leave an answer unread.

Tests are in tests/server/test_connection.py, and on running workers in tests/system/hostile/test_slow_clients.py.
"""

import contextlib
import errno
from types import TracebackType
from typing import Any, Self

import gevent
import markus
from gevent.socket import cancel_wait
from gevent.socket import socket as gevent_socket
from gunicorn.http.errors import LimitRequestHeaders, ParseException

from antenna.hub import unread_bytes
from antenna.limits import HEAD_TIMEOUT, SEND_TIMEOUT
from antenna.ops.accounts import count_request
from antenna.refusal import Outcome, Reason
from antenna.server.early_answer import half_close_and_drain
from antenna.server.request_line import UnsupportedTransferEncoding

metrics = markus.get_metrics("breakpad_resource")


class _TimeIsUp(BaseException):
    """Ends the wait for a request. It is not an ``Exception``, so that no code in between catches it."""


def this_greenlet() -> "gevent.Greenlet[..., None]":
    """Return the greenlet that serves the current connection."""
    greenlet = gevent.getcurrent()
    assert isinstance(greenlet, gevent.Greenlet)  # noqa: S101 - for mypy: connections are served in a pool
    return greenlet


class Connection(gevent_socket):
    """A client's connection.

    All its errors are a ``ConnectionResetError``, which gunicorn handles without a log record.
    """

    wait: "RequestWait | None" = None
    is_admin = False
    unreader: Any = None  # gunicorn's buffer of bytes that were received and not parsed yet
    _holds_next = False
    _held = b""
    _read_event: Any  # gevent's

    def recv(self, *args: Any) -> bytes:
        """Receive like ``socket.recv``. While a ``RequestWait`` is on, it is told how many bytes have arrived."""
        try:
            data: bytes = super().recv(*args)
        except OSError as error:
            if isinstance(error, TimeoutError) and self.wait is None:  # a body has a deadline
                raise
            raise ConnectionResetError(errno.ECONNRESET, "connection lost") from error
        if self.wait is not None and data:
            self.wait.received(len(data))
        return data

    def interrupt_wait(self) -> None:
        """Make a ``recv`` that waits in another greenlet fail. If no ``recv`` waits, nothing happens.

        ``shutdown`` is not used, because the system would then reset the connection if the client sends on, and the
        client might lose the answer.
        """
        cancel_wait(self._read_event, OSError(errno.EBADF, "the wait was interrupted"))

    def hold_head(self) -> None:
        """Hold back what gunicorn sends next, the head of an answer, and send it together with the content."""
        self._holds_next = True

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send all of ``data``."""
        if self._holds_next:
            self._holds_next, self._held = False, data
            return
        left = memoryview(self._held + data if self._held else data)
        self._held = b""
        while left:
            left = left[self.send(left, flags) :]

    def send(self, *args: Any, **kwargs: Any) -> int:
        """Send like ``socket.send``, within a time limit. Everything that is sent goes through this method."""
        self.settimeout(SEND_TIMEOUT)
        try:
            sent: int = super().send(*args, **kwargs)
        except OSError as error:
            raise ConnectionResetError(errno.ECONNRESET, "connection lost") from error
        self.settimeout(None)
        return sent


class RequestWait:
    """The time limit for the next request on a connection: first while the connection is idle, then for the head."""

    def __init__(self, waits: set["RequestWait"], connection: Connection, idle_seconds: float) -> None:
        """The first byte must arrive within ``idle_seconds``. ``waits`` are all waits of the worker."""
        self._waits = waits
        self._connection = connection
        # The beginning of this request may have arrived together with the request before.
        self._size = 0 if connection.unreader is None else connection.unreader.buf.getbuffer().nbytes
        self._timer = gevent.Timeout(HEAD_TIMEOUT if self._size else idle_seconds, _TimeIsUp)
        self._greenlet = this_greenlet()

    @property
    def is_idle(self) -> bool:
        """Whether no byte of the request has arrived yet."""
        return not self._size

    def __enter__(self) -> Self:
        """Begin to wait."""
        self._connection.wait = self
        self._waits.add(self)
        self._timer.start()
        return self

    def received(self, size: int) -> None:
        """Count the bytes that arrive. The first ones begin the time of the head."""
        if self.is_idle:
            self._timer.close()
            self._timer = gevent.Timeout.start_new(HEAD_TIMEOUT, _TimeIsUp)
        self._size += size

    def stop_if_idle(self) -> None:
        """End the wait from another greenlet, unless bytes have arrived, read or unread."""
        if self.is_idle and not unread_bytes(self._connection):
            self._greenlet.kill(_TimeIsUp, block=False)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """End the wait. A client that was too slow with its headers is answered."""
        self._timer.close()
        self._connection.wait = None
        self._waits.discard(self)
        if not isinstance(error, _TimeIsUp):
            # This is gunicorn's NoMoreData, or a reset. If the client has sent nothing, there was no request to count.
            if isinstance(error, OSError) and not self.is_idle:
                count_request(Outcome.CLIENT_GONE)
            return False
        if not self.is_idle:
            refuse(self._connection, Reason.TIMEOUT)
        return True


def reason_of(error: ParseException) -> Reason:
    """Return the reason for refusing a request that gunicorn cannot parse."""
    if isinstance(error, LimitRequestHeaders):
        return Reason.TOO_LARGE
    if isinstance(error, UnsupportedTransferEncoding):
        return Reason.UNSUPPORTED_ENCODING
    return Reason.BAD_REQUEST


def refuse(connection: Any, reason: Reason) -> None:
    """Answer a request that the application does not get, and end the connection."""
    count_request(reason.outcome)
    metrics.incr("malformed", tags=[f"reason:{reason.tag}"])
    body = f"Discarded={reason.answer}".encode("ascii")
    head = (
        f"HTTP/1.1 {reason.status} {reason.phrase}\r\nConnection: close\r\n"
        f"Content-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with contextlib.suppress(OSError):
        connection.sendall(head.encode("ascii") + body)
        half_close_and_drain(connection)
