# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Writes crashes that have just come in, and their ids, to the spool. Remembers whether the spool takes them."""

import errno
import logging
import time
from collections.abc import Callable
from typing import TypeVar

import markus

from antenna.crash import CrashReport
from antenna.hub import run_blocking
from antenna.ops.errors import describe
from antenna.ops.gauges import SpoolState
from antenna.ops.instance import Instance
from antenna.refusal import LossCause, Lost
from antenna.spool import Entry, Kind, OutOfProportion, Spool, SpoolFull

logger = logging.getLogger(__name__)
metrics = markus.get_metrics("crashmover")

R = TypeVar("R")


# Log messages for when the spool begins to refuse entries of a kind, and for when it takes them again. They are written
# out in full because people search the source for them.
_MESSAGES = {
    Kind.CRASH: ("the spool takes no crashes: %s", "the spool takes crashes again"),
    Kind.ID: ("the spool takes no ids: %s", "the spool takes ids again"),
}


class EntriesSetAside(Exception):
    """Raised by a health check: there are entries of the spool that were set aside."""


class SpoolWriter:
    """Writes to the spool. Logs when the spool stops working and when it works again. Raises ``Lost`` if it fails."""

    def __init__(self, spool: Spool, instance: Instance | None = None) -> None:
        """At first the spool counts as working. ``instance`` is the table that all workers share."""
        self.spool = spool
        self._instance = instance or Instance(workers=1)
        self._refused: set[Kind] = set()
        # Bytes of the last crash, if there was no room for it. Otherwise 0.
        self._lacking = 0

    def takes(self, kind: Kind) -> bool:
        """Whether the spool took the last entry of this kind. An id may find room when a crash does not."""
        return kind not in self._refused

    def add_crash(self, report: CrashReport) -> None:
        """Write a crash. When this returns, the crash is on the disk. Raises ``Lost``."""
        try:
            self._write(Kind.CRASH, lambda: self.spool.add_crash(report))
        except OutOfProportion as error:
            metrics.incr("spool_out_of_proportion")
            raise Lost(LossCause.SPOOL_FULL) from error
        except SpoolFull as error:
            self._lacking = error.size
            raise Lost(LossCause.SPOOL_FULL) from error
        self._lacking = 0

    def add_id(self, crash_id: str) -> None:
        """Write the id of a saved crash. When this returns, the id is on the disk. Raises ``Lost``."""
        self._write(Kind.ID, lambda: self.spool.add_id(crash_id))

    def add_claimed_id(self, crash_id: str) -> Entry:
        """Write the id of a saved crash as an entry that only this process may deliver until it is released.

        Raises ``Lost``.
        """
        return self._write(Kind.ID, lambda: self.spool.add_claimed_id(crash_id))

    def failed(self, error: BaseException, kind: Kind = Kind.CRASH) -> None:
        """Record that the spool does not take entries of this kind. The first time, an error is logged."""
        self._refused.add(kind)
        if self._instance.changes(_condition(kind), holds=True):
            logger.error(_MESSAGES[kind][0], describe(error), extra={"event": "spool_refuses", "tell_sentry": True})

    def succeeded(self, kind: Kind = Kind.CRASH) -> None:
        """Record that the spool takes entries of this kind. If it did not before, that is logged."""
        self._refused.discard(kind)
        if self._instance.changes(_condition(kind), holds=False):
            logger.warning(_MESSAGES[kind][1], extra={"event": "spool_takes", "tell_sentry": True})

    def probed(self, error: BaseException | None) -> bool:
        """Record the result of ``check_health``: the error, or None.

        Returns whether the disk can be written. It can if the spool has only reached its maximum, but not if the disk
        itself has no room or no inodes left.
        """
        if error is None:
            self.succeeded()
            return True
        self.failed(error)
        return isinstance(error, SpoolFull)

    def check_set_aside(self) -> None:
        """Raise ``EntriesSetAside`` if there are entries that somebody has to look at."""
        if count := run_blocking(self.spool.count_set_aside):
            raise EntriesSetAside(f"{count} entries can never be delivered; see bin/spool.py list")

    def check_health(self) -> None:
        """Raise an exception if the spool takes no crashes, or no crash as large as the last one that found no room."""
        try:
            run_blocking(self.spool.probe)
        except OSError as error:
            # The error is raised without the file's name, which differs each time: equal errors are to look the same.
            raise OSError(error.errno, error.strerror) from error
        run_blocking(self.spool.check_room, min(self._lacking, self.spool.max_size))

    def state(self) -> SpoolState:
        """Clean up the spool, and return what waits in it. Call this in a native thread. Raises ``OSError``."""
        statistics = self.spool.clean_up_and_count()
        return SpoolState(
            crashes=statistics.crashes,
            ids=statistics.ids,
            size=statistics.size,
            room=self.spool.room_left(),
            oldest_age=time.time() - statistics.oldest if statistics.oldest else 0.0,
            set_aside=statistics.set_aside,
            foreign=statistics.foreign,
        )

    def _write(self, kind: Kind, action: Callable[[], R]) -> R:
        try:
            result = run_blocking(action)
        except OutOfProportion:
            # Only this crash takes too much room. The spool still takes other crashes.
            raise
        except SpoolFull as error:
            self.failed(error, kind)
            raise
        except OSError as error:
            self.failed(error, kind)
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise Lost(LossCause.SPOOL_FULL if is_full else LossCause.SPOOL_ERROR) from error
        self.succeeded(kind)
        metrics.incr("spooled", tags=[f"kind:{kind.name.lower()}"])
        return result


def _condition(kind: Kind) -> str:
    return f"spool_refuses_{kind.name.lower()}"
