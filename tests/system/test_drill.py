# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""An operator has metrics, logs, Sentry and health checks, and learns from them alone what happens.

This takes seconds, when something breaks and when it works again.
"""

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.collector import Collector
from tests.support.intervals import shortened
from tests.support.peer import Peer, Request, answer, send
from tests.support.programs import children_of
from tests.support.reports import annotation, dump, report
from tests.support.statsd import Metric, StatsdSink, totals
from tests.system.conftest import running_on_files

REPORT = report(annotation("ProductName", "Firefox"), dump(b"MDMP"))
# Seconds between two sets of gauges.
SEND = 0.3
INTERVALS = {
    "antenna.ops.watch._BEAT": 0.2,
    "antenna.ops.watch._LOOK": 0.3,
    "antenna.ops.watch._SEND": SEND,
    "antenna.crashmover.breaker._TRY_AFTER": 1.0,
}


@dataclass
class Instance:
    """A collector with two workers and a spool, and everything that its operator sees of it."""

    collector: Collector
    statsd: StatsdSink
    sentry: Peer
    directory: Path

    def break_storage(self) -> None:
        (self.directory / "crashes").rename(self.directory / "taken-away")
        (self.directory / "crashes").write_text("no directory")

    def mend_storage(self) -> None:
        if (self.directory / "taken-away").exists():
            (self.directory / "crashes").unlink()
            (self.directory / "taken-away").rename(self.directory / "crashes")

    def break_spool(self) -> None:
        (self.directory / "spool" / "tmp").rename(self.directory / "spool-tmp")
        (self.directory / "spool" / "tmp").write_text("no directory")

    def mend_spool(self) -> None:
        if (self.directory / "spool-tmp").exists():
            (self.directory / "spool" / "tmp").unlink()
            (self.directory / "spool-tmp").rename(self.directory / "spool" / "tmp")


class Drill:
    """What an operator sees of an instance since the beginning of a test."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.collector = instance.collector
        self._metrics_before = len(instance.statsd.metrics)
        self._events_before = len(instance.sentry.requests)
        self._lines_before = len(instance.collector.server.logs().splitlines())

    @property
    def metrics(self) -> list[Metric]:
        return self.instance.statsd.metrics[self._metrics_before :]

    @property
    def sentry_events(self) -> list[Request]:
        return self.instance.sentry.requests[self._events_before :]

    def totals(self) -> Counter[str]:
        """Return the sums of the counters, as ``StatsdSink`` does."""
        return totals(self.metrics)

    def gauge(self, name: str, *tags: str) -> float | None:
        """Return the current value of a gauge."""
        values = [metric.value for metric in self.metrics if metric.name == name and metric.tags >= set(tags)]
        return values[-1] if values else None

    def records(self, event: str) -> list[dict[str, Any]]:
        """Return the log records with an event."""
        lines = self.collector.server.logs().splitlines()[self._lines_before :]
        records = [json.loads(line) for line in lines]
        return [record for record in records if record["Fields"].get("event") == event]

    def get(self, path: str) -> requests.Response:
        return requests.get(f"{self.collector.server.url}{path}", timeout=10)

    def send(self, count: int = 1) -> None:
        for _ in range(count):
            self.collector.submit(REPORT)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    directory = tmp_path_factory.mktemp("drill")
    with StatsdSink() as statsd, Peer(send(answer(b"{}"))) as sentry:
        options = {
            "GUNICORN_WORKERS": "2",
            "STATSD_HOST": "127.0.0.1",
            "STATSD_PORT": str(statsd.port),
            "SECRET_SENTRY_DSN": f"http://public@127.0.0.1:{sentry.port}/1",
            "CRASHMOVER_SPOOL_DIR": str(directory / "spool"),
        }
        with running_on_files(directory, options | shortened(INTERVALS)) as collector:
            yield Instance(collector, statsd, sentry, directory)


@pytest.fixture
def drill(instance: Instance) -> Iterator[Drill]:
    """A drill on an instance that is well: two workers are there, and they have told of their start."""
    before = Drill(instance)
    wait_for(lambda: before.gauge("instance.workers") == 2)
    wait_for(lambda: instance.statsd.totals()["instance.workers_started"] >= 2)
    wait_for(lambda: before.gauge("crashmover.spool_writable") == 1)
    wait_for(lambda: before.get("/__heartbeat__").ok)
    yield Drill(instance)
    instance.mend_storage()
    instance.mend_spool()
    # pytest shows this if the test fails.
    print(instance.collector.server.logs())


def wait_for(condition: Callable[[], object], seconds: float = 25.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_spool_that_cannot_be_written_is_seen_while_the_storage_is_healthy(drill: Drill) -> None:
    broken_at = time.time()
    drill.instance.break_spool()

    wait_for(lambda: drill.gauge("crashmover.spool_writable") == 0)
    (refuses,) = drill.records("spool_refuses")
    assert refuses["Severity"] == 3
    assert refuses["Timestamp"] / 1e9 - broken_at < 10
    assert "spool" in str(drill.get("/__heartbeat__").json()["errors"])
    assert drill.get("/__ready__").status_code == 200, "the storage takes crashes"
    wait_for(lambda: len(drill.sentry_events) == 1)

    drill.instance.mend_spool()
    wait_for(lambda: drill.gauge("crashmover.spool_writable") == 1)
    assert len(drill.records("spool_takes")) == 1


def test_outage_is_told_once_and_over_for_all_workers_at_once(drill: Drill) -> None:
    drill.instance.break_storage()
    drill.send(20)
    wait_for(lambda: drill.gauge("crashmover.backend_up", "backend:storage") == 0)
    assert drill.gauge("crashmover.breaker_state", "backend:storage") == 1
    assert drill.get("/__ready__").status_code == 200, "the spool takes crashes"
    drill.instance.mend_storage()

    wait_for(lambda: drill.gauge("crashmover.backend_up", "backend:storage") == 1)
    wait_for(lambda: drill.gauge("breakpad_resource.save_queue_size") == 0)
    wait_for(lambda: drill.gauge("crashmover.backend_workers_down", "backend:storage") == 0)
    assert [len(drill.records(event)) for event in ("backend_down", "backend_back")] == [1, 1]
    wait_for(lambda: len(drill.sentry_events) == 2)


def test_post_to_a_wrong_path_is_told_once(drill: Drill) -> None:
    for _ in range(5):
        drill.collector.submit(REPORT.replace(b"/submit", b"/submit/", 1))

    (record,) = drill.records("wrong_path")
    assert record["Severity"] == 4
    assert "/submit" not in record["Fields"]["msg"]
    wait_for(lambda: len(drill.sentry_events) == 1)
    wait_for(lambda: drill.totals()["requests,outcome:not_found"] == 5)


def test_one_process_sends_the_state_of_the_instance(drill: Drill) -> None:
    def sent() -> int:
        return sum(metric.name == "instance.memory" for metric in drill.metrics)

    begun = time.monotonic()
    wait_for(lambda: sent() >= 8)

    # Two processes would have sent twice as many.
    assert sent() <= (time.monotonic() - begun) / SEND + 2
    assert drill.gauge("instance.connections_most") == 2 * 4000


def test_worker_that_was_killed_is_told(drill: Drill) -> None:
    worker, _ = children_of(drill.collector.server.pid)
    os.kill(worker, signal.SIGKILL)

    wait_for(lambda: drill.totals()["instance.workers_ended,cause:killed"] == 1)
    wait_for(lambda: drill.totals()["instance.workers_started"] == 1)
    assert [record["Fields"]["msg"] for record in drill.records("worker_ended")] == ["a worker has ended: killed"]
    wait_for(lambda: len(drill.sentry_events) == 1)


def test_losing_crashes_is_told_once_and_ready_says_no(drill: Drill) -> None:
    drill.instance.break_spool()
    drill.instance.break_storage()
    drill.send(20)

    (losing,) = drill.records("losing")
    assert losing["Severity"] == 3

    # Each worker has to find out that the storage is down, and needs a few crashes for that.
    def is_not_ready() -> bool:
        drill.send(4)
        return {drill.get("/__ready__").status_code for _ in range(8)} == {503}

    wait_for(is_not_ready)
    wait_for(lambda: drill.totals()["crashes_lost"] > 0)
    drill.instance.mend_storage()
    drill.instance.mend_spool()
    wait_for(lambda: {drill.get("/__ready__").status_code for _ in range(8)} == {200}, 40)
    drill.collector.assert_kept(drill.collector.submit(REPORT))
    assert len(drill.records("losing")) == 1
