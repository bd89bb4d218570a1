# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Writes crashes of live traffic to the spool."""

import errno
import logging
from collections.abc import Callable
from typing import TypeVar

import markus

from antenna.crash.report import CrashReport
from antenna.hub import run_blocking
from antenna.refusal import LossCause, Lost
from antenna.spool.entry import Entry, Kind
from antenna.spool.spool import Spool, SpoolFull

logger = logging.getLogger(__name__)
metrics = markus.get_metrics("crashmover")

R = TypeVar("R")


# What the log says when it takes them no longer, and when it does again. In full: people search for it.
_MESSAGES = {
    Kind.CRASH: ("the spool takes no crashes: %s", "the spool takes crashes again"),
    Kind.ID: ("the spool takes no ids: %s", "the spool takes ids again"),
}


class SpoolWriter:
    """A spool that says when it does not work, once. Raises ``Lost`` then."""

    def __init__(self, spool: Spool) -> None:
        """It counts as working at first."""
        self.spool = spool
        self._refused: set[Kind] = set()
        # Bytes of the crash for which there was no room, if that is how the last one ended.
        self._lacking = 0

    def takes(self, kind: Kind) -> bool:
        """Whether it took what it was last given of this kind: an id may find room where a crash does not."""
        return kind not in self._refused

    def add_crash(self, report: CrashReport) -> None:
        """Write a crash; returns when it is on the disk."""
        try:
            self._write(Kind.CRASH, lambda: self.spool.add_crash(report))
        except SpoolFull as error:
            self._lacking = report.size
            raise Lost(LossCause.SPOOL_FULL) from error
        self._lacking = 0

    def add_id(self, crash_id: str) -> None:
        """Write the id of a saved crash; returns when it is on the disk."""
        self._write(Kind.ID, lambda: self.spool.add_id(crash_id))

    def add_claimed_id(self, crash_id: str) -> Entry:
        """Write the id of a saved crash as an entry that nobody else delivers until it is released."""
        return self._write(Kind.ID, lambda: self.spool.add_claimed_id(crash_id))

    def failed(self, error: Exception, kind: Kind = Kind.CRASH) -> None:
        """Take note that it does not work."""
        if self.takes(kind):
            self._refused.add(kind)
            logger.error(_MESSAGES[kind][0], error)

    def check_health(self) -> None:
        """Raise an exception if the spool takes no crashes, or no more of the size that it has just turned away."""
        try:
            run_blocking(self.spool.probe)
        except OSError as error:
            # Without the name of the file, which is another one each time.
            raise OSError(error.errno, error.strerror) from error
        run_blocking(self.spool.check_room, min(self._lacking, self.spool.max_size))

    def _write(self, kind: Kind, action: Callable[[], R]) -> R:
        try:
            result = run_blocking(action)
        except SpoolFull as error:
            self.failed(error, kind)
            raise
        except OSError as error:
            self.failed(error, kind)
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise Lost(LossCause.SPOOL_FULL if is_full else LossCause.SPOOL_ERROR) from error
        if not self.takes(kind):
            self._refused.remove(kind)
            logger.warning(_MESSAGES[kind][1])
        metrics.incr("spooled", tags=[f"kind:{kind.name.lower()}"])
        return result
