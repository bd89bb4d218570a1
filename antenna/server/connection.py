# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""One client: its connection, the wait for its next request, and refusals of requests that are no HTTP.

Gunicorn reads requests from a ``Connection``, and answers on it. Three times are bounded here:

* ``RequestWait``: a connection may be idle for so long, and then the head of a request has its own time.
* A body has a deadline, which ``antenna.server.framed_body`` sets on the socket for each receive.
* ``Connection.send``: a client may leave an answer unread for so long.

Tested in tests/server/test_connection.py, and on running workers in tests/system/hostile/test_slow_clients.py.
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
    """Ends the wait for a request. Not an ``Exception``, so that nothing on the way takes it for its own."""


def this_greenlet() -> "gevent.Greenlet[..., None]":
    """Return the greenlet that serves the current connection."""
    greenlet = gevent.getcurrent()
    assert isinstance(greenlet, gevent.Greenlet)  # noqa: S101 - for mypy: connections are served in a pool
    return greenlet


class Connection(gevent_socket):
    """A client's connection. Whatever ends it is a ``ConnectionResetError``, which gunicorn takes without a word."""

    wait: "RequestWait | None" = None
    is_admin = False
    unreader: Any = None  # gunicorn's, of what has been received and not been parsed
    _holds_next = False
    _held = b""
    _read_event: Any  # gevent's

    def recv(self, *args: Any) -> bytes:
        """Receive, as ``socket.recv``."""
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
        """Have a ``recv`` that waits in another greenlet fail; nothing happens if none does.

        ``shutdown`` would do as well, but then the system resets the connection when the client sends on, and the
        client may lose the answer.
        """
        cancel_wait(self._read_event, OSError(errno.EBADF, "the wait was interrupted"))

    def hold_head(self) -> None:
        """Send what gunicorn sends next, the head of an answer, together with what comes then, its content."""
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
        """Send, as ``socket.send``, for a limited time. All that is sent goes through here."""
        self.settimeout(SEND_TIMEOUT)
        try:
            sent: int = super().send(*args, **kwargs)
        except OSError as error:
            raise ConnectionResetError(errno.ECONNRESET, "connection lost") from error
        self.settimeout(None)
        return sent


class RequestWait:
    """The wait for a request on a connection: idle first, then for the rest of its head."""

    def __init__(self, waits: set["RequestWait"], connection: Connection, idle_seconds: float) -> None:
        """``idle_seconds`` may pass until the first byte comes. ``waits`` are all of the worker."""
        self._waits = waits
        self._connection = connection
        # What came together with the request before, and is not all of this one, has come.
        self._size = 0 if connection.unreader is None else connection.unreader.buf.getbuffer().nbytes
        self._timer = gevent.Timeout(HEAD_TIMEOUT if self._size else idle_seconds, _TimeIsUp)
        self._greenlet = this_greenlet()

    @property
    def is_idle(self) -> bool:
        """Whether nothing of the request has come yet."""
        return not self._size

    def __enter__(self) -> Self:
        """Begin to wait."""
        self._connection.wait = self
        self._waits.add(self)
        self._timer.start()
        return self

    def received(self, size: int) -> None:
        """Count what comes; the head has its own time."""
        if self.is_idle:
            self._timer.close()
            self._timer = gevent.Timeout.start_new(HEAD_TIMEOUT, _TimeIsUp)
        self._size += size

    def stop_if_idle(self) -> None:
        """End the wait from another greenlet, unless something has come, be it unread."""
        if self.is_idle and not unread_bytes(self._connection):
            self._greenlet.kill(_TimeIsUp, block=False)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """End the wait; a client that was too slow with its headers gets an answer."""
        self._timer.close()
        self._connection.wait = None
        self._waits.discard(self)
        if not isinstance(error, _TimeIsUp):
            # gunicorn's NoMoreData, or a reset. A client that has sent nothing of a request ends none.
            if isinstance(error, OSError) and not self.is_idle:
                count_request(Outcome.CLIENT_GONE)
            return False
        if not self.is_idle:
            refuse(self._connection, Reason.TIMEOUT)
        return True


def reason_of(error: ParseException) -> Reason:
    """Return why a request is refused that gunicorn cannot parse."""
    if isinstance(error, LimitRequestHeaders):
        return Reason.TOO_LARGE
    if isinstance(error, UnsupportedTransferEncoding):
        return Reason.UNSUPPORTED_ENCODING
    return Reason.BAD_REQUEST


def refuse(connection: Any, reason: Reason) -> None:
    """Answer outside of the application, and end the connection."""
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
