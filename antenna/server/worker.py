# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A gevent worker for gunicorn: it accepts connections, serves each in a greenlet of its own, and stops without a loss.

The stop, after SIGTERM:

1. The master has the kernel ignore new clients from now on (``antenna.server.listener``). It tells the
   workers.
2. A worker waits a moment: handshakes that have begun become connections.
3. It accepts all connections that the kernel has for it, and closes its listening sockets. If it closed them before,
   the kernel would reset those connections.
4. For a second more, an idle connection may bring the request that its client has sent meanwhile. Then idle ones end.
5. Requests in flight are served to their end, for as long as ``GUNICORN_GRACEFUL_TIMEOUT`` says.
6. The work in the background ends, which is mostly the delivery of the spool: ``worker_exit`` in
   ``antenna.server.conf``.

What concerns one client alone is in ``antenna.server.connection``. Tested in tests/system/test_shutdown.py.
"""

import logging
import resource
import time
from functools import partial
from typing import Any

import gevent
from gevent.pool import Pool
from gevent.server import StreamServer
from gunicorn.http.errors import ParseException
from gunicorn.workers.ggevent import GeventWorker

from antenna.config import WebServerConfig, build_config
from antenna.hub import Turn, plugins_read_once, restore_close
from antenna.limits import HEAD_TIMEOUT
from antenna.ops.accounts import count_lost, count_request
from antenna.ops.instance import Row, Worker
from antenna.ops.request_id import end_request
from antenna.refusal import LossCause, Outcome
from antenna.server.connection import Connection, RequestWait, reason_of, refuse, this_greenlet

logger = logging.getLogger(__name__)

# Seconds without accepting when that did not work.
_ACCEPT_PAUSE = 0.5
# Seconds between two looks whether the worker is to stop, and whether it is done.
_POLL = 0.1
# Seconds that handshakes have to become connections after SIGTERM.
_HANDSHAKE = 0.3
# Seconds that idle connections have after SIGTERM to bring a request that their client has sent already.
_IDLE_GRACE = 1.0
# Connections to ADMIN_PORT that one worker serves at a time. They are not among those of the public port.
_ADMIN_CONNECTIONS = 50
# File descriptors that a worker needs besides those of connections.
_OTHER_DESCRIPTORS = 200


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
        #: Requests that are being answered, as gunicorn has parsed them.
        self.in_flight: set[Any] = set()
        # Of all connections together: requests may be so short that none of them ends a turn of its own.
        self._turn = Turn()
        #: The row of this worker in the table that all share: gunicorn's configuration sets it.
        self.row: Row
        self._admin_port = WebServerConfig(build_config()).admin_port

    def patch(self) -> None:
        """Make blocking calls cooperative."""
        with plugins_read_once():
            super().patch()
        restore_close()

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve a connection."""
        connection = Connection(client.family, client.type, client.proto, fileno=client.detach())
        connection.is_admin = listener.getsockname()[1] == self._admin_port
        vars(this_greenlet())["connection"] = connection
        super().handle(listener, connection, addr)

    def timeout_ctx(self) -> RequestWait:
        """Bound the wait for the next request of the current connection; it may be here already ("pipelined")."""
        end_request()
        # Those that wait go first: else a client that sends at once what comes next keeps the worker to itself.
        if not self._turn.pass_on():
            gevent.sleep(0)
        connection: Connection = vars(this_greenlet())["connection"]
        idle_seconds = HEAD_TIMEOUT if connection.unreader is None else self.cfg.keepalive
        return RequestWait(self.waits, connection, idle_seconds)

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
        self.in_flight.add(req)
        try:
            super().handle_request(listener_name, req, sock, addr)
        finally:
            self.in_flight.discard(req)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer a request that is not HTTP with a refusal. The log record does not name the client."""
        if not isinstance(exc, ParseException):
            super().handle_error(req, client, addr, exc)
            return
        reason = reason_of(exc)
        extra = {"event": "refused", "outcome": reason.outcome.tag, "reason": reason.tag, "flood": "refused"}
        self.log.info("refused: %s", type(exc).__name__, extra=extra)
        refuse(client, reason)

    def run(self) -> None:
        """Serve until told to stop; then stop."""
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
        self._stop(servers, [public, admin])

    def _stop(self, servers: "list[Server]", pools: list[Pool]) -> None:
        """Stop as the head of the module says, from step 2 on."""
        gevent.sleep(_HANDSHAKE)
        for server in servers:
            self._accept_waiting(server)
            server.close()
        self._finish(pools)

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
        """Take the connections that the kernel has accepted already."""
        end = time.monotonic() + self.cfg.graceful_timeout
        while time.monotonic() < end:
            if server.full():
                self.notify()
                gevent.sleep(_POLL)
            elif (accepted := server.do_read()) is not None:
                server.do_handle(*accepted)
            else:
                return

    def _count_unfinished(self) -> None:
        """Count the crash reports that end with this worker: their clients were too slow, or we were."""
        for req in self.in_flight:
            if req.method == "POST" and not req.body.ended:
                count_request(Outcome.TIMEOUT)
            elif req.method == "POST":
                count_request(Outcome.LOST)
                count_lost(LossCause.ERROR)

    def _finish(self, pools: list[Pool]) -> None:
        """Wait until all connections have ended: idle ones are told to after a moment."""
        start = time.monotonic()
        while any(len(pool) for pool in pools):
            passed = time.monotonic() - start
            if passed > self.cfg.graceful_timeout:
                self.log.warning("stopping with requests in flight: the grace period is over")
                self._count_unfinished()
                return
            if passed > _IDLE_GRACE:
                for wait in list(self.waits):
                    wait.stop_if_idle()
            self.notify()
            gevent.sleep(_POLL)
