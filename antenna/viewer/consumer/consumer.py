# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Puts crashes into the index, one after the other, for as long as the viewer runs."""

import contextlib
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
from antenna.viewer.index.rows import failed_row

logger = logging.getLogger(__name__)

# Crashes whose rows are written in one transaction, and seconds that the first of them waits for it.
_BATCH = 50
_BATCH_SECONDS = 1.0
# Seconds between two looks for new crashes; and for symbols that have come, and crashes that are too old.
_INTERVAL = 3.0
_UPKEEP_INTERVAL = 15.0
# Seconds that crashes are read again for before it is looked for new ones.
_AGAIN_SECONDS = 10.0
# Bytes that stay free on the disk of the index: a collector on the same machine needs them for crashes.
_MIN_FREE = 200 * 1024**2
# A look that finds nothing and takes long, as in a large bucket, is followed by a pause of so many times its length.
_PAUSE = 5


# Seconds after which a crash is read again if the storage lacked an object of it, for example because a disk was not
# mounted. After the last one, only bin/viewer_index.py reads it again. And the most crashes that wait for that.
_LATER = (60.0, 600.0, 3600.0, 6 * 3600.0)
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
    """When it last had nothing left to read, in seconds since 1970."""
    read: int = 0
    failed: int = 0
    reread: int = 0
    to_reread: int = 0
    """Crashes whose symbols have come, and which wait to be read again."""
    is_reading: bool = False
    """Whether it has found crashes and has not read all of them yet."""
    trouble: str = ""
    """Why it cannot read crashes now, such as that the storage is away."""


class Consumer:
    """Reads the crashes that its source tells it of, and adds them to the index."""

    def __init__(
        self, source: Source, reader: CrashReader, index: Index, *, store: Store | None = None, keep_days: int = 0
    ) -> None:
        """``store`` is that of the symbols; ``keep_days`` is how long crashes stay in the index, 0 for ever."""
        self.state = State()
        self.source = source
        self._reader = reader
        self.index = index
        self._store = store
        self._keep_days = keep_days
        self._kept_up = 0.0
        # Symbols for which crashes were read again: debug id and time of each.
        self._served: set[tuple[str, str]] = set()
        # The crashes that lacked them, in the order in which they are to be read.
        self._again: dict[str, None] = {}
        self._incomplete: dict[str, _Incomplete] = {}

    def run(self) -> None:
        """Look for crashes until the greenlet is killed."""
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
        """Read all crashes that are new now; return how many they are."""
        before = self.state.read
        try:
            self._keep_up()
            self._check_room()
            self._take()
            self._read_again()
            self._read_incomplete()
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

    def _take(self) -> None:
        batch: list[tuple[Pending, CrashRow]] = []
        began = time.monotonic()
        try:
            for pending in self.source.pending():
                self.state.is_reading = True
                if self._is_too_old(pending.crash_id):
                    pending.done()
                    continue
                batch.append((pending, self._row(pending.crash_id)))
                if len(batch) >= _BATCH or time.monotonic() - began > _BATCH_SECONDS:
                    self._write(batch)
                    batch, began = [], time.monotonic()
            self.state.is_reading = False
        finally:
            # Crashes that were read before the storage went away.
            self._write(batch)

    def _write(self, batch: list[tuple[Pending, CrashRow]]) -> None:
        if not batch:
            return
        self.index.add(row for _, row in batch)
        for pending, _ in batch:
            pending.done()
        self.state.read += len(batch)

    def _row(self, crash_id: str) -> CrashRow:
        try:
            row = self._reader.read(crash_id)
        except CrashFailedError as error:
            row = failed_row(crash_id, str(error))
        if row.failed:
            self.state.failed += 1
            logger.warning("%s: %s", crash_id, row.failed)
        if self._reader.lacked_object and len(self._incomplete) < _MOST_LATER:
            self._incomplete[crash_id] = _Incomplete(1, time.monotonic() + _LATER[0])
        return row

    def _keep_up(self) -> None:
        """Find crashes whose symbols have come, and forget those that are too old."""
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
        """Remove crashes that are too old, in small steps: pages have their turn between them."""
        has_forgotten = False
        while self.index.forget_before(self._first_day):
            has_forgotten = True
            gevent.sleep(0)
        for _ in self.index.clean_up() if has_forgotten else ():
            gevent.sleep(0)

    def _read_again(self) -> None:
        """Read crashes again whose symbols have come, for some time: new crashes do not wait for thousands of them."""
        began = time.monotonic()
        while self._again and time.monotonic() - began < _AGAIN_SECONDS:
            crash_id = next(iter(self._again))
            try:
                self.index.add([self._reader.read(crash_id)])
                self.state.reread += 1
            except CrashFailedError as error:
                # Its page still shows what was there when it was read first.
                logger.warning("%s cannot be read again: %s", crash_id, error)
            del self._again[crash_id]
        self.state.to_reread = len(self._again)

    def _read_incomplete(self) -> None:
        """Read crashes again of which the storage lacked an object, for some time, and a few times each."""
        began = time.monotonic()
        for crash_id in [crash_id for crash_id, crash in self._incomplete.items() if crash.due <= began]:
            if time.monotonic() - began > _AGAIN_SECONDS:
                return
            crash = self._incomplete[crash_id]
            with contextlib.suppress(CrashFailedError):  # its page still says why
                row = self._reader.read(crash_id)
                if not self._reader.lacked_object:
                    self.index.add([row])
                    self.state.reread += 1
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
    """Return which symbols the store has of those that were missing: debug id, and when they came."""
    return {(entry.debug_id, entry.added) for entry in store.entries() if entry.debug_id in debug_ids}
