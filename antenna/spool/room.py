# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Decides whether the spool has room for another crash: by its size, by its disk, and by what the client has sent."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from antenna.files import REFUSED
from antenna.spool.stock import Statistics, take_stock

# The spool leaves one part in _FREE_SHARE of its disk free, but at most _MOST_FREE bytes. Ids, entries that were set
# aside and other users of the disk need some room, too.
_FREE_SHARE = 20
_MOST_FREE = 100 * 1024 * 1024

# Bytes that a crash may take on the disk for each byte that its client sent, if the spool is more than half full. A
# crash that takes more is refused as out of proportion. Real reports stay below: gzip shrinks a minidump to a third or
# a tenth. Repeated bytes, as a hostile client may send them, shrink to a thousandth.
_PROPORTION = 16
# Blocks that a crash may take in addition, since even the smallest report takes a directory and two or three files. A
# block is as large as the file system says, within these bounds in bytes.
_FREE_BLOCKS = 8
_SMALLEST_BLOCK = 4096
_LARGEST_BLOCK = 64 * 1024

# Before a crash is added, the spool is counted again if other workers may have filled it since the last count. They
# fill it by at most _FASTEST bytes a second, which is more than a disk takes in fsynced files. It is also counted again
# after _LONGEST_UNCOUNTED seconds, because entries may have been delivered. Counting takes at most one part in
# _COUNT_SHARE of the time.
_FASTEST = 256 * 1024 * 1024
_LONGEST_UNCOUNTED = 10.0
_COUNT_SHARE = 10


class SpoolFull(Exception):
    """Raised if there is no room for another crash."""

    def __init__(self, message: str, size: int = 0) -> None:
        """``size`` is the number of bytes for which there was no room."""
        super().__init__(message)
        self.size = size


class OutOfProportion(SpoolFull):
    """Raised if room is short and the crash takes far more of it than its client sent.

    There is still room for other crashes.
    """


class SpoolRoom:
    """The bytes that crashes may take in the spool. They are counted as they lie on the disk, where holes take no room.

    All workers share the spool. A worker learns what the other workers have added only when it counts. So together they
    may pass the limit by what they write at the same time. An entry that is in the spool is never removed to make room.
    """

    def __init__(self, root: Path, max_size: int) -> None:
        """``root`` is the directory of the spool. It must exist when a method is called."""
        self._root = root
        self._max_size = max_size
        self.statistics = Statistics()
        # Bytes that this worker has added since the last count, and bytes that it is writing now, by the name of the
        # work. If two threads add at the same time, one addition may be lost. The next count corrects that.
        self._added = 0
        self._reserved: dict[str, int] = {}
        self._next_count = 0.0

    def count(self) -> Statistics:
        """Count the entries in the spool and their bytes. Raises ``OSError``."""
        start = time.monotonic()
        self.statistics = take_stock(self._root)
        self._added = 0
        end = time.monotonic()
        left = max(0, self._max_size - self.statistics.size)
        self._next_count = end + max((end - start) * _COUNT_SHARE, min(left / _FASTEST, _LONGEST_UNCOUNTED))
        return self.statistics

    def reserve(self, work: str, size: int, wire_size: int) -> None:
        """Reserve ``size`` bytes for a crash that is about to be written, under the name ``work``.

        ``wire_size`` is the number of bytes that its client has sent. Raises ``SpoolFull`` and ``OutOfProportion``.
        """
        self._check(size, wire_size, size)
        self._reserved[work] = size

    def settle(self, work: str, size: int, wire_size: int) -> None:
        """Replace the reservation by the ``size`` that was really written. Raises the same as ``reserve``."""
        self.release(work)
        self._check(size, wire_size, 0)
        self._reserved[work] = size

    def release(self, work: str) -> None:
        """Release the reservation named ``work``."""
        self._reserved.pop(work, None)

    def add(self, size: int) -> None:
        """Count a crash of ``size`` bytes that is in the spool now."""
        self._added += size

    def left(self) -> int:
        """Return the bytes that are left for crashes, the smaller of those of the limit and of the disk.

        Raises ``OSError``.
        """
        left, disk = self._max_size - self._used(), _disk_of(self._root)
        return max(0, left if disk is None else min(left, disk.room))

    def _used(self) -> int:
        # list() of a dict's values is atomic, but a sum of them is not.
        return self.statistics.size + self._added + sum(list(self._reserved.values()))

    def check(self, size: int) -> None:
        """Raise ``SpoolFull`` if there is no room for ``size`` bytes."""
        self._check(size, size, size)

    def _check(self, size: int, wire_size: int, to_write: int) -> None:
        """Raise ``SpoolFull`` if there is no room for ``size`` bytes, ``to_write`` of which are not on the disk yet.

        Raise ``OutOfProportion`` if room is short and ``size`` is far more than ``wire_size``, which the client sent.
        """
        if time.monotonic() > self._next_count:
            self.count()
        used = self._used()
        if used + size > self._max_size:
            raise SpoolFull(f"the spool holds {used} bytes", size)
        left, block = self._max_size - used - size, _SMALLEST_BLOCK
        disk = _disk_of(self._root)
        if disk is not None:
            left, block = min(left, disk.room - to_write), min(disk.block, _LARGEST_BLOCK)
            if left < 0:
                raise SpoolFull(f"only {disk.free} bytes are free on the disk", size)
        if used + size > left and size > _PROPORTION * wire_size + _FREE_BLOCKS * block:
            raise OutOfProportion(f"{wire_size} bytes on the wire take {size}, and {left} are left for others", size)


@dataclass(frozen=True, slots=True)
class _Disk:
    """The disk of the spool: the bytes that are free, those that the spool may take, and the size of a block."""

    free: int
    room: int
    block: int


def _disk_of(root: Path) -> _Disk | None:
    """Return the disk of ``root``, or None if its file system does not know its own size. Raises ``OSError``."""
    try:
        status = os.statvfs(root)
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        return None
    if not status.f_blocks:
        return None
    free = status.f_bavail * status.f_frsize
    kept = min(status.f_blocks * status.f_frsize // _FREE_SHARE, _MOST_FREE)
    return _Disk(free, free - kept, status.f_frsize)
