# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""How much more the spool takes."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from antenna.files import REFUSED
from antenna.spool.stock import Statistics, take_stock

# The spool leaves this part of its disk free, but not more than this number of bytes: what else is on the disk, ids of
# saved crashes and what is set aside needs some room, too.
_FREE_SHARE = 20
_MOST_FREE = 100 * 1024 * 1024

# Above half of the room a new report is out of proportion if it takes more bytes on the disk than this for each byte
# that its client has sent. Real reports stay below: gzip takes a minidump to a third or a tenth. Repeated bytes come to
# 1,000.
_PROPORTION = 16
# Blocks that are left out of that account: even the smallest report takes a directory and two or three files. Blocks
# are those of the file system, up to a number of bytes.
_FREE_BLOCKS = 8
_SMALLEST_BLOCK = 4096
_LARGEST_BLOCK = 64 * 1024

# The spool is counted again before a crash is added, if other workers may have filled it since: at this many bytes a
# second, which is more than a disk takes in files that are fsynced; and after this many seconds, since they may have
# delivered some. Counting takes one part in this many of the time.
_FASTEST = 256 * 1024 * 1024
_LONGEST_UNCOUNTED = 10.0
_COUNT_SHARE = 10


class SpoolFull(Exception):
    """There is no room for another crash."""

    def __init__(self, message: str, size: int = 0) -> None:
        """``size`` is the number of bytes that there is no room for."""
        super().__init__(message)
        self.size = size


class OutOfProportion(SpoolFull):
    """The room is short, and the report takes far more of it than its client has sent: others have room yet."""


class Room:
    """The bytes that crashes may take in the spool, counted as they lie on the disk: holes take none.

    Workers share the spool, and know of each other what the last count has found, so the limit may be passed by what
    they write at the same time. What is in the spool already never has to leave.
    """

    def __init__(self, root: Path, max_size: int) -> None:
        """``root`` is the directory of the spool. It has to be there when a method is called."""
        self._root = root
        self._max_size = max_size
        self.statistics = Statistics()
        # What this worker has added since the count, and what it is writing just now, by the name of the work. Threads
        # may lose an addition of each other. The next count puts that right.
        self._added = 0
        self._reserved: dict[str, int] = {}
        self._next_count = 0.0

    def count(self) -> Statistics:
        """Count what is in the spool. Raises ``OSError``."""
        start = time.monotonic()
        self.statistics = take_stock(self._root)
        self._added = 0
        end = time.monotonic()
        left = max(0, self._max_size - self.statistics.size)
        self._next_count = end + max((end - start) * _COUNT_SHARE, min(left / _FASTEST, _LONGEST_UNCOUNTED))
        return self.statistics

    def reserve(self, work: str, size: int, wire_size: int) -> None:
        """Reserve ``size`` bytes for what is about to be written under the name ``work``.

        ``wire_size`` is the number of bytes that the client has sent. Raises ``SpoolFull``, ``OutOfProportion``.
        """
        self._check(size, wire_size, size)
        self._reserved[work] = size

    def settle(self, work: str, size: int, wire_size: int) -> None:
        """Reserve what has been written, in place of what was expected. Raises as ``reserve``."""
        self.release(work)
        self._check(size, wire_size, 0)
        self._reserved[work] = size

    def release(self, work: str) -> None:
        """Release what was reserved."""
        self._reserved.pop(work, None)

    def add(self, size: int) -> None:
        """Take note of a crash that is in the spool now."""
        self._added += size

    def left(self) -> int:
        """Return the bytes that are left for crashes, by the limit or by the disk. Raises ``OSError``."""
        left, disk = self._max_size - self._used(), _disk_of(self._root)
        return max(0, left if disk is None else min(left, disk.room))

    def _used(self) -> int:
        # list() of a dict's values is atomic; a sum of them is not.
        return self.statistics.size + self._added + sum(list(self._reserved.values()))

    def check(self, size: int) -> None:
        """Raise ``SpoolFull`` if there is no room for ``size`` bytes."""
        self._check(size, size, size)

    def _check(self, size: int, wire_size: int, to_write: int) -> None:
        """Raise ``SpoolFull`` if there is no room for ``size`` bytes, ``OutOfProportion`` if it is for others.

        ``to_write`` of these bytes are not on the disk yet.
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
    """The disk of the spool: bytes that are free, those of them that the spool may take, and those of a block."""

    free: int
    room: int
    block: int


def _disk_of(root: Path) -> _Disk | None:
    """Return the disk of ``root``; None if its file system does not know how large it is. Raises ``OSError``."""
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
