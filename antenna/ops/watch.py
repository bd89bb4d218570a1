# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Watches the process, and says for the instance how it is.

Every worker writes to its row of the table once a second. One of them, the speaker, also looks after what they share,
and sends the state of the instance as gauges: once for all, whoever found out.
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

# Seconds between two rows of a worker, between two looks at what can fail, and between two times that gauges are sent.
_BEAT = 1.0
_LOOK = 5.0
_SEND = 10.0
# The lag of the loop is how much later than after so many seconds it wakes up who sleeps.
_NAP = 0.1
# Seconds without another one after which an episode is over.
_QUIET = {"losing": 30.0, "wrong_path": 600.0}

_PAGE = resource.getpagesize()


@dataclass(frozen=True)
class Watched:
    """What is watched. The application puts it together."""

    #: Whether this worker finds a backend down.
    is_down: Mapping[str, Callable[[], bool]]
    #: What every worker does now and then; such as asking a backend that is down when no crash would.
    look_after: Callable[[], None]
    #: What the speaker proves now and then: ``spool`` and ``temp`` can be written. Each returns whether that works.
    probes: Mapping[str, Callable[[], bool]] = field(default_factory=dict)
    #: Raises ``OSError``. None where there is no spool.
    spool: Callable[[], SpoolState] | None = None
    #: Bytes of temporary files of this worker, and how many there may be.
    temporary_files: Callable[[], tuple[int, int]] = lambda: (0, 0)
    #: Tags of the build.
    build: Mapping[str, str] = field(default_factory=dict)


class Watch:
    """The watch of one worker, in threads of its own: a disk that hangs does not keep the worker from showing life."""

    def __init__(self, instance: Instance, watched: Watched) -> None:
        """``instance`` is the table, ``watched`` what there is to look at."""
        self._instance = instance
        self._watched = watched
        self._stopped = threading.Event()
        self._gauges = Gauges(instance, watched.build)

    def start(self) -> None:
        """Begin to watch."""
        for action, seconds in ((self._beat, _BEAT), (self._look, _LOOK), (self._send, _SEND)):
            threading.Thread(target=self._repeat, args=(action, seconds), daemon=True).start()

    def stop(self) -> None:
        """End, when the current work is done."""
        self._stopped.set()

    def _repeat(self, action: Callable[[], None], seconds: float) -> None:
        while not self._stopped.is_set():
            try:
                action()
            except Exception:
                logger.exception("the state of the instance cannot be seen")
            self._stopped.wait(seconds)

    # Every worker.

    def _beat(self) -> None:
        """Write to the row, and measure how late the loop is."""
        begun = time.monotonic()
        time.sleep(_NAP)
        row = self._instance.row
        row[Worker.LOOP_LAG] = max(0.0, time.monotonic() - begun - _NAP)
        row[Worker.CPU] = time.process_time()
        row[Worker.TEMP_SIZE], row[Worker.MOST_TEMP_SIZE] = self._watched.temporary_files()
        self._write_backends(row)
        self._instance.beat()
        if self._instance.is_speaker:
            self._speak()

    def _write_backends(self, row: Row) -> None:
        for backend, (down, since) in BACKENDS.items():
            is_down = self._watched.is_down[backend]()
            if is_down != bool(row[down]):
                row[since] = time.monotonic()
            row[down] = is_down

    def _look(self) -> None:
        """Write what takes a moment to find out, and do what is to be done now and then."""
        row = self._instance.row
        row[Worker.MEMORY], row[Worker.DESCRIPTORS] = run_blocking(_memory_and_descriptors)
        row[Worker.MOST_DESCRIPTORS] = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._watched.look_after()
        if self._instance.is_speaker:
            for name, probe in self._watched.probes.items():
                self._gauges.send_writable(name, is_writable=probe())

    # The speaker.

    def _send(self) -> None:
        """Send the gauges of the instance."""
        if not self._instance.is_speaker:
            return
        self._gauges.send()
        if self._watched.spool is not None:
            try:
                self._gauges.send_spool(run_blocking(self._watched.spool))
            except OSError as error:
                logger.warning("the spool cannot be looked after: %s", error.strerror)

    def _speak(self) -> None:
        """Say what has happened to workers, and which episodes are over."""
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


_OVER = {
    "losing": "no crash has been lost for 30 s",
    "wrong_path": "no crash has come to a wrong path for 10 minutes",
}


def _memory_and_descriptors() -> tuple[int, int]:
    """Return the bytes of memory that this process has, and the number of its file descriptors; 0 outside of Linux."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * _PAGE, len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names only
    except OSError:
        return 0, 0
