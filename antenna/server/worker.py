# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A gevent worker for gunicorn that bounds how long a connection may wait, and loses none when it stops."""

import contextlib
import errno
import logging
import resource
import time
from functools import partial
from types import TracebackType
from typing import Any, Self

import gevent
import markus
from gevent.pool import Pool
from gevent.server import StreamServer
from gevent.socket import cancel_wait
from gevent.socket import socket as gevent_socket
from gunicorn.http.errors import LimitRequestHeaders, ParseException
from gunicorn.workers.ggevent import GeventWorker

from antenna.config import WebServerConfig, build_config
from antenna.hub import Turn, restore_close, unread_bytes
from antenna.limits import HEAD_TIMEOUT, SEND_TIMEOUT
from antenna.ops.accounts import count_request
from antenna.ops.instance import Row, Worker
from antenna.refusal import Outcome, Reason
from antenna.server.early_answer import half_close_and_drain
from antenna.server.request_line import UnsupportedTransferEncoding

logger = logging.getLogger(__name__)
metrics = markus.get_metrics("breakpad_resource")

# Seconds without accepting when that did not work.
_ACCEPT_PAUSE = 0.5
# How often a worker looks whether it is to stop, and whether it is done.
_POLL = 0.1
# After SIGTERM, handshakes may take so long, in seconds, to become connections.
_HANDSHAKE = 0.3
# Connections to ADMIN_PORT that one worker serves at a time. They are not among those of the public port.
_ADMIN_CONNECTIONS = 50
# File descriptors that a worker needs besides those of connections.
_OTHER_DESCRIPTORS = 200
# After SIGTERM, a client may have sent a request on an idle connection that has not arrived yet.
_IDLE_GRACE = 1.0


class _TimeIsUp(BaseException):
    """Ends the wait for a request. Not an ``Exception``, so that nothing on the way takes it for its own."""


def _this_greenlet() -> "gevent.Greenlet[..., None]":
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

    def __init__(self, worker: "AntennaWorker", connection: Connection, idle_seconds: float) -> None:
        """``idle_seconds`` may pass until the first byte comes."""
        self._worker = worker
        self._connection = connection
        # What came together with the request before, and is not all of this one, has come.
        self._size = 0 if connection.unreader is None else connection.unreader.buf.getbuffer().nbytes
        self._timer = gevent.Timeout(HEAD_TIMEOUT if self._size else idle_seconds, _TimeIsUp)
        self._greenlet: gevent.Greenlet[..., None] = _this_greenlet()

    @property
    def is_idle(self) -> bool:
        """Whether nothing of the request has come yet."""
        return not self._size

    def __enter__(self) -> Self:
        """Begin to wait."""
        self._connection.wait = self
        self._worker.waits.add(self)
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
        self._worker.waits.discard(self)
        if not isinstance(error, _TimeIsUp):
            # gunicorn's NoMoreData, or a reset. A client that has sent nothing of a request ends none.
            if isinstance(error, OSError) and not self.is_idle:
                count_request(Outcome.CLIENT_GONE)
            return False
        if not self.is_idle:
            refuse(self._connection, Reason.TIMEOUT)
        return True


class _ListenerName:
    """What gunicorn asks a listener for while it serves a connection: also when that listener is closed."""

    def __init__(self, name: Any) -> None:
        self._name = name

    def getsockname(self) -> Any:
        return self._name


class Server(StreamServer):
    """Accepts connections; where that fails, for lack of descriptors for instance, it tries again a little later."""

    def do_read(self) -> Any:
        """Accept a connection; returns None if there is none."""
        try:
            return super().do_read()
        except OSError as error:
            logger.warning("cannot accept a connection: %s", error.strerror)
            self.stop_accepting()
            gevent.spawn_later(_ACCEPT_PAUSE, self._accept_again)
            return None

    def _accept_again(self) -> None:
        if self.started:
            self.start_accepting()


class AntennaWorker(GeventWorker):  # type: ignore[misc] # gunicorn comes without types
    """Serves each connection in a greenlet of its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As gunicorn calls it."""
        super().__init__(*args, **kwargs)
        self.waits: set[RequestWait] = set()
        # Of all connections together: requests may be so short that none of them ends a turn of its own.
        self._turn = Turn()
        #: The row of this worker in the table that all share: gunicorn's configuration sets it.
        self.row: Row
        self._admin_port = WebServerConfig(build_config()).admin_port

    def patch(self) -> None:
        """Make blocking calls cooperative."""
        super().patch()
        restore_close()

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve a connection."""
        connection = Connection(client.family, client.type, client.proto, fileno=client.detach())
        connection.is_admin = listener.getsockname()[1] == self._admin_port
        vars(_this_greenlet())["connection"] = connection
        super().handle(listener, connection, addr)

    def timeout_ctx(self) -> RequestWait:
        """Bound the wait for the next request of the current connection; it may be here already ("pipelined")."""
        # Those that wait go first: else a client that sends at once what comes next keeps the worker to itself.
        if not self._turn.pass_on():
            gevent.sleep(0)
        connection: Connection = vars(_this_greenlet())["connection"]
        idle_seconds = HEAD_TIMEOUT if connection.unreader is None else self.cfg.keepalive
        return RequestWait(self, connection, idle_seconds)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        """Serve a request whose head is there. The application counts it, unless it never gets to see it."""
        sock.unreader = req.unreader
        if sock.is_admin:
            self.nr -= 1  # health checks are no reason to replace a worker
        if req._expected_100_continue:  # noqa: SLF001 - gunicorn has no other name for it
            # As gunicorn does itself, a little later: there, nobody would know of a client that is gone by now.
            req._expected_100_continue = False  # noqa: SLF001
            try:
                sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            except OSError:
                count_request(Outcome.CLIENT_GONE)
                raise
        super().handle_request(listener_name, req, sock, addr)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer a request that is not HTTP like any other refusal, without a word on who sent it."""
        if not isinstance(exc, ParseException):
            super().handle_error(req, client, addr, exc)
            return
        reason = _reason_of(exc)
        extra = {"event": "refused", "outcome": reason.outcome.tag, "reason": reason.tag, "flood": "refused"}
        self.log.info("refused: %s", type(exc).__name__, extra=extra)
        refuse(client, reason)

    def run(self) -> None:
        """Serve until told to stop; then finish what is in flight."""
        public, admin = Pool(self._most_connections()), Pool(_ADMIN_CONNECTIONS)
        servers = [
            self._start_server(listener, admin if listener.getsockname()[1] == self._admin_port else public)
            for listener in self.sockets
        ]
        self.row[Worker.MOST_CONNECTIONS] = self._most_connections()
        while self.alive:
            self.notify()
            self.row[Worker.CONNECTIONS] = len(public)
            gevent.sleep(_POLL)
        # Time for handshakes that have begun.
        gevent.sleep(_HANDSHAKE)
        for server in servers:
            self._accept_waiting(server)
            server.close()
        self._finish([public, admin])

    def _most_connections(self) -> int:
        """As many as the option says, unless the system gives fewer descriptors: a health check needs one, too."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        most: int = self.worker_connections
        return most if soft == resource.RLIM_INFINITY else max(1, min(most, soft - _OTHER_DESCRIPTORS))

    def _start_server(self, listener: Any, pool: Pool) -> "Server":
        listener.setblocking(1)
        server = Server(listener, handle=partial(self.handle, _ListenerName(listener.getsockname())), spawn=pool)
        # So few at a time that a burst spreads over the workers. The loop of a busy worker looks for connections only
        # once in many requests: one at a time would leave the last of a burst waiting for seconds.
        server.max_accept = 4
        server.start()
        return server

    def _accept_waiting(self, server: "Server") -> None:
        """Take the connections that the kernel has accepted already: closing the listener would reset them."""
        end = time.monotonic() + self.cfg.graceful_timeout
        while time.monotonic() < end:
            if server.full():
                self.notify()
                gevent.sleep(_POLL)
            elif (accepted := server.do_read()) is not None:
                server.do_handle(*accepted)
            else:
                return

    def _finish(self, pools: list[Pool]) -> None:
        start = time.monotonic()
        while any(len(pool) for pool in pools):
            passed = time.monotonic() - start
            if passed > self.cfg.graceful_timeout:
                self.log.warning("stopping with requests in flight: the grace period is over")
                return
            if passed > _IDLE_GRACE:
                for wait in list(self.waits):
                    wait.stop_if_idle()
            self.notify()
            gevent.sleep(_POLL)


def _reason_of(error: ParseException) -> Reason:
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
