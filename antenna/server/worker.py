# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A gevent worker for gunicorn: it accepts connections, serves each in a greenlet, and stops without losing a request.

The stop, after SIGTERM, has these steps:

1. The master makes the kernel ignore new clients (``antenna.server.listener``), and tells the workers to stop.
2. A worker waits a moment in which handshakes that have begun become connections.
3. It accepts all connections that the kernel has for it, and closes its listening sockets. If it closed the sockets
   first, the kernel would reset these connections.
4. For another second, an idle connection may bring a request that its client has sent meanwhile. Then idle connections
   are closed.
5. Requests in flight are served to their end, but no longer than ``GUNICORN_GRACEFUL_TIMEOUT``.
6. The work in the background ends, which is mostly the delivery of the spool: ``worker_exit`` in
   ``antenna.server.conf``.

``antenna.server.connection`` deals with one client. Tests are in tests/system/test_shutdown.py.
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

# Seconds after a failed accept in which no connection is accepted. An attempt at once would most likely fail, too.
_ACCEPT_PAUSE = 0.5
# Seconds between two checks whether the worker is told to stop, and whether its connections have ended.
_POLL = 0.1
# Seconds after SIGTERM in which handshakes that have begun become connections.
_HANDSHAKE = 0.3
# Seconds after SIGTERM in which an idle connection may bring a request that its client has already sent.
_IDLE_GRACE = 1.0
# Connections to ADMIN_PORT that one worker serves at a time. They are not counted among those of PORT. Probes and
# monitoring need a few. Further connections wait in the kernel, so that a tool that opens too many does no harm.
_ADMIN_CONNECTIONS = 50
# File descriptors that a worker needs for other things than connections: files, connections to backends, its listeners
# and ADMIN_PORT. If the system allows fewer than these and the connections, the worker serves fewer connections.
_OTHER_DESCRIPTORS = 200


class _ListenerName:
    """Stands for a listener while a connection is served. Gunicorn asks for its name, also when it is closed."""

    def __init__(self, name: Any) -> None:
        self._name = name

    def getsockname(self) -> Any:
        return self._name


class Server(StreamServer):
    """Accepts connections. If that fails, for example because there are no descriptors, it pauses and tries again."""

    def do_read(self) -> Any:
        """Accept a connection. Returns None if no connection waits."""
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
    """Gunicorn's gevent worker, with a stop that loses no request and with limits on the wait for requests."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Gunicorn makes the worker."""
        super().__init__(*args, **kwargs)
        self.waits: set[RequestWait] = set()
        #: Gunicorn's requests that are being answered now.
        self.in_flight: set[Any] = set()
        # The turn of all connections together. A request may be so short that it never ends a turn of its own.
        self._turn = Turn()
        #: The row of this worker in the table that all workers share. Gunicorn's configuration sets it.
        self.row: Row
        self._admin_port = WebServerConfig(build_config()).admin_port

    def patch(self) -> None:
        """Let gevent patch the standard library, so that blocking calls let other greenlets run."""
        with plugins_read_once():
            super().patch()
        restore_close()

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve one connection to its end."""
        connection = Connection(client.family, client.type, client.proto, fileno=client.detach())
        connection.is_admin = listener.getsockname()[1] == self._admin_port
        vars(this_greenlet())["connection"] = connection
        super().handle(listener, connection, addr)

    def timeout_ctx(self) -> RequestWait:
        """Return the time limit for the next request of the current connection. The request may be there already."""
        end_request()
        # Other connections go first. Otherwise a client that sends one request after the other would keep the worker to
        # itself.
        if not self._turn.pass_on():
            gevent.sleep(0)
        connection: Connection = vars(this_greenlet())["connection"]
        idle_seconds = HEAD_TIMEOUT if connection.unreader is None else self.cfg.keepalive
        return RequestWait(self.waits, connection, idle_seconds)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        """Serve a request whose head has been read.

        The application counts its outcome, unless it never gets the request.
        """
        sock.unreader = req.unreader
        if sock.is_admin:
            self.nr -= 1  # GUNICORN_MAX_REQUESTS does not count requests to ADMIN_PORT
        if req._expected_100_continue:  # noqa: SLF001 - gunicorn has no other name for it
            # Gunicorn would send this itself, a little later. But there, a client that has gone by now would not be
            # counted.
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
        """Serve until gunicorn tells the worker to stop. Then stop."""
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
        """Stop as the head of this module says, from step 2 on."""
        gevent.sleep(_HANDSHAKE)
        for server in servers:
            self._accept_waiting(server)
            server.close()
        self._finish(pools)

    def _most_connections(self) -> int:
        """Return the number of connections that the option allows, or fewer if the system allows fewer descriptors."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        most: int = self.worker_connections
        return most if soft == resource.RLIM_INFINITY else max(1, min(most, soft - _OTHER_DESCRIPTORS))

    def _start_server(self, listener: Any, pool: Pool) -> "Server":
        listener.setblocking(1)
        server = Server(listener, handle=partial(self.handle, _ListenerName(listener.getsockname())), spawn=pool)
        # Connections that are accepted at a time. With more, one worker would take a whole burst that should spread
        # over all workers. With one, the last of a burst would wait for seconds, because the loop of a busy worker
        # looks for connections only once in many requests.
        server.max_accept = 4
        server.start()
        return server

    def _accept_waiting(self, server: "Server") -> None:
        """Accept the connections that the kernel already has."""
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
        """Count the crash reports that end unanswered with this worker. Their clients or the worker were too slow."""
        for req in self.in_flight:
            if req.method == "POST" and not req.body.ended:
                count_request(Outcome.TIMEOUT)
            elif req.method == "POST":
                count_request(Outcome.LOST)
                count_lost(LossCause.ERROR)

    def _finish(self, pools: list[Pool]) -> None:
        """Wait until all connections have ended. After a moment, idle ones are closed."""
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
