# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Watches a worker, and reports the state of the instance.

Every worker writes its state to its row of the shared table once a second. One of them, the speaker, also checks what
all workers share, such as the spool. It sends the state of the instance as gauges, once for all workers.
"""

import logging
import os
import resource
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import markus

from antenna.hub import run_blocking
from antenna.ops.gauges import Gauges, SpoolState
from antenna.ops.instance import BACKENDS, Instance, Row, Worker

logger = logging.getLogger(__name__)
metrics = markus.get_metrics("instance")

# Seconds between two updates of a worker's row, between two checks of what can fail, and between two sets of gauges.
_BEAT = 1.0
_LOOK = 5.0
_SEND = 10.0
# Seconds for which the watch sleeps to measure the lag of gevent's loop. The lag is how much longer the sleep takes.
_NAP = 0.1
# Seconds after which a condition that was not noted again counts as over, and the log messages that then say so.
_QUIET = {"losing": 30.0, "wrong_path": 600.0}
_OVER = {
    "losing": "no crash has been lost for 30 s",
    "wrong_path": "no crash has come to a wrong path for 10 minutes",
}

_PAGE = resource.getpagesize()


@dataclass(frozen=True)
class Watched:
    """Functions by which the watch observes a worker and its instance. The application provides them."""

    #: For each backend, whether this worker finds it down.
    is_down: Mapping[str, Callable[[], bool]]
    #: A task for every worker, such as asking a backend that is down when no crash would try it.
    look_after: Callable[[], None]
    #: Checks of the speaker: whether ``spool`` and ``temp`` can be written. Each returns whether that works.
    probes: Mapping[str, Callable[[], bool]] = field(default_factory=dict)
    #: Returns the state of the spool, or raises ``OSError``. It is None if there is no spool.
    spool: Callable[[], SpoolState] | None = None
    #: Bytes of the temporary files of this worker, and the most that they may have.
    temporary_files: Callable[[], tuple[int, int]] = lambda: (0, 0)
    #: Tags of the metric ``instance.build``.
    build: Mapping[str, str] = field(default_factory=dict)


class Watch:
    """The watch of one worker.

    Its three tasks run in a thread each: the signs of life, the slow values and the gauges. The signs of life need no
    disk. So if a disk hangs, the other two tasks wait for it, and the signs of life go on.
    """

    def __init__(self, instance: Instance, watched: Watched) -> None:
        """``instance`` is the shared table, ``watched`` has the things to watch."""
        self._instance = instance
        self._watched = watched
        self._stopped = threading.Event()
        # When the next beat is due. If it comes later, the loop was late.
        self._next_beat = 0.0
        self._gauges = Gauges(instance, watched.build)

    def start(self) -> None:
        """Start to watch."""
        for action, seconds in ((self._beat, _BEAT), (self._look, _LOOK), (self._send, _SEND)):
            threading.Thread(target=self._repeat, args=(action, seconds), daemon=True).start()

    def stop(self) -> None:
        """Stop to watch, when the current work is done."""
        self._stopped.set()

    def _repeat(self, action: Callable[[], None], seconds: float) -> None:
        while not self._stopped.is_set():
            try:
                action()
            except Exception:
                logger.exception("the state of the instance could not be determined")
            self._stopped.wait(seconds)

    # Methods that every worker runs.

    def _beat(self) -> None:
        """Write to the row of this worker, and measure the lag of the loop."""
        begun = time.monotonic()
        late = begun - self._next_beat if self._next_beat else 0.0
        time.sleep(_NAP)
        row = self._instance.row
        row[Worker.LOOP_LAG] = max(0.0, late, time.monotonic() - begun - _NAP)
        row[Worker.CPU] = time.process_time()
        row[Worker.TEMP_SIZE], row[Worker.MOST_TEMP_SIZE] = self._watched.temporary_files()
        self._write_backends(row)
        self._instance.beat()
        if self._instance.is_speaker:
            self._speak()
        self._next_beat = time.monotonic() + _BEAT

    def _write_backends(self, row: Row) -> None:
        for backend, (down, since) in BACKENDS.items():
            is_down = self._watched.is_down[backend]()
            if is_down != bool(row[down]):
                row[since] = time.monotonic()
            row[down] = is_down

    def _look(self) -> None:
        """Write the values that take a moment to find out, and do the regular tasks."""
        row = self._instance.row
        row[Worker.MEMORY], row[Worker.DESCRIPTORS] = run_blocking(_memory_and_descriptors)
        row[Worker.MOST_DESCRIPTORS] = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._watched.look_after()
        if self._instance.is_speaker:
            for name, probe in self._watched.probes.items():
                self._gauges.send_writable(name, is_writable=probe())

    # Methods that do the work of the speaker.

    def _send(self) -> None:
        """Send the gauges of the instance."""
        if not self._instance.is_speaker:
            return
        self._gauges.send()
        if self._watched.spool is not None:
            try:
                self._gauges.send_spool(run_blocking(self._watched.spool))
            except OSError as error:
                logger.warning("the spool could not be cleaned up and counted: %s", error.strerror)

    def _speak(self) -> None:
        """Report which workers have started and ended since the last time, and which conditions are over."""
        self._gauges.note_lag()
        if started := self._instance.untold_starts():
            metrics.incr("workers_started", started)
        for ending, count in self._instance.untold_endings().items():
            metrics.incr("workers_ended", count, tags=[f"cause:{ending}"])
            if ending != "stopped":
                logger.error("a worker has ended: %s", ending, extra={"event": "worker_ended", "tell_sentry": True})
        for condition, seconds in _QUIET.items():
            if self._instance.is_quiet(condition, seconds) and self._instance.changes(condition, holds=False):
                logger.warning(_OVER[condition], extra={"event": f"{condition}_ended", "tell_sentry": True})


def _memory_and_descriptors() -> tuple[int, int]:
    """Return the bytes of memory and the number of file descriptors of this process.

    Both are 0 on other systems than Linux.
    """
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * _PAGE, len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names only
    except OSError:
        return 0, 0
