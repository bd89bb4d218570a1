# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The memory that the reports in a worker may take: how a report reserves it, and when it waits for it."""

import time
from contextlib import ExitStack

from gevent.event import Event
from gevent.lock import BoundedSemaphore

from antenna.limits import MEMORY_TIMEOUT
from antenna.refusal import LossCause, Lost

# Bytes of memory for each byte of annotations. They are in memory as they came and decoded, and, if the crash is kept,
# encoded again, where a character often takes six bytes.
_PER_BYTE = 12
# Bytes of memory for each item that JSON builds. An object with one name takes 232 bytes, and counts as three items.
_PER_ITEM = 100
# If a report wants no more than this many bytes of memory at a time, as for 64 KiB of annotations, it is not counted
# and does not wait. Nearly all real reports want less.
_SMALL = 64 * 1024 * _PER_BYTE
# A quarter of a worker's memory for annotations is for the items of JSON. The rest is split into two halves. One half
# is for reports of which this many fit into it. The other half is for larger reports, which no real client sends, so
# that these wait only for each other.
_FIT = 3


class Budget:
    """The bytes that all reports of a worker may reserve together: of memory, or, for ``TemporarySpace``, of a disk."""

    def __init__(self, size: int) -> None:
        """``size`` is the number of bytes that may be reserved in all."""
        #: Bytes that are not reserved.
        self.left = size
        self._released = Event()
        self._queue = BoundedSemaphore(1)

    def reserve(self, size: int) -> bool:
        """Reserve ``size`` bytes if that many are left. Returns whether it did."""
        if size > self.left:
            return False
        self.left -= size
        return True

    def wait(self, size: int, seconds: float) -> bool:
        """Reserve ``size`` bytes as soon as that many are left. Requests are served in the order in which they come.

        Returns False if it took longer than ``seconds``. Then nothing is reserved.
        """
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
        """Release ``size`` bytes that were reserved."""
        self.left += size
        self._released.set()


class Share:
    """The part of a worker's memory that one report may take."""

    __slots__ = ("_left", "_memory")

    def __init__(self, memory: Budget, size: int) -> None:
        """The report may take ``size`` bytes, if ``memory`` has that many left."""
        self._memory = memory
        self._left = size

    def reserve(self, size: int) -> bool:
        """Reserve ``size`` bytes if that many are left. Returns whether it did."""
        if size > self._left or not self._memory.reserve(size):
            return False
        self._left -= size
        return True

    def release(self, size: int) -> None:
        """Release ``size`` bytes that were reserved."""
        self._left += size
        self._memory.release(size)


class AnnotationMemory:
    """The memory of one worker for decoded annotations.

    A report with large annotations waits until there is enough of it.
    """

    def __init__(self, size: int) -> None:
        """``size`` is the number of bytes for all reports together."""
        self.for_items = _Pool(size // 4)
        self.for_usual = _Pool(size * 3 // 8)
        self.for_huge = _Pool(size * 3 // 8)

    def share(self, resources: ExitStack) -> "AnnotationShare":
        """Return the share of one report. It is released when ``resources`` are closed."""
        return AnnotationShare(self, resources)


class AnnotationShare:
    """The share of one report in the memory for annotations.

    The report first reserves memory for the bytes of its annotations, then for the items that its JSON builds, each at
    one go. A report that holds memory for items waits for no other memory, so two reports can never wait for one
    another. Raises ``Lost`` if there is not enough memory in time.
    """

    def __init__(self, memory: AnnotationMemory, resources: ExitStack) -> None:
        """The reserved memory is released when ``resources`` are closed."""
        self._memory = memory
        self._resources = resources

    def reserve_bytes(self, count: int) -> None:
        """Wait for the memory that ``count`` bytes of annotations take."""
        size = count * _PER_BYTE
        is_huge = size * _FIT > self._memory.for_usual.size
        (self._memory.for_huge if is_huge else self._memory.for_usual).wait(size, self._resources)

    def reserve_items(self, count: int) -> None:
        """Wait for the memory that ``count`` containers, names and values in JSON take."""
        self._memory.for_items.wait(count * _PER_ITEM, self._resources)


class _Pool:
    """Memory that reports wait for. A report that wants more than the whole pool waits for the whole pool."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._memory = Budget(size)

    def wait(self, size: int, resources: ExitStack) -> None:
        if size <= _SMALL:
            return
        size = min(size, self.size)
        if not self._memory.wait(size, MEMORY_TIMEOUT):
            raise Lost(LossCause.MEMORY, "no memory for annotations")
        resources.callback(self._memory.release, size)
