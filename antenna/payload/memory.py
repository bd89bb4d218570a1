# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""How much memory the reports in a worker may take."""

import time
from contextlib import ExitStack

from gevent.event import Event
from gevent.lock import BoundedSemaphore

from antenna.limits import MEMORY_TIMEOUT
from antenna.refusal import LossCause, Lost

# Annotations are in memory as they came, decoded and, if the crash is kept, encoded again: often as six bytes each.
_PER_BYTE = 12
# What most of the things that JSON builds take; an object with one name takes 232 bytes, which are three of them.
_PER_ITEM = 100
# Reports whose annotations take no more than this, as real ones mostly do, neither wait for memory nor keep others
# waiting.
_SMALL = 64 * 1024 * _PER_BYTE
# A quarter of a worker's memory for annotations is for what JSON builds. Of the rest one half is for reports that take
# no more than this part of it: what is larger, as no real report is, waits for its like only.
_LARGE_PART = 3


class Memory:
    """Bytes that all reports of a worker may hold together."""

    def __init__(self, size: int) -> None:
        """``size`` in bytes."""
        #: Bytes that are not reserved.
        self.left = size
        self._released = Event()
        self._queue = BoundedSemaphore(1)

    def reserve(self, size: int) -> bool:
        """Reserve ``size`` bytes if there is room for them; say whether there is."""
        if size > self.left:
            return False
        self.left -= size
        return True

    def wait(self, size: int, seconds: float) -> bool:
        """Reserve ``size`` bytes as soon as there is room, first come, first served; say whether that was in time."""
        end = time.monotonic() + seconds
        if not self._queue.acquire(timeout=seconds):
            return False
        try:
            while not self.reserve(size):
                self._released.clear()
                if not self._released.wait(timeout=end - time.monotonic()):
                    return False
            return True
        finally:
            self._queue.release()

    def release(self, size: int) -> None:
        """Release what was reserved."""
        self.left += size
        self._released.set()


class Share:
    """The part of a worker's memory that one report may take."""

    __slots__ = ("_left", "_memory")

    def __init__(self, memory: Memory, size: int) -> None:
        """``size`` in bytes, if ``memory`` has as much."""
        self._memory = memory
        self._left = size

    def reserve(self, size: int) -> bool:
        """Reserve ``size`` bytes if there is room for them; say whether there is."""
        if size > self._left or not self._memory.reserve(size):
            return False
        self._left -= size
        return True

    def release(self, size: int) -> None:
        """Release what was reserved."""
        self._left += size
        self._memory.release(size)


class AnnotationMemory:
    """The memory of one worker for decoded annotations. Reports whose annotations are large wait for it."""

    def __init__(self, size: int) -> None:
        """``size`` in bytes."""
        self.for_items = _Pool(size // 4)
        self.for_large = _Pool(size * 3 // 8)
        self.for_largest = _Pool(size * 3 // 8)

    def share(self, resources: ExitStack) -> "AnnotationShare":
        """Return what one report has of it, until ``resources`` are closed."""
        return AnnotationShare(self, resources)


class AnnotationShare:
    """What one report has of the memory for annotations.

    It reserves memory for its bytes first, then for what its JSON builds, each time for all at once. As nobody who has
    the second waits for the first, no two reports can wait for one another. Raises ``Lost`` if there is no
    memory in time.
    """

    def __init__(self, memory: AnnotationMemory, resources: ExitStack) -> None:
        """What is reserved is released when ``resources`` are closed."""
        self._memory = memory
        self._resources = resources

    def reserve_bytes(self, count: int) -> None:
        """Wait for the memory that so many bytes of annotations take."""
        size = count * _PER_BYTE
        is_large = size * _LARGE_PART <= self._memory.for_large.size
        (self._memory.for_large if is_large else self._memory.for_largest).wait(size, self._resources)

    def reserve_items(self, count: int) -> None:
        """Wait for the memory that so many containers, names and values in JSON take."""
        self._memory.for_items.wait(count * _PER_ITEM, self._resources)


class _Pool:
    """Memory that is waited for. Who wants more than there ever is gets all of it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._memory = Memory(size)

    def wait(self, size: int, resources: ExitStack) -> None:
        if size <= _SMALL:
            return
        size = min(size, self.size)
        if not self._memory.wait(size, MEMORY_TIMEOUT):
            raise Lost(LossCause.MEMORY, "no memory for annotations")
        resources.callback(self._memory.release, size)
