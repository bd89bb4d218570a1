# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Clients that send crashes for as long as a schedule lasts, and remember what they were promised."""

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

from tests.faults.crashes import Crash, make_crash
from tests.support.raw_http import RawConnection, RawResponse

# Longest pause of a client between two crashes, in seconds.
_PAUSE = 0.1
_PATIENCE = 60.0
# The share of the connections that are used again.
_KEPT = 0.7


@dataclass(slots=True)
class Record:
    """The answers to the requests. Times are in seconds."""

    promised: dict[str, Crash] = field(default_factory=dict)
    """The crashes that were answered with an id, by it."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """Numbers of requests that were answered, refused (503), unconnected, broken, or stale (on a used connection)."""
    problems: list[str] = field(default_factory=list)
    """Answers that no fault explains."""
    latencies: list[float] = field(default_factory=list)
    """Of the requests that were answered with an id."""


class Clients:
    """Threads that send crashes until the ``with`` block ends; then they wait for their last answers."""

    def __init__(self, port: int, number: int, seed: int) -> None:
        self.record = Record()
        self._port = port
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(f"{seed}-{client}", random.Random(f"{seed}-{client}")))
            for client in range(number)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _run(self, name: str, chance: random.Random) -> None:
        connection: RawConnection | None = None
        number = 0
        while not self._stopped.is_set():
            crash = make_crash(chance, f"{name}-{number}")
            number += 1
            connection = self._submit(connection, crash, keep=chance.random() < _KEPT)
            self._stopped.wait(_PAUSE * chance.random())
        if connection is not None:
            connection.close()

    def _submit(self, connection: RawConnection | None, crash: Crash, *, keep: bool) -> RawConnection | None:
        """Send a crash, on the old connection if there is one. Return the connection if it can be used again."""
        is_used = connection is not None
        try:
            connection = connection or RawConnection("127.0.0.1", self._port, _PATIENCE)
        except OSError:
            self.record.outcomes["unconnected"] += 1
            return None
        try:
            return self._send(connection, crash, keep=keep)
        # AssertionError: the answer ends before its length.
        except (OSError, EOFError, AssertionError) as error:
            connection.close()
            # Both sides may close a connection that is idle at any time (RFC 9112 section 9.5).
            self.record.outcomes["stale" if is_used else "broken"] += 1
            if isinstance(error, TimeoutError):
                self.record.problems.append(f"{crash.serial}: no answer in {_PATIENCE} s")
            return None

    def _send(self, connection: RawConnection, crash: Crash, *, keep: bool) -> RawConnection | None:
        """Send a crash; return the connection if it can be used again. Raises as ``RawConnection`` does."""
        start = time.monotonic()
        connection.send(crash.request)
        response = connection.receive()
        self._take(crash, response, time.monotonic() - start)
        if keep and response.headers["Connection"] != "close":
            return connection
        connection.close()
        return None

    def _take(self, crash: Crash, response: RawResponse, seconds: float) -> None:
        record = self.record
        if response.status == 200 and response.text.startswith("CrashID=bp-"):
            record.outcomes["answered"] += 1
            record.latencies.append(seconds)
            record.promised[response.text.removeprefix("CrashID=bp-").strip()] = crash
        elif response.status == 503 and response.headers["Retry-After"]:
            record.outcomes["refused"] += 1
        else:
            record.problems.append(f"{crash.serial}: {response.status} {response.text}")
