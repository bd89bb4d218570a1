# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A proxy in front of a real backend. It fails in ways that a test chooses.

It passes bytes on, and knows next to nothing about HTTP. An exchange is what a client sends and what comes back until
the client sends again. Each exchange has one fault, which is the one that is set when its first bytes arrive.
"""

import contextlib
import enum
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Self

_PIECE = 64 * 1024
# Seconds after which an idle thread looks whether it has to stop.
_POLL = 0.05


class End(enum.Enum):
    """The end of an exchange of which only a part gets through."""

    RESET = enum.auto()
    """The connection is reset."""
    CLOSE = enum.auto()
    """The connection is closed, as after a complete answer."""
    HANG = enum.auto()
    """Nothing happens until another fault is set. Then the rest is passed on, however late that is."""
    SILENCE = enum.auto()
    """Nothing happens on this connection any more, even if another fault is set."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A way in which an exchange fails. With the defaults it does not fail. Sizes are in bytes, times in seconds."""

    refuse: bool = False
    """Connections are refused, and those that are open are reset at once."""
    delay: float = 0.0
    """Seconds by which the answer is late."""
    rate: float | None = None
    """Bytes a second that are passed on, in either direction."""
    request_size: int | None = None
    """Bytes of the request that are passed on. Then the exchange ends as ``end`` says."""
    answer_size: int | None = None
    """Bytes of the answer that are passed on, after the whole request. Then the exchange ends as ``end`` says."""
    end: End = End.RESET
    status: int | None = None
    """An HTTP status that the proxy answers itself. The backend gets nothing of the request."""
    body: bytes = b"{}"
    """The body of the proxy's own answer."""
    alter: Callable[[bytes], bytes] | None = None
    """A function that changes each piece of the answer."""


PASS = Fault()
REFUSE = Fault(refuse=True)
RESET = Fault(request_size=0)
HANG = Fault(request_size=0, end=End.HANG)
SILENCE = Fault(request_size=0, end=End.SILENCE)
HALF_REQUEST = Fault(request_size=100)
HALF_ANSWER = Fault(answer_size=40)
LOST_ANSWER = Fault(answer_size=0)
LATE_ANSWER = Fault(answer_size=0, end=End.HANG)


@dataclass(slots=True)
class Exchange:
    """An exchange that went through a proxy, for tests to look at. Its times are those of ``time.monotonic``."""

    request_line: str
    begun: float
    answered: float | None = None
    """The time just before the last bytes of the answer so far were passed on."""


@dataclass(slots=True)
class _State:
    """An exchange, and how much of it has been passed on."""

    fault: Fault
    exchange: Exchange
    request_sent: int = 0
    answer_sent: int = 0


class FaultyProxy:
    """Passes connections on to a server on this machine, with the faults that are set.

    It is a context manager, and everything that it starts ends with it.
    """

    def __init__(self, upstream_port: int) -> None:
        """Listen on a free port."""
        self._upstream = ("127.0.0.1", upstream_port)
        # This socket is bound but does not listen, so that the port stays reserved while connections are refused.
        self._reservation = _bound_socket(0)
        self.port: int = self._reservation.getsockname()[1]
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._fault = PASS
        self.choose: Callable[[str], Fault] | None = None
        """If set, a function that chooses the fault of each exchange by its request line."""
        self.exchanges: list[Exchange] = []
        self.closed = False
        self._listener: socket.socket | None = None
        self._listen()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def fault(self) -> Fault:
        """The fault of the exchanges that begin now."""
        return self._fault

    @fault.setter
    def fault(self, fault: Fault) -> None:
        self._fault = fault
        if fault.refuse:
            self._stop_listening()
            self.reset_connections()
        elif self._listener is None:
            self._listen()

    def fault_for(self, request_line: str) -> Fault:
        """Return the fault of an exchange that begins."""
        return self._fault if self.choose is None else self.choose(request_line)

    def reset_connections(self) -> None:
        """Reset every open connection."""
        with self._lock:
            for connection in self._sockets:
                _reset(connection)
            self._sockets.clear()

    def is_open(self, connection: socket.socket) -> bool:
        """Whether a connection has not been reset. Bytes that come until its thread wakes up could still be read."""
        return connection in self._sockets

    def reset(self) -> None:
        """Forget all faults and all exchanges."""
        self.choose = None
        self.fault = PASS
        self.exchanges.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True
        self._stop_listening()
        self.reset_connections()
        self._reservation.close()

    def _listen(self) -> None:
        listener = _bound_socket(self.port)
        listener.listen(512)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            # This wakes up the thread that accepts. close() alone does not.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._serve, args=(listener, client), daemon=True).start()

    def _serve(self, listener: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(self._upstream) as upstream:
            with self._lock:
                if self._listener is not listener:  # refused since: what is open now was reset
                    _reset(client)
                    return
                self._sockets |= {client, upstream}
            try:
                _Connection(self, client, upstream).run()
            finally:
                with self._lock:
                    self._sockets -= {client, upstream}


@dataclass(slots=True)
class _Connection:
    """A connection through the proxy."""

    proxy: FaultyProxy
    client: socket.socket
    upstream: socket.socket
    states: list[_State] = field(default_factory=list)

    def run(self) -> None:
        """Pass bytes on until one side closes the connection, or a fault ends it."""
        while True:
            for source in self._readable():
                data = source.recv(_PIECE)
                if not data or not self.proxy.is_open(source):
                    return
                if not (self._request(data) if source is self.client else self._answer(data)):
                    return

    def _readable(self) -> list[socket.socket]:
        poll = select.poll()
        sockets = {connection.fileno(): connection for connection in (self.client, self.upstream)}
        for descriptor in sockets:
            poll.register(descriptor, select.POLLIN)
        return [sockets[descriptor] for descriptor, _ in poll.poll()]

    def _request(self, data: bytes) -> bool:
        """Pass on bytes of a request; returns whether the connection goes on."""
        if not self.states or self.states[-1].answer_sent:
            self._begin(data)
        state = self.states[-1]
        if state.fault.status is not None:
            state.exchange.answered = time.monotonic()
            _answer_status(self.client, state.fault)
            return False
        fits = self._send(self.upstream, data, state.fault.request_size, state.request_sent, state.fault)
        state.request_sent += len(data)
        return fits

    def _begin(self, data: bytes) -> None:
        request_line = data.partition(b"\r\n")[0].decode("latin-1")
        exchange = Exchange(request_line, time.monotonic())
        self.proxy.exchanges.append(exchange)
        self.states = [_State(self.proxy.fault_for(request_line), exchange)]

    def _answer(self, data: bytes) -> bool:
        """Pass on bytes of an answer; returns whether the connection goes on."""
        state = self.states[-1]
        if not state.answer_sent:
            time.sleep(state.fault.delay)
        if state.fault.alter is not None:
            data = state.fault.alter(data)
        state.exchange.answered = time.monotonic()
        fits = self._send(self.client, data, state.fault.answer_size, state.answer_sent, state.fault)
        state.answer_sent += len(data)
        return fits

    def _send(self, target: socket.socket, data: bytes, limit: int | None, sent: int, fault: Fault) -> bool:
        """Send ``data`` as far as it is within ``limit``; returns whether the connection goes on."""
        within = data if limit is None else data[: max(0, limit - sent)]
        for piece in _pieces(within, fault.rate):
            target.sendall(piece)
            if fault.rate is not None:
                time.sleep(len(piece) / fault.rate)
        rest = data[len(within) :]
        if not rest:
            return True
        if fault.end is End.SILENCE:
            while not self.proxy.closed:
                time.sleep(_POLL)
            return False
        if fault.end is End.HANG:
            while self.proxy.fault_for(self.states[-1].exchange.request_line) == fault:
                if self.proxy.closed:
                    return False
                time.sleep(_POLL)
            target.sendall(rest)
            return True
        if fault.end is End.RESET:
            _reset(self.client)
        return False


def _bound_socket(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(("127.0.0.1", port))
    return bound


def _pieces(data: bytes, rate: float | None) -> list[bytes]:
    size = len(data) if rate is None else max(1, int(rate * _POLL))
    return [data[start : start + size] for start in range(0, len(data), max(1, size))]


def _answer_status(client: socket.socket, fault: Fault) -> None:
    """Answer, half-close and read on, so that a client that is still sending sees the answer."""
    assert fault.status is not None
    head = (
        f"HTTP/1.1 {fault.status} {HTTPStatus(fault.status).phrase}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(fault.body)}\r\n\r\n"
    )
    client.sendall(head.encode("ascii") + fault.body)
    client.shutdown(socket.SHUT_WR)
    client.settimeout(10)
    while client.recv(_PIECE):
        pass


def _reset(connection: socket.socket) -> None:
    """Close with a reset, and wake up the thread that waits for the connection."""
    with contextlib.suppress(OSError):
        # With a linger time of 0 s, unsent bytes are dropped, and the peer gets a reset.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)
