# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Sends requests, several at the same time and at a steady rate, and counts the answers."""

import contextlib
import http.client
import math
import queue
import select
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from bin._common import ToolError, printable
from bin._requests import Request

# Seconds that curl waits for "100 Continue". Then it sends the body anyway.
CONTINUE_SECONDS = 1.0
OK = 200


@dataclass(frozen=True)
class Answer:
    """The answer to a crash report. If there was none, ``status`` is 0 and ``text`` says why."""

    status: int
    text: str
    seconds: float

    @property
    def crash_id(self) -> str:
        """The crash id, or "" if the answer has none."""
        prefix = "CrashID=bp-"
        return self.text.removeprefix(prefix) if self.text.startswith(prefix) else ""

    @property
    def kind(self) -> str:
        """The kind of the answer, by which answers are counted."""
        if self.status == 0:
            return f"no answer: {self.text}"
        first_line = printable(self.text.partition("\n")[0][:80])
        return f"{self.status} {'CrashID' if self.crash_id else first_line}".rstrip()

    def as_json(self) -> dict[str, object]:
        """Return the object that --json prints."""
        return {
            "status": self.status or None,
            "answer": self.text,
            "crash_id": self.crash_id or None,
            "seconds": round(self.seconds, 4),
        }


class Sender:
    """Sends each request on a new connection, as crash reporters do."""

    def __init__(self, url: str, timeout: float) -> None:
        """``timeout``, in seconds, is for each step: to connect, to send, to wait.

        Raises ``ToolError`` for a bad URL.
        """
        address = urlsplit(url)
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise ToolError(f"not a URL to send to: {url}")
        self._host = address.hostname
        self._port = address.port or (443 if address.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if address.scheme == "https" else None
        self._timeout = timeout

    def send(self, request: Request) -> Answer:
        """Send a request and return its answer. Errors of the connection are answers, too."""
        start = time.monotonic()
        try:
            with self._connect() as connection:
                status, text = self._exchange(connection, request)
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            return Answer(0, reason, time.monotonic() - start)
        return Answer(status, text, time.monotonic() - start)

    def send_all(
        self, requests: Sequence[Request], number: int, rate: float | None, concurrency: int
    ) -> Iterator[Answer]:
        """Send ``number`` requests, taking those in ``requests`` in turn. Yields the answers as they come.

        At most ``rate`` requests are sent a second.
        """
        tickets = iter(range(number))
        lock = threading.Lock()
        answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        start = time.monotonic()

        def work() -> None:
            while True:
                with lock:
                    ticket = next(tickets, None)
                if ticket is None:
                    return
                if rate is not None:
                    time.sleep(max(0.0, start + ticket / rate - time.monotonic()))
                answers.put(self.send(requests[ticket % len(requests)]))

        for _ in range(min(concurrency, number)):
            # The threads are daemons, so that Ctrl-C ends the program at once.
            threading.Thread(target=work, daemon=True).start()
        for _ in range(number):
            yield answers.get()

    def _connect(self) -> socket.socket:
        connection = socket.create_connection((self._host, self._port), self._timeout)
        if self._tls is None:
            return connection
        return self._tls.wrap_socket(connection, server_hostname=self._host)

    @staticmethod
    def _exchange(connection: socket.socket, request: Request) -> tuple[int, str]:
        # A server may refuse a request before it has read all of it. Its answer can still be read.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(request.head)
            if request.expects_continue:
                select.select([connection], [], [], CONTINUE_SECONDS)
            connection.sendall(request.body)
        # This skips "100 Continue".
        response = http.client.HTTPResponse(connection, method="POST")
        response.begin()
        return response.status, response.read().decode("utf-8", "replace").strip()


class Summary:
    """Counts the answers, and the time that they took."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._kinds: Counter[str] = Counter()
        self._seconds: list[float] = []
        self.all_answered = True

    def add(self, answer: Answer) -> None:
        """Count an answer."""
        self._kinds[answer.kind] += 1
        self._seconds.append(answer.seconds)
        self.all_answered &= answer.status == OK

    def lines(self) -> Iterator[str]:
        """Yield the lines of the summary."""
        elapsed = time.monotonic() - self._start
        total = len(self._seconds)
        yield f"{total} sent in {elapsed:.1f} s, {total / elapsed:.1f} a second"
        for kind, number in self._kinds.most_common():
            yield f"{number:>8}  {kind}"
        if not self._seconds:
            return
        times = sorted(self._seconds)
        values = [f"p{percent} {_percentile(times, percent) * 1000:.0f}" for percent in (50, 90, 99)]
        yield f"answers in ms: {', '.join(values)}, max {times[-1] * 1000:.0f}"


def _percentile(ordered: Sequence[float], percent: int) -> float:
    """Return the smallest value that at least ``percent`` percent of the values do not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
