# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Puts crashes into the index, one after the other, for as long as the viewer runs."""

import logging
import shutil
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import gevent

from antenna.backend import BackendError
from antenna.crash import crash_id as crash_ids
from antenna.hub import run_blocking
from antenna.symbols import Store
from antenna.viewer.consumer.sources import Pending, Source
from antenna.viewer.crash_reader import CrashFailedError, CrashReader
from antenna.viewer.index import CrashRow, Index
from antenna.viewer.rows import failed_row

logger = logging.getLogger(__name__)

# Most crashes whose rows are written in one transaction, and seconds after which the transaction is written even if
# there are fewer.
_BATCH = 50
_BATCH_SECONDS = 1.0
# Seconds between two searches for new crashes, and between two checks for new symbols and for crashes that are too old.
_INTERVAL = 3.0
_UPKEEP_INTERVAL = 15.0
# Most seconds in which crashes are read again. Then new crashes have their turn.
_AGAIN_SECONDS = 10.0
# Bytes that stay free on the disk of the index, because a collector on the same machine needs them for crashes. If
# fewer are free, no crashes are read.
_MIN_FREE = 200 * 1024**2
# If a search finds nothing, the pause after it is at least this many times as long as the search took. Listing a large
# bucket takes long.
_PAUSE = 5

# Seconds after which a crash is read again if the storage lacked an object of it, for example because a disk was not
# mounted. After the last attempt, only bin/viewer_index.py reads it again.
_LATER = (60.0, 600.0, 3600.0, 6 * 3600.0)
# Most crashes that wait for such an attempt. If there are more, the others are not read again.
_MOST_LATER = 10_000


class NoRoomError(Exception):
    """The disk of the index is almost full."""


@dataclass
class _Incomplete:
    """A crash of which the storage lacked an object: how often it was read, and when it is read again."""

    reads: int
    due: float


@dataclass
class State:
    """The progress of the consumer, for the status page."""

    started: float = field(default_factory=time.time)
    looked: float | None = None
    """When it last had read all crashes, in seconds since 1970. None if that was never so."""
    read: int = 0
    failed: int = 0
    reread: int = 0
    to_reread: int = 0
    """Crashes whose symbols have come, and which wait to be read again."""
    is_reading: bool = False
    """Whether it has found crashes and has not read all of them yet."""
    trouble: str = ""
    """Why it cannot read crashes now, for example because the storage is away. It is empty if there is no trouble."""


class Consumer:
    """Reads the crashes that its source yields, and adds them to the index."""

    def __init__(
        self, source: Source, reader: CrashReader, index: Index, *, store: Store | None = None, keep_days: int = 0
    ) -> None:
        """``store`` has the symbols. Crashes stay in the index for ``keep_days``, or for ever if that is 0."""
        self.state = State()
        self.source = source
        self._reader = reader
        self.index = index
        self._store = store
        self._keep_days = keep_days
        self._kept_up = 0.0
        # The symbols for which crashes were read again: the debug id, and the time when the symbols were added.
        self._served: set[tuple[str, str]] = set()
        # The crashes that lacked these symbols, in the order in which they are to be read again.
        self._again: dict[str, None] = {}
        self._incomplete: dict[str, _Incomplete] = {}
        # How many crashes were read, and how many it were when the storage failed at a crash first.
        self._successes = 0
        self._failing: dict[str, int] = {}

    def run(self) -> None:
        """Search for crashes and read them until the greenlet is killed."""
        while True:
            began, before = time.monotonic(), self.state.read
            try:
                self.look()
            except Exception as error:
                self.state.trouble = f"{type(error).__name__}: {error}"
                logger.exception("the viewer could not look for crashes")
            took = time.monotonic() - began
            is_busy = self.state.read > before or self._again
            gevent.sleep(_INTERVAL if is_busy else max(_INTERVAL, took * _PAUSE))

    def look(self) -> int:
        """Read all crashes that are new now, and some that are to be read again. Returns how many were new."""
        before = self.state.read
        try:
            self._keep_up()
            self._check_room()
            trouble = self._take()
            self._read_again()
            self._read_incomplete()
            if trouble is not None:
                raise trouble
        except (BackendError, NoRoomError) as error:
            self.state.trouble = str(error)
            logger.warning("the viewer cannot read crashes: %s", error)
        else:
            self.state.trouble = ""
            self.state.looked = time.time()
        return self.state.read - before

    def _check_room(self) -> None:
        """Raise ``NoRoomError`` if the disk of the index is almost full."""
        if shutil.disk_usage(self.index.path.parent).free < _MIN_FREE:
            raise NoRoomError(f"the disk of {self.index.path.parent} has less than {_MIN_FREE >> 20} MiB left")

    def _take(self) -> BackendError | None:
        """Read the crashes that are new. Returns the error if the storage did not give some of them.

        Raises ``BackendError`` if the source fails.
        """
        batch: list[tuple[Pending, CrashRow]] = []
        began = succeeded = time.monotonic()
        trouble: BackendError | None = None
        try:
            for pending in self.source.pending():
                self.state.is_reading = True
                if self._is_too_old(pending.crash_id):
                    pending.done()
                    continue
                try:
                    batch.append((pending, self._row(pending.crash_id)))
                    succeeded = time.monotonic()
                except BackendError as error:
                    # The next one may be readable. But if the storage is away, each attempt may take seconds.
                    if time.monotonic() - succeeded > _AGAIN_SECONDS:
                        raise
                    trouble = error
                if len(batch) >= _BATCH or time.monotonic() - began > _BATCH_SECONDS:
                    self._write(batch)
                    batch, began = [], time.monotonic()
            self.state.is_reading = False
        finally:
            # If the source has failed, the crashes that were read before are written all the same.
            self._write(batch)
        return trouble

    def _write(self, batch: list[tuple[Pending, CrashRow]]) -> None:
        if not batch:
            return
        self.index.add(row for _, row in batch)
        for pending, _ in batch:
            pending.done()
        self.state.read += len(batch)

    def _row(self, crash_id: str) -> CrashRow:
        """Return the row of a crash. If it cannot be read, the row says why. Raises ``BackendError``."""
        is_complete = False
        try:
            row = self._reader.read(crash_id)
            self._successes += 1
            is_complete = not self._reader.lacked_object
        except CrashFailedError as error:
            row = failed_row(crash_id, str(error))
            is_complete = not self._reader.lacked_object
        except BackendError as error:
            if not self._fails_alone(crash_id):
                raise
            row = failed_row(crash_id, str(error))
        self._failing.pop(crash_id, None)
        if row.failed:
            self.state.failed += 1
            logger.warning("%s: %s", crash_id, row.failed)
        if not is_complete and len(self._incomplete) < _MOST_LATER:
            self._incomplete[crash_id] = _Incomplete(1, time.monotonic() + _LATER[0])
        return row

    def _fails_alone(self, crash_id: str) -> bool:
        """Whether other crashes were read since the storage failed at this one before. Then its objects are to blame.

        For example, the disk may have a bad block, or a file the wrong owner.
        """
        if len(self._failing) >= _MOST_LATER:
            self._failing.clear()
        return self._successes > self._failing.setdefault(crash_id, self._successes)

    def _keep_up(self) -> None:
        """Find the crashes for which symbols have been added, and remove those that are too old."""
        if self._kept_up and time.monotonic() - self._kept_up < _UPKEEP_INTERVAL:
            return
        if self._store is not None and (missing := self.index.missing_ids()):
            for found in run_blocking(_arrived, self._store, missing) - self._served:
                self._again |= dict.fromkeys(self.index.lacking(found[0]))
                self._served.add(found)
        if self._keep_days:
            self._forget()
        self._kept_up = time.monotonic()

    def _forget(self) -> None:
        """Remove crashes that are too old, in small steps. Between two steps, requests are answered."""
        has_forgotten = False
        while self.index.forget_before(self._first_day):
            has_forgotten = True
            gevent.sleep(0)
        for _ in self.index.clean_up() if has_forgotten else ():
            gevent.sleep(0)

    def _read_again(self) -> None:
        """Read crashes again for which symbols have been added, until it is time to look for new crashes."""
        began = time.monotonic()
        while self._again and time.monotonic() - began < _AGAIN_SECONDS:
            crash_id = next(iter(self._again))
            try:
                self.index.add([self._reader.read(crash_id)])
                self.state.reread += 1
            except CrashFailedError as error:
                # Its page still shows the result of the first reading.
                logger.warning("%s cannot be read again: %s", crash_id, error)
            except BackendError:
                self._again[crash_id] = self._again.pop(crash_id)  # others go first the next time
                raise
            del self._again[crash_id]
        self.state.to_reread = len(self._again)

    def _read_incomplete(self) -> None:
        """Read crashes again of which the storage lacked an object. Each is read a few times, later and later."""
        began = time.monotonic()
        for crash_id in [crash_id for crash_id, crash in self._incomplete.items() if crash.due <= began]:
            if time.monotonic() - began > _AGAIN_SECONDS:
                return
            crash = self._incomplete[crash_id]
            try:
                row = self._reader.read(crash_id)
                if not self._reader.lacked_object:
                    self.index.add([row])
                    self.state.reread += 1
            except CrashFailedError:  # the page of the crash still says why
                pass
            except BackendError:
                crash.due = time.monotonic() + _LATER[crash.reads - 1]
                continue
            if not self._reader.lacked_object or crash.reads == len(_LATER):
                del self._incomplete[crash_id]
            else:
                crash.due = time.monotonic() + _LATER[crash.reads]
                crash.reads += 1

    @property
    def _first_day(self) -> str:
        return f"{datetime.now(UTC).date() - timedelta(days=self._keep_days):%Y%m%d}"

    def _is_too_old(self, crash_id: str) -> bool:
        return bool(self._keep_days) and crash_ids.date_of(crash_id) < self._first_day


def _arrived(store: Store, debug_ids: set[str]) -> set[tuple[str, str]]:
    """Return the symbols that the store has for ``debug_ids``: the debug id of each, and when it was added."""
    return {(entry.debug_id, entry.added) for entry in store.entries() if entry.debug_id in debug_ids}
