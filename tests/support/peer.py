# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A server that sends exactly the bytes that a test gives it, also bytes that no server library would send."""

import contextlib
import ctypes
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Self

# Constants from linux/filter.h and asm-generic/socket.h.
_BPF_RETURN = 0x06
_SO_ATTACH_FILTER = 26


@dataclass(frozen=True, slots=True)
class Request:
    """A request that a client sent. The names in ``headers`` are in lower case."""

    connection: int
    """The number of the connection, from 0."""
    line: str
    headers: dict[str, str]
    body: bytes


# A function that answers a request. It returns whether the connection goes on.
Answer = Callable[[socket.socket], bool]


def answer(body: bytes, status: int = 200, *headers: str) -> bytes:
    """Return a simple HTTP answer."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Length: {len(body)}", *headers]
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n" + body


def send(data: bytes) -> Answer:
    """Send bytes. The connection goes on."""

    def respond(connection: socket.socket) -> bool:
        connection.sendall(data)
        return True

    return respond


def send_later(seconds: float, data: bytes) -> Answer:
    """Send bytes after some seconds. The connection goes on."""

    def respond(connection: socket.socket) -> bool:
        time.sleep(seconds)
        return send(data)(connection)

    return respond


def send_together(number: int, data: bytes) -> Answer:
    """Send bytes when that many requests have come, to all of them. The connections go on."""
    all_came = threading.Barrier(number)

    def respond(connection: socket.socket) -> bool:
        all_came.wait(10)
        return send(data)(connection)

    return respond


def hang(connection: socket.socket) -> bool:
    """Send nothing. The connection stays open until the other side closes it."""
    while connection.recv(64 * 1024):
        pass
    return False


def hang_unread(connection: socket.socket) -> bool:
    """Send nothing and read nothing. The connection stays open until the other side closes it, for 5 s at most."""
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP)
    poll.poll(5000)
    return False


def send_in_turn(*parts: bytes) -> Answer:
    """Send some bytes, and a moment later further bytes."""

    def respond(connection: socket.socket) -> bool:
        for part in parts:
            connection.sendall(part)
            time.sleep(0.02)
        return True

    return respond


def send_and_close(data: bytes, *, after: float = 0.0) -> Answer:
    """Send bytes, and close the connection ``after`` some seconds."""

    def respond(connection: socket.socket) -> bool:
        connection.sendall(data)
        time.sleep(after)
        return False

    return respond


def send_and_reset(data: bytes) -> Answer:
    """Send bytes and reset the connection."""

    def respond(connection: socket.socket) -> bool:
        connection.sendall(data)
        time.sleep(0.05)  # a reset overtakes what was not received yet
        # With a linger time of 0 s, the peer gets a reset.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    return respond


def fall_silent_after(data: bytes) -> Answer:
    """Send bytes. From then on the kernel drops what comes in, as on a machine that has lost its power."""

    def respond(connection: socket.socket) -> bool:
        connection.sendall(data)
        # A filter program for packets (socket(7)) of one instruction: return 0, so nothing of any packet is kept.
        drop_all = ctypes.create_string_buffer(struct.pack("HBBI", _BPF_RETURN, 0, 0, 0))
        program = struct.pack("HP", 1, ctypes.addressof(drop_all))
        connection.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
        return True

    return respond


def drip(data: bytes, interval: float = 0.05) -> Answer:
    """Send a byte now and then."""

    def respond(connection: socket.socket) -> bool:
        for number in range(len(data)):
            connection.sendall(data[number : number + 1])
            time.sleep(interval)
        return True

    return respond


class Peer:
    """Gives one answer after the other, and repeats the last one. It is a context manager."""

    def __init__(
        self,
        *answers: Answer,
        choose: Callable[[Request], Answer] | None = None,
        tls: ssl.SSLContext | None = None,
        body_limit: int | None = None,
    ) -> None:
        """Listen on a free port. If there is a ``choose``, it picks the answers.

        ``body_limit`` bytes of each body are read.
        """
        self.requests: list[Request] = []
        self.connections: list[socket.socket] = []
        self._answers = list(answers)
        self._choose = choose
        self._tls = tls
        self._body_limit = body_limit
        self._ended: set[int] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        """The URL of the server."""
        return f"{'https' if self._tls else 'http'}://localhost:{self.port}"

    def wait_until_ended(self, number: int) -> None:
        """Wait until this side has closed a connection. The other side knows it by then."""
        end = time.monotonic() + 10
        while number not in self._ended:
            assert time.monotonic() < end
            time.sleep(0.005)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # This wakes up the threads that wait. close() alone does not.
        for opened in (self._listener, *self.connections):
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            opened.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with self._lock:
                    number = len(self.connections)
                    self.connections.append(connection)
                threading.Thread(target=self._serve_to_its_end, args=(connection, number), daemon=True).start()

    def _serve_to_its_end(self, connection: socket.socket, number: int) -> None:
        self._serve(connection, number)
        self._ended.add(number)

    def _serve(self, connection: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError, EOFError), connection:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as stream:
                while True:
                    line = stream.readline()
                    if not line:
                        break
                    headers = {}
                    while (field := stream.readline().decode("latin-1").rstrip("\r\n")) != "":
                        name, _, value = field.partition(":")
                        headers[name.lower()] = value.strip()
                    size = int(headers.get("content-length", 0))
                    body = stream.read(size if self._body_limit is None else min(size, self._body_limit))
                    if not self._next_answer(Request(number, line.decode("latin-1").rstrip("\r\n"), headers, body))(
                        connection
                    ):
                        break

    def _next_answer(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
            if self._choose is not None:
                return self._choose(request)
            return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
