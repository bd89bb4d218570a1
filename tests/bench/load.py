# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The load generator, a process of its own: clients that send a crash, wait for the answer, and send the next.

``python -m tests.bench.load`` reads an ``Order`` from its stdin and writes an ``Outcome`` to its stdout, as JSON.
It keeps every latency, checks every answer and lets the last requests end, which wrk does not.
"""

import itertools
import json
import re
import selectors
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from tests.bench.crashes import TRAFFIC, Crash

# Seconds after the last request was sent that its answer may take.
DRAIN_SECONDS = 60.0
_READ_SIZE = 65_536


@dataclass(frozen=True)
class Order:
    """The requests to send."""

    port: int
    traffic: str
    clients: int
    seconds: float


@dataclass
class Outcome:
    """The answers that came back. Times are in seconds."""

    latencies: list[float] = field(default_factory=list)
    #: How many of them came before no more was sent.
    in_time: int = 0
    #: Ids of the crashes that the collector says it has kept.
    crash_ids: list[str] = field(default_factory=list)
    #: Answers that were not the expected ones, and what else went wrong, with how often.
    problems: Counter[str] = field(default_factory=Counter)
    #: CPU time of the load generator itself.
    cpu_seconds: float = 0.0


class _Client:
    """A connection that is kept alive as long as the server does, with one request at a time."""

    def __init__(self, port: int, selector: selectors.BaseSelector) -> None:
        self._port = port
        self._selector = selector
        self._connect()

    def _connect(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self._port))
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(self._socket, selectors.EVENT_READ, self)

    def reconnect(self) -> None:
        self.close()
        self._connect()

    def close(self) -> None:
        self._selector.unregister(self._socket)
        self._socket.close()

    def send(self, crash: Crash) -> None:
        self.crash = crash
        self.answer = b""
        self._unsent = memoryview(crash.request)
        self.started = time.monotonic()
        self.write()

    def write(self) -> None:
        """Send as much as the connection takes now."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
            events = selectors.EVENT_READ
        except BlockingIOError:
            events = selectors.EVENT_READ | selectors.EVENT_WRITE
        if self._selector.get_key(self._socket).events != events:
            self._selector.modify(self._socket, events, self)

    def read(self) -> bool:
        """Receive; say whether the answer is whole. Raises ConnectionError if it will never be."""
        data = self._socket.recv(_READ_SIZE)
        if not data:
            raise ConnectionError("closed without an answer")
        self.answer += data
        head, end, body = self.answer.partition(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: *(\d+)", head.lower())
        return bool(end) and length is not None and len(body) >= int(length[1])


def run(order: Order) -> Outcome:
    """Send crashes for a while, then wait for the last answers."""
    outcome = Outcome()
    crashes = itertools.cycle(TRAFFIC[order.traffic]())
    with selectors.DefaultSelector() as selector:
        clients = [_Client(order.port, selector) for _ in range(order.clients)]
        stop = time.monotonic() + order.seconds
        busy = set(clients)
        for client in clients:
            client.send(next(crashes))
        while busy and time.monotonic() < stop + DRAIN_SECONDS:
            for client, is_writable in _ready(selector):
                if _turn(client, is_writable=is_writable, outcome=outcome, stop=stop):
                    if time.monotonic() < stop:
                        client.send(next(crashes))
                    else:
                        busy.discard(client)
                        client.close()
        outcome.problems += Counter({"no answer": len(busy)} if busy else {})
    outcome.cpu_seconds = time.process_time()
    return outcome


def _ready(selector: selectors.BaseSelector) -> Iterator[tuple[_Client, bool]]:
    for key, events in selector.select(timeout=1.0):
        yield key.data, bool(events & selectors.EVENT_WRITE) and not events & selectors.EVENT_READ


def _turn(client: _Client, *, is_writable: bool, outcome: Outcome, stop: float) -> bool:
    """Go on with a client's request; say whether it has ended."""
    try:
        if is_writable:
            client.write()
            return False
        if not client.read():
            return False
    except OSError as error:
        outcome.problems[f"{type(error).__name__}: {error}"] += 1
        client.reconnect()
        return True
    now = time.monotonic()
    outcome.latencies.append(now - client.started)
    outcome.in_time += now < stop
    _check(client, outcome)
    if b"\r\nconnection: close" in client.answer.lower():
        client.reconnect()
    return True


def _check(client: _Client, outcome: Outcome) -> None:
    head, _, body = client.answer.decode("latin-1").partition("\r\n\r\n")
    matched = re.fullmatch(client.crash.answer, body)
    if not matched or head.split(" ")[1] != "200":
        outcome.problems[f"{head.splitlines()[0]}: {body[:100]}"] += 1
    elif client.crash.is_kept:
        outcome.crash_ids.append(matched[1])


def run_in_process(order: Order) -> Outcome:
    """Run the load generator in a process of its own."""
    process = subprocess.run(
        [sys.executable, "-m", __name__], input=json.dumps(asdict(order)), stdout=subprocess.PIPE, text=True, check=True
    )
    fields = json.loads(process.stdout)
    return Outcome(**{**fields, "problems": Counter(fields["problems"])})


if __name__ == "__main__":
    json.dump(vars(run(Order(**json.load(sys.stdin)))), sys.stdout)
