# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Sends a number of crashes a second from a process of its own, however long their answers take.

``python -m tests.bench.steady`` reads an ``Order`` from its stdin and writes an ``Outcome`` to its stdout, as JSON.
"""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field

from tests.bench.crashes import TRAFFIC

_ANSWER_SECONDS = 60.0
_MOST_IDLE_SECONDS = 30.0
_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Order:
    """The requests to send, how many in a second, and for how many seconds."""

    port: int
    traffic: str
    rate: float
    seconds: float


@dataclass
class Outcome:
    """The answers that came back."""

    answers: list[tuple[float, float, str | None]] = field(default_factory=list)
    """For each crash: seconds from the first crash until it was sent, seconds to its answer, and its id, if any."""
    heartbeats: list[tuple[float, float]] = field(default_factory=list)
    """For each heartbeat: the time when the load balancer asked for it, and seconds to the answer."""
    problems: Counter[str] = field(default_factory=Counter)
    """The answers that came instead of ids, each with its number."""


class _Load:
    def __init__(self, order: Order) -> None:
        self._order = order
        self._crash = TRAFFIC[order.traffic]()[0]
        self._idle: list[tuple[float, _Streams]] = []
        self._start = time.monotonic()
        self.outcome = Outcome()

    async def run(self) -> Outcome:
        heartbeats = asyncio.create_task(self._ask())
        tasks = []
        for number in range(int(self._order.rate * self._order.seconds)):
            await asyncio.sleep(max(0.0, self._start + number / self._order.rate - time.monotonic()))
            tasks.append(asyncio.create_task(self._send()))
        await asyncio.gather(*tasks)
        heartbeats.cancel()
        return self.outcome

    async def _send(self) -> None:
        start = time.monotonic()
        try:
            head, body = await asyncio.wait_for(self._exchange(self._crash.request), _ANSWER_SECONDS)
        except (OSError, EOFError) as error:
            head, body = type(error).__name__, ""
        matched = re.fullmatch(self._crash.answer, body)
        crash_id = matched[1] if matched else None
        self.outcome.answers.append((start - self._start, time.monotonic() - start, crash_id))
        if crash_id is None:
            self.outcome.problems[f"{head} {body}"] += 1

    async def _exchange(self, request: bytes) -> tuple[str, str]:
        reader, writer = await self._connection()
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = re.search(r"\ncontent-length: *(\d+)", head)
        body = await reader.readexactly(int(length[1]) if length else 0)
        if "\nconnection: close" in head:
            writer.close()
        else:
            self._idle.append((time.monotonic(), (reader, writer)))
        return head.partition("\r\n")[0], body.decode("latin-1")

    async def _connection(self) -> _Streams:
        """Return the connection that was used last, or a new one: the collector closes those that are idle."""
        while self._idle:
            since, streams = self._idle.pop()
            if time.monotonic() - since < _MOST_IDLE_SECONDS:
                return streams
            streams[1].close()
        return await asyncio.open_connection("127.0.0.1", self._order.port)

    async def _ask(self) -> None:
        """Ask for heartbeats as a load balancer does, each on a connection of its own."""
        while True:
            await asyncio.sleep(0.05)
            start = time.monotonic()
            reader, writer = await asyncio.open_connection("127.0.0.1", self._order.port)
            writer.write(b"GET /__lbheartbeat__ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            await reader.read()
            self.outcome.heartbeats.append((start - self._start, time.monotonic() - start))
            writer.close()


def start(order: Order) -> "subprocess.Popen[str]":
    """Start the load in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin
    process.stdin.write(json.dumps(asdict(order)))
    process.stdin.close()
    process.stdin = None
    return process


def end(process: "subprocess.Popen[str]") -> Outcome:
    """Wait for the end of the load, and return its outcome."""
    output, _ = process.communicate()
    fields = json.loads(output)
    return Outcome(**{**fields, "problems": Counter(fields["problems"])})


if __name__ == "__main__":
    _outcome = asyncio.run(_Load(Order(**json.load(sys.stdin))).run())
    json.dump(asdict(_outcome) | {"problems": dict(_outcome.problems)}, sys.stdout)
