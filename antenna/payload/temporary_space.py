# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""How much room the temporary files in a worker may take, and which reports have to leave when it is used up.

A few kB of gzip may inflate to many MiB. So a few clients that send hardly anything could fill the room and keep all
others out. When it is full, and one more report asks for some, those reports have to leave that take the most of it for
each byte that their clients have sent: their rate. A report only makes others leave whose rate is far above its own, so
ordinary reports never do that to one another.

A report that has to leave is refused with ``TOO_LARGE`` as soon as its greenlet reads on. The one that asks waits for
the room until then, a second at most.
"""

import time
from typing import Protocol

from antenna.payload.memory import Memory
from antenna.refusal import Reason, Refusal

# Seconds that a report waits for room until others have left: their greenlets may be about to write to their files.
_ROOM_TIMEOUT = 1.0
# Seconds between two looks at which reports have to leave. One look at thousands of reports takes some milliseconds.
_LOOK_AGAIN = 0.1
# A rate is far above another one if it is so many times as high. Those of real reports differ less: gzip takes a
# minidump to a third or a tenth.
_FAR_ABOVE = 16


class Sender(Protocol):
    """The client that a report comes from, as ``antenna.payload.body.RequestBody`` knows it."""

    @property
    def size(self) -> int:
        """Bytes that it has sent so far."""

    @property
    def can_be_interrupted(self) -> bool:
        """Whether the report is still being read, so that ``interrupt()`` has an effect."""

    def interrupt(self, refusal: Refusal) -> None:
        """Have the greenlet that reads the report raise ``refusal`` when it reads on."""


class TemporarySpace:
    """Bytes that the temporary files of all reports in a worker may take together."""

    def __init__(self, size: int) -> None:
        """``size`` in bytes."""
        self.max_size = size
        self._memory = Memory(size)
        self._holders: set[TemporaryShare] = set()
        self._leaving: set[TemporaryShare] = set()
        # The rates of the reports that wait for room, and the bytes that they want together.
        self._rates: list[float] = []
        self._wanted = 0
        self._next_look = 0.0

    @property
    def size(self) -> int:
        """Bytes that are taken now."""
        return self.max_size - self._memory.left

    def share(self, sender: Sender) -> "TemporaryShare":
        """Return the share of the report that ``sender`` sends."""
        return TemporaryShare(self, sender)

    def reserve(self, size: int, share: "TemporaryShare") -> bool:
        """Reserve ``size`` bytes for ``share``; other reports may have to leave first. Say whether there is room."""
        if not self._memory.reserve(size) and not self._wait_for_others(size, share):
            return False
        if share.can_be_interrupted:
            self._holders.add(share)
        return True

    def release(self, size: int, share: "TemporaryShare") -> None:
        """Release what was reserved for ``share``."""
        self._memory.release(size)
        if not share.size:
            self._holders.discard(share)
            self._leaving.discard(share)

    def _wait_for_others(self, size: int, share: "TemporaryShare") -> bool:
        end = time.monotonic() + _ROOM_TIMEOUT
        rate = share.rate(size)
        self._rates.append(rate)
        self._wanted += size
        try:
            while not self._memory.reserve(size):
                left = end - time.monotonic()
                if left <= 0 or not self._make_others_leave():
                    return False
                if self._memory.wait(size, min(left, _LOOK_AGAIN)):
                    return True
                share.check()
            return True
        finally:
            self._wanted -= size
            self._rates.remove(rate)

    def _make_others_leave(self) -> bool:
        """Make reports leave that hold together what is wanted, the highest rate first; say whether any are leaving.

        Only reports leave whose rate is far above the lowest one of those that wait.
        """
        missing = self._wanted - sum(share.size for share in self._leaving)
        if missing > 0:
            now = time.monotonic()
            if now < self._next_look:
                return True  # until the next look
            self._next_look = now + _LOOK_AGAIN
            limit = _FAR_ABOVE * min(self._rates)
            above = [share for share in self._holders if share.rate() > limit]
            for share in sorted(above, key=TemporaryShare.rate, reverse=True):
                if missing <= 0:
                    break
                self._holders.remove(share)
                if share.can_be_interrupted:  # not one that has been read to its end by now, and is about to be saved
                    self._leaving.add(share)
                    share.interrupt()
                    missing -= share.size
        return bool(self._leaving)


class TemporaryShare:
    """The part of the space that one report takes.

    Raises ``Refusal`` (``TOO_LARGE``) once the report has to leave.
    """

    __slots__ = ("_refusal", "_sender", "_space", "size")

    def __init__(self, space: TemporarySpace, sender: Sender) -> None:
        """``sender`` is where the report comes from."""
        self._space = space
        self._sender = sender
        self._refusal: Refusal | None = None
        #: Bytes reserved.
        self.size = 0

    @property
    def can_be_interrupted(self) -> bool:
        """Whether the report is still being read, and has not been interrupted yet."""
        return self._refusal is None and self._sender.can_be_interrupted

    def rate(self, more: int = 0) -> float:
        """Bytes that the report takes, or would take with ``more``, for each that its client has sent."""
        return (self.size + more) / max(self._sender.size, 1)

    def reserve(self, size: int) -> bool:
        """Reserve ``size`` bytes; other reports may have to leave first. Say whether there is room within a second."""
        self.check()
        if not self._space.reserve(size, self):
            return False
        self.size += size
        return True

    def release(self, size: int) -> None:
        """Release what was reserved."""
        self.size -= size
        self._space.release(size, self)

    def interrupt(self) -> None:
        """Have the report refused as soon as its own greenlet reads on, or takes more.

        An error thrown into that greenlet might come while a native thread writes to one of its files; closed then,
        the file's descriptor might be another report's by the time of the write.
        """
        self._refusal = Refusal(Reason.TOO_LARGE, "share of temporary files")
        self._sender.interrupt(self._refusal)

    def check(self) -> None:
        """Raise the refusal if there is one."""
        if self._refusal is not None:
            raise self._refusal
