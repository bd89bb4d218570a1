# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Writes crashes of live traffic to the spool."""

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


# What the log says when it takes them no longer, and when it does again. In full: people search for it.
_MESSAGES = {
    Kind.CRASH: ("the spool takes no crashes: %s", "the spool takes crashes again"),
    Kind.ID: ("the spool takes no ids: %s", "the spool takes ids again"),
}


class SetAside(Exception):
    """Entries were set aside."""


class SpoolWriter:
    """A spool that says when it does not work, once. Raises ``Lost`` then."""

    def __init__(self, spool: Spool, instance: Instance | None = None) -> None:
        """It counts as working at first. ``instance``: what the workers know together."""
        self.spool = spool
        self._instance = instance or Instance(workers=1)
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
        except OutOfProportion as error:
            metrics.incr("spool_out_of_proportion")
            raise Lost(LossCause.SPOOL_FULL) from error
        except SpoolFull as error:
            self._lacking = error.size
            raise Lost(LossCause.SPOOL_FULL) from error
        self._lacking = 0

    def add_id(self, crash_id: str) -> None:
        """Write the id of a saved crash; returns when it is on the disk."""
        self._write(Kind.ID, lambda: self.spool.add_id(crash_id))

    def add_claimed_id(self, crash_id: str) -> Entry:
        """Write the id of a saved crash as an entry that nobody else delivers until it is released."""
        return self._write(Kind.ID, lambda: self.spool.add_claimed_id(crash_id))

    def failed(self, error: BaseException, kind: Kind = Kind.CRASH) -> None:
        """Take note that it does not work."""
        self._refused.add(kind)
        if self._instance.changes(_condition(kind), holds=True):
            logger.error(_MESSAGES[kind][0], describe(error), extra={"event": "spool_refuses", "tell_sentry": True})

    def works(self, kind: Kind = Kind.CRASH) -> None:
        """Take note that it works."""
        self._refused.discard(kind)
        if self._instance.changes(_condition(kind), holds=False):
            logger.warning(_MESSAGES[kind][1], extra={"event": "spool_takes", "tell_sentry": True})

    def probed(self, error: BaseException | None) -> bool:
        """Take note what ``check_health`` has found out, also while no crash needs the spool.

        Returns whether it can be written: it can where it only has no room.
        """
        if error is None:
            self.works()
            return True
        self.failed(error)
        return isinstance(error, SpoolFull)

    def check_set_aside(self) -> None:
        """Raise ``SetAside`` if there are entries that somebody has to look at."""
        if count := run_blocking(self.spool.count_set_aside):
            raise SetAside(f"{count} entries can never be delivered; see bin/spool.py list")

    def check_health(self) -> None:
        """Raise an exception if the spool takes no crashes, or no more of the size that it has just turned away."""
        try:
            run_blocking(self.spool.probe)
        except OSError as error:
            # Without the name of the file, which is another one each time.
            raise OSError(error.errno, error.strerror) from error
        run_blocking(self.spool.check_room, min(self._lacking, self.spool.max_size))

    def state(self) -> SpoolState:
        """Clean up, and return what waits in the spool. For a native thread; raises ``OSError``."""
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
            # It takes others.
            raise
        except SpoolFull as error:
            self.failed(error, kind)
            raise
        except OSError as error:
            self.failed(error, kind)
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise Lost(LossCause.SPOOL_FULL if is_full else LossCause.SPOOL_ERROR) from error
        self.works(kind)
        metrics.incr("spooled", tags=[f"kind:{kind.name.lower()}"])
        return result


def _condition(kind: Kind) -> str:
    return f"spool_refuses_{kind.name.lower()}"
