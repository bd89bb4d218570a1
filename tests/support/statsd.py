# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Receives the metrics that a collector sends to statsd."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Metric:
    """A metric as it was sent. ``type`` is that of statsd (c, g, ms, h), and tags are ``key:value``."""

    name: str
    value: float
    type: str
    tags: frozenset[str]


class StatsdSink:
    """A socket to which statsd packets are sent. It is a context manager."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.metrics: list[Metric] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._receive, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def totals(self) -> Counter[str]:
        """Return the sums of all counters so far: see ``totals``."""
        return totals(self.metrics)

    def wait_until_quiet(self, seconds: float = 0.5) -> None:
        """Wait until nothing has come for a while.

        Clients send the metrics that they have gathered several times a second.
        """
        while True:
            received = len(self.metrics)
            time.sleep(seconds)
            if len(self.metrics) == received:
                return

    def _receive(self) -> None:
        while True:
            try:
                packet = self._socket.recv(65536)
            except OSError:
                return
            self.metrics += [_parse(line) for line in packet.decode().splitlines()]


def totals(metrics: Iterable[Metric]) -> Counter[str]:
    """Return the sum of each counter, under its name and again under ``name,tag`` for each of its tags."""
    result: Counter[str] = Counter()
    for metric in list(metrics):
        if metric.type == "c":
            for key in (metric.name, *(f"{metric.name},{tag}" for tag in metric.tags)):
                result[key] += int(metric.value)
    return result


def _parse(line: str) -> Metric:
    name, _, rest = line.partition(":")
    value, kind, *more = rest.split("|")
    tags = frozenset(tag for field in more if field.startswith("#") for tag in field[1:].split(","))
    return Metric(name, float(value), kind, tags)
