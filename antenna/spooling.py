# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Writes crashes of live traffic to the spool."""

import logging
from collections.abc import Callable
from typing import TypeVar

import markus

from antenna.blocking import run_blocking
from antenna.crash_report import CrashReport
from antenna.reasons import MalformedCrashReport, Reason
from antenna.spool import Spool, SpoolFull
from antenna.spool_entry import Entry

logger = logging.getLogger(__name__)
metrics = markus.get_metrics("crashmover")

R = TypeVar("R")


class Spooling:
    """A spool that says when it does not work, once. Raises ``MalformedCrashReport`` (``UNAVAILABLE``) then."""

    def __init__(self, spool: Spool) -> None:
        """It counts as working at first."""
        self.spool = spool
        self._works = True
        # Bytes of the crash for which there was no room, if that is how the last one ended.
        self._lacking = 0

    def works(self) -> bool:
        """Whether it took what it was last given."""
        return self._works

    def add_crash(self, report: CrashReport) -> None:
        """Write a crash; returns when it is on the disk."""
        self._write("crash", lambda: self.spool.add_crash(report), report.size)

    def add_id(self, crash_id: str) -> None:
        """Write the id of a saved crash; returns when it is on the disk."""
        self._write("id", lambda: self.spool.add_id(crash_id))

    def add_claimed_id(self, crash_id: str) -> Entry:
        """Write the id of a saved crash as an entry that nobody else delivers until it is released."""
        return self._write("id", lambda: self.spool.add_claimed_id(crash_id))

    def failed(self, error: Exception) -> None:
        """Take note that it does not work."""
        if self._works:
            self._works = False
            logger.error("the spool takes no crashes: %s", error)

    def check(self) -> None:
        """Raise an exception if the spool takes no crashes, or no more of the size that it has just turned away."""
        run_blocking(self.spool.probe)
        run_blocking(self.spool.check_room, min(self._lacking, self.spool.max_size))

    def _write(self, kind: str, action: Callable[[], R], size: int = 0) -> R:
        try:
            result = run_blocking(action)
        except (SpoolFull, OSError) as error:
            self._lacking = size if isinstance(error, SpoolFull) else 0
            self.failed(error)
            raise MalformedCrashReport(Reason.UNAVAILABLE) from error
        self._lacking = 0
        if not self._works:
            self._works = True
            logger.warning("the spool takes crashes again")
        metrics.incr("spooled", tags=[f"kind:{kind}"])
        return result
