# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The sources that tell the consumer which crashes are new."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from antenna.crash import crash_id as crash_ids
from antenna.crash import raw_crash_prefix
from antenna.ext import CrashStorageBase
from antenna.viewer.index import Index

# Seconds between two searches of the days before yesterday. Only crashes that waited in a spool come there.
_OLD_DAYS_INTERVAL = 300.0


@dataclass(frozen=True, slots=True)
class Pending:
    """A crash that the index does not have yet."""

    crash_id: str
    done: Callable[[], None]
    """A function that the consumer calls when the crash is in the index."""


class Source(Protocol):
    """Tells the consumer which crashes are new."""

    def pending(self) -> Iterator[Pending]:
        """Yield the crashes that are not in the index now. Raises ``BackendError`` if the backend is away."""


class StorageSource:
    """Lists the storage, day by day. It changes nothing there, and finds deferred crashes as well."""

    def __init__(self, storage: CrashStorageBase, index: Index, days: int) -> None:
        """``days`` is the number of days, today included, whose crashes are listed."""
        self._storage = storage
        self._index = index
        self._days = days
        self._looked_at_old_days = 0.0

    def pending(self) -> Iterator[Pending]:
        """Yield the crashes that the index does not have, today's first."""
        today = datetime.now(UTC).date()
        days = min(2, self._days)
        if time.monotonic() - self._looked_at_old_days > _OLD_DAYS_INTERVAL or not self._looked_at_old_days:
            days = self._days
            self._looked_at_old_days = time.monotonic()
        for number in range(days):
            yield from self._pending_of(f"{today - timedelta(days=number):%Y%m%d}")

    def _pending_of(self, day: str) -> Iterator[Pending]:
        known = self._index.known(day)
        for path in self._storage.list_paths(raw_crash_prefix(day)):
            crash_id = path.rpartition("/")[2]
            if crash_id not in known and crash_ids.is_valid(crash_id) and crash_ids.date_of(crash_id) == day:
                yield Pending(crash_id, lambda: None)


class QueueSource:
    """Takes the entries of the directory queue, and removes them. So no other processor can use the same queue."""

    def __init__(self, root: Path) -> None:
        """``root`` is the directory of the queue."""
        self._root = root

    def pending(self) -> Iterator[Pending]:
        """Yield the crashes whose ids are in the queue, the oldest first. Files with a dot in front are incomplete."""
        for entry in sorted(self._root.glob("[!.]*")):
            with contextlib.suppress(OSError):  # another reader has removed it
                crash_id = entry.read_text(encoding="ascii", errors="replace").strip()
                if crash_ids.is_valid(crash_id):
                    yield Pending(crash_id, _remove(entry))


def _remove(entry: Path) -> Callable[[], None]:
    return lambda: entry.unlink(missing_ok=True)
