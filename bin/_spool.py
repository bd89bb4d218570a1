# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Lists the entries of the spool, and delivers them by hand."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bin import _backends, _common  # isort: split

import gevent

from antenna.backend import BackendError, CrashRefused
from antenna.crashmover.attempts import Attempts
from antenna.crashmover.breaker import State
from antenna.crashmover.delivery import Delivered, Delivery
from antenna.files import require_type
from antenna.spool import Entry, EntryDamaged, Kind, Spool
from antenna.spool.entry import EntryName, read_failures
from antenna.spool.stock import SetAside

# Seconds for the first attempt. Each further attempt may take twice as long, and large dumps get more time.
TIMEOUT = 30.0
ATTEMPTS = 3

CLAIMED = "claimed by a collector"
NOT_TRIED = "not tried"


@dataclass(frozen=True)
class Item:
    """An entry in the state that it had when the spool was listed."""

    kind: Kind
    name: EntryName
    path: Path
    #: None if the entry waits to be delivered.
    set_aside: SetAside | None = None

    @property
    def state(self) -> str:
        """The work that is still to be done with the entry, or that it was set aside."""
        return self.kind.value if self.set_aside is None else f"set_aside/{self.kind.value}"

    @property
    def is_acknowledged(self) -> bool:
        """Whether the entry was set aside, and somebody has acknowledged it."""
        return self.set_aside is not None and self.set_aside.is_acknowledged

    def problem(self) -> str:
        """Return why the entry cannot be delivered, without reading it.

        It is "" if there is no problem, or the entry is gone.
        """
        try:
            require_type(self.path.lstat(), self.kind.file_type, self.path)
        except FileNotFoundError:
            return ""
        except OSError as error:
            return str(error.strerror)
        is_readable = os.access(self.path, os.R_OK | (os.X_OK if self.kind is Kind.CRASH else 0))
        # A collector may have delivered it since.
        return "" if is_readable or not os.path.lexists(self.path) else "cannot be read"

    @property
    def since(self) -> datetime | None:
        """When the entry was made. None if a person made up its name."""
        try:
            return self.name.since
        except ValueError:
            return None

    def failures(self) -> list[str]:
        """Return one line for each failed delivery of the entry. If the entry is gone, return an empty list."""
        try:
            return read_failures(self.path, self.kind)
        except OSError:  # the entry is gone, or it is a thing of another kind
            return []

    def describe(self) -> dict[str, Any]:
        """Return the object that ``list --json`` prints."""
        return {
            "crash_id": self.name.crash_id,
            "kind": self.kind.value,
            "set_aside": self.set_aside is not None,
            "acknowledged": self.is_acknowledged,
            "since": self.since and self.since.isoformat(),
            "size": self.name.size,
            "failures": len(self.failures()),
            "problem": self.problem(),
            "path": str(self.path),
        }


def items_waiting(spool: Spool) -> Iterator[Item]:
    """Yield the entries that wait, each kind sorted by age."""
    for kind in Kind:
        for text in spool.oldest(kind, sys.maxsize):
            if name := EntryName.parse(text):
                yield Item(kind, name, spool.root / kind.value / text)


def items_set_aside(spool: Spool) -> Iterator[Item]:
    """Yield the entries that were set aside."""
    for entry in spool.entries_set_aside():
        yield Item(entry.kind, entry.name, entry.path, entry)


def all_items(spool: Spool) -> Iterator[Item]:
    """Yield all entries."""
    yield from items_waiting(spool)
    yield from items_set_aside(spool)


def chosen(items: Iterator[Item], crash_ids: list[str]) -> list[Item]:
    """Return the entries with these crash ids, or all if no ids are given.

    Raises ``ToolError`` if an id has no entry.
    """
    found = [item for item in items if not crash_ids or item.name.crash_id in crash_ids]
    missing = set(crash_ids) - {item.name.crash_id for item in found}
    if missing:
        raise _common.ToolError(f"there is no such entry: {', '.join(sorted(missing))}")
    return found


class Deliverer:
    """Delivers entries by hand, until a backend turns out to be down."""

    def __init__(self, spool: Spool) -> None:
        saving, publishing = (
            Attempts(operation, timeout=TIMEOUT, max_attempts=ATTEMPTS, longest_pause=2.0, spool_takes=lambda: True)
            for operation in ("save", "publish")
        )
        self._breakers = {Kind.CRASH: saving.breaker, Kind.ID: publishing.breaker}
        self._delivery = Delivery(
            spool, _backends.storage(), _backends.publisher(), saving=saving, publishing=publishing
        )

    def deliver(self, item: Item) -> tuple[Item, str]:
        """Deliver an entry. Returns the entry, and why the delivery failed, or ""."""
        if self._breakers[item.kind].state is State.DOWN:
            return item, NOT_TRIED
        entry = self._delivery.claim(item.kind, item.name.text)
        if entry is None:
            return item, item.problem() or CLAIMED
        try:
            return item, self._try(entry)
        except (EntryDamaged, CrashRefused, OSError) as error:
            return item, str(error)
        finally:
            self._delivery.release(entry)

    def _try(self, entry: Entry) -> str:
        reason = ""
        for attempt in range(ATTEMPTS):
            try:
                delivered = self._delivery.deliver(entry, time_factor=2**attempt)
            except BackendError as error:
                reason = str(error)
                self._breakers[entry.kind].failed(error)
                gevent.sleep(attempt)
            else:
                return "" if delivered is Delivered.ALL else "saved, not published"
        return reason
