# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A collector under attack: measures the cost of an attack, and checks that the collector still works afterwards."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.support.collector import Collector
from tests.support.programs import children_of
from tests.support.raw_http import RawResponse
from tests.support.reports import annotation, dump, report

HONEST = report(annotation("ProductName", "Honest"), dump(b"MDMP" * 500))
MIB = 1024 * 1024

# The reasons that docs/reasons.rst lists. Malformed reports are refused with 400, unless they are too large.
REASONS = {
    "malformed_no_content_type": 400,
    "malformed_wrong_content_type": 400,
    "malformed_no_boundary": 400,
    "malformed_no_content_length": 400,
    "malformed_unsupported_encoding": 400,
    "malformed_bad_framing": 400,
    "malformed_bad_request": 400,
    "malformed_incomplete_body": 400,
    "malformed_bad_gzip": 400,
    "malformed_invalid_payload_structure": 400,
    "malformed_invalid_json": 400,
    "malformed_invalid_json_value": 400,
    "malformed_no_annotations": 400,
    "malformed_invalid_dump_name": 400,
    "malformed_invalid_uuid": 400,
    "malformed_too_large": 413,
    "unauthorized_uuid": 401,
    "timeout": 408,
}


@dataclass
class Cost:
    """The cost of a block of a test to a worker: seconds of CPU, additional bytes of memory, and descriptors."""

    cpu: float = 0.0
    memory: int = 0
    descriptors: int = 0


class Target:
    """A collector with one worker that keeps crashes in files."""

    def __init__(self, collector: Collector, temp_dir: Path) -> None:
        """``temp_dir`` is the directory for its temporary files."""
        self.collector = collector
        self.server = collector.server
        self.temp_dir = temp_dir
        self._log_read = 0

    @property
    def worker(self) -> psutil.Process:
        """The worker's process."""
        (worker,) = children_of(self.server.pid)
        return psutil.Process(worker)

    def submit(self, request: bytes) -> RawResponse:
        """Send a request on a connection of its own."""
        return self.collector.submit(request)

    @contextlib.contextmanager
    def costs(self) -> Iterator[Cost]:
        """Measure the cost of the block to the worker. Memory and descriptors are taken at their peak."""
        worker, cost, done = self.worker, Cost(), threading.Event()
        cpu, memory = _cpu(worker), worker.memory_info().rss

        def watch() -> None:
            while not done.wait(0.005):
                cost.memory = max(cost.memory, worker.memory_info().rss - memory)
                cost.descriptors = max(cost.descriptors, worker.num_fds())

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            yield cost
        finally:
            done.set()
            watching.join()
        cost.cpu = _cpu(worker) - cpu
        # pytest shows this if the test fails, and with -rP.
        print(f"{cost.cpu:.2f} s of CPU, {cost.memory / MIB:.1f} MiB, {cost.descriptors} descriptors")

    def assert_refused(self, answer: RawResponse, why: str | None = None) -> None:
        """Check that a request was refused, for this reason or for another one on the list."""
        reason = answer.text.removeprefix("Discarded=")
        assert reason in REASONS, answer
        assert answer.status == REASONS[reason]
        assert why in {None, reason}

    @contextlib.contextmanager
    def stays_well(self) -> Iterator[None]:
        """Check that the block leaves nothing behind and does not disturb other clients."""
        worker, descriptors = self.worker, self.worker.num_fds()
        self.new_log_records()
        yield
        self.collector.assert_kept(self.submit(HONEST))
        assert self.worker == worker, "the worker was replaced"
        self._wait_until_descriptors_are_closed(descriptors)
        assert list(self.temp_dir.iterdir()) == []
        self.assert_logged_only()

    def assert_logged_only(self, *events: str) -> None:
        """Check that no warnings and errors but these events were logged since the last call."""
        logged = [record for record in self.new_log_records() if record["Severity"] <= 4]  # warnings and worse
        assert [record for record in logged if record["Fields"].get("event") not in events] == [], logged

    def new_log_records(self) -> list[dict[str, Any]]:
        """Return the records since the last call.

        A line that is no record, such as one of a traceback, makes the test fail.
        """
        # The log of a collector that many tests share is long, and this is called twice a test.
        with self.server.log_file.open("rb") as log:
            log.seek(self._log_read)
            # A line that is still being written is left for the next call.
            new = log.read().rpartition(b"\n")[0]
        self._log_read += len(new) + 1 if new else 0
        return [json.loads(line) for line in new.splitlines()]

    def _wait_until_descriptors_are_closed(self, number: int) -> None:
        # Connections of the test may just be closing; gevent's pool of threads may have been made by it.
        end = time.monotonic() + 30
        while self.worker.num_fds() > number + 3:
            assert time.monotonic() < end, f"{self.worker.num_fds()} descriptors, {number} before"
            time.sleep(0.02)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
