# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""How much memory the reports in a worker may take."""

import time

from gevent.event import Event
from gevent.lock import BoundedSemaphore


class Memory:
    """Bytes that all reports of a worker may hold together."""

    def __init__(self, size: int) -> None:
        """``size`` in bytes."""
        self._left = size
        self._released = Event()
        self._queue = BoundedSemaphore(1)

    def reserve(self, size: int) -> bool:
        """Reserve ``size`` bytes if there is room for them; say whether there is."""
        if size > self._left:
            return False
        self._left -= size
        return True

    def charge(self, size: int) -> None:
        """Reserve ``size`` bytes that are in use already, room or not."""
        self._left -= size

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
        self._left += size
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
