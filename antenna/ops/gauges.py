# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Sends the state of the instance as gauges. The state comes from the rows of its workers."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import markus

from antenna.ops.instance import BACKENDS, Instance, Row, Worker

metrics = markus.get_metrics("instance")
crashmover_metrics = markus.get_metrics("crashmover")
breakpad_metrics = markus.get_metrics("breakpad_resource")


@dataclass(frozen=True, slots=True)
class SpoolState:
    """The content of the spool: numbers of entries, bytes, and the age of the oldest entry in seconds."""

    crashes: int = 0
    ids: int = 0
    size: int = 0
    #: Bytes of room that are left for crashes.
    room: int = 0
    oldest_age: float = 0.0
    set_aside: int = 0
    #: Files among the entries that are not entries.
    foreign: int = 0


class Gauges:
    """Sends the gauges. Only one process of an instance uses it at a time."""

    def __init__(self, instance: Instance, build: Mapping[str, str]) -> None:
        """``build`` has the tags of the metric ``instance.build``."""
        self._instance = instance
        self._build = [f"{key}:{value}" for key, value in build.items()]
        self._lag = 0.0
        self._cpu: dict[float, float] = {}
        self._cpu_read = time.monotonic()

    def note_lag(self) -> None:
        """Read the lags that the workers have measured. The next gauge is the highest of them."""
        self._lag = max([self._lag, *(row[Worker.LOOP_LAG] for row in self._instance.workers())])

    def send(self) -> None:
        """Send the state of the workers, and whether they find the backends down."""
        rows = list(self._instance.workers())
        self._send_workers(rows)
        self._send_backends(rows)

    def send_writable(self, name: str, *, is_writable: bool) -> None:
        """Send whether the ``spool`` or the directory for temporary files (``temp``) can be written."""
        if name == "spool":
            crashmover_metrics.gauge("spool_writable", int(is_writable))
        else:
            metrics.gauge("temp_writable", int(is_writable))

    def send_spool(self, state: SpoolState) -> None:
        """Send the numbers of the spool."""
        breakpad_metrics.gauge("save_queue_size", state.crashes + state.ids)
        crashmover_metrics.gauge("spool_entries", state.crashes, tags=["kind:crash"])
        crashmover_metrics.gauge("spool_entries", state.ids, tags=["kind:id"])
        crashmover_metrics.gauge("spool_size", state.size)
        crashmover_metrics.gauge("spool_room", state.room)
        crashmover_metrics.gauge("spool_oldest_age", max(0, round(state.oldest_age)))
        crashmover_metrics.gauge("spool_set_aside", state.set_aside)
        crashmover_metrics.gauge("spool_foreign", state.foreign)

    def _send_workers(self, rows: list[Row]) -> None:
        metrics.gauge("workers", len(rows))
        metrics.gauge("connections", _sum(rows, Worker.CONNECTIONS))
        metrics.gauge("connections_most", _sum(rows, Worker.MOST_CONNECTIONS))
        metrics.gauge("loop_lag", round(self._lag, 4))
        self._lag = 0.0
        metrics.gauge("cpu_usage", round(self._cpu_usage(rows), 4))
        metrics.gauge("memory", _sum(rows, Worker.MEMORY))
        metrics.gauge("descriptors", _sum(rows, Worker.DESCRIPTORS))
        metrics.gauge("descriptors_most", _sum(rows, Worker.MOST_DESCRIPTORS))
        metrics.gauge("temp_size", _sum(rows, Worker.TEMP_SIZE))
        metrics.gauge("temp_size_most", _sum(rows, Worker.MOST_TEMP_SIZE))
        metrics.gauge("build", 1, tags=self._build)

    def _cpu_usage(self, rows: list[Row]) -> float:
        """Return how many cores the workers have kept busy since the last call."""
        now, cpu = time.monotonic(), {row[Worker.PID]: row[Worker.CPU] for row in rows}
        spent = sum(seconds - self._cpu.get(pid, 0.0) for pid, seconds in cpu.items())
        usage = spent / max(now - self._cpu_read, 0.001) if self._cpu else 0.0
        self._cpu, self._cpu_read = cpu, now
        return usage

    def _send_backends(self, rows: list[Row]) -> None:
        for backend, (down, since) in BACKENDS.items():
            finding = [row for row in rows if row[down]]
            age = max((time.monotonic() - row[since] for row in finding), default=0.0)
            tags = [f"backend:{backend}"]
            crashmover_metrics.gauge("backend_up", int(not finding), tags=tags)
            crashmover_metrics.gauge("backend_workers_down", len(finding), tags=tags)
            crashmover_metrics.gauge("backend_down_age", round(age), tags=tags)
            crashmover_metrics.gauge("breaker_state", int(bool(finding)), tags=tags)


def _sum(rows: list[Row], cell: Worker) -> int:
    return int(sum(row[cell] for row in rows))
