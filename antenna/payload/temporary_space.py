# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Bounds the temporary files of all reports in a worker. Decides which reports are refused if the space is full.

A few kB of gzip may inflate to many MiB. So a few clients that send hardly anything could fill the space, and keep all
other clients out. Therefore, if the space is full and a report needs more, other reports are refused to make room for
it. The rate of a report is the number of bytes that it takes for each byte that its client has sent. Reports with the
highest rates are refused first, and only if their rate is far above that of the report that needs room. So ordinary
reports never push each other out.

A report that is to be refused gets ``TOO_LARGE`` as soon as its greenlet reads on. The report that needs room waits
until then, for a second at most.
"""

import time
from typing import Protocol

from antenna.payload.memory import Budget
from antenna.refusal import Reason, Refusal

# Seconds that a report waits until interrupted reports have released their room. Their greenlets may be about to write
# to their files. If there is no room by then, the report that waits is lost.
_ROOM_TIMEOUT = 1.0
# Seconds between two decisions on which reports are refused. A decision compares the rates of all reports, which takes
# some milliseconds for thousands of them.
_LOOK_AGAIN = 0.1
# A rate is far above another one if it is this many times as high. The rates of real reports differ less: gzip shrinks
# a minidump to a third or a tenth.
_FAR_ABOVE = 16


class Sender(Protocol):
    """The client that sends a report. ``antenna.payload.body.RequestBody`` implements it."""

    @property
    def size(self) -> int:
        """Bytes that the client has sent so far."""

    @property
    def can_be_interrupted(self) -> bool:
        """Whether the report is still being read. If not, ``interrupt()`` has no effect."""

    def interrupt(self, refusal: Refusal) -> None:
        """Make the greenlet that reads the report raise ``refusal`` when it reads on."""


class TemporarySpace:
    """The room on disk that the temporary files of all reports in a worker may take together."""

    def __init__(self, max_size: int) -> None:
        """``max_size`` is the number of bytes that may be reserved in all."""
        self.max_size = max_size
        self._disk = Budget(max_size)
        # The shares that may be interrupted, and those that were interrupted and have not released their bytes yet.
        self._holders: set[TemporaryShare] = set()
        self._leaving: set[TemporaryShare] = set()
        # The rates of the reports that wait for room, and the bytes that they need together.
        self._rates: list[float] = []
        self._wanted = 0
        self._next_look = 0.0

    @property
    def size(self) -> int:
        """Bytes that are reserved now."""
        return self.max_size - self._disk.left

    def share(self, sender: Sender) -> "TemporaryShare":
        """Return the share of the report from ``sender``."""
        return TemporaryShare(self, sender)

    def reserve(self, size: int, share: "TemporaryShare") -> bool:
        """Reserve ``size`` bytes for ``share``. Other reports may be refused to make room. Returns whether it did."""
        if not self._disk.reserve(size) and not self._wait_for_others(size, share):
            return False
        if share.can_be_interrupted:
            self._holders.add(share)
        return True

    def release(self, size: int, share: "TemporaryShare") -> None:
        """Release ``size`` bytes that were reserved for ``share``."""
        self._disk.release(size)
        if not share.size:
            self._holders.discard(share)
            self._leaving.discard(share)

    def _wait_for_others(self, size: int, share: "TemporaryShare") -> bool:
        end = time.monotonic() + _ROOM_TIMEOUT
        rate = share.rate(size)
        self._rates.append(rate)
        self._wanted += size
        try:
            while not self._disk.reserve(size):
                left = end - time.monotonic()
                if left <= 0 or not self._make_others_leave():
                    return False
                if self._disk.wait(size, min(left, _LOOK_AGAIN)):
                    return True
                share.check()
            return True
        finally:
            self._wanted -= size
            self._rates.remove(rate)

    def _make_others_leave(self) -> bool:
        """Refuse reports until they hold as much as is needed, the highest rate first.

        Returns whether any are being refused. Only reports are refused whose rate is far above the lowest rate of those
        that wait.
        """
        missing = self._wanted - sum(share.size for share in self._leaving)
        if missing > 0:
            now = time.monotonic()
            if now < self._next_look:
                return True
            self._next_look = now + _LOOK_AGAIN
            limit = _FAR_ABOVE * min(self._rates)
            above = [share for share in self._holders if share.rate() > limit]
            for share in sorted(above, key=TemporaryShare.rate, reverse=True):
                if missing <= 0:
                    break
                self._holders.remove(share)
                if share.can_be_interrupted:  # a report that has been read to its end is saved, not refused
                    self._leaving.add(share)
                    share.interrupt()
                    missing -= share.size
        return bool(self._leaving)


class TemporaryShare:
    """The part of the space that one report takes.

    When the report is to be refused, its methods raise ``Refusal`` (``TOO_LARGE``).
    """

    __slots__ = ("_refusal", "_sender", "_space", "size")

    def __init__(self, space: TemporarySpace, sender: Sender) -> None:
        """``sender`` is the client that sends the report."""
        self._space = space
        self._sender = sender
        self._refusal: Refusal | None = None
        #: Bytes that are reserved.
        self.size = 0

    @property
    def can_be_interrupted(self) -> bool:
        """Whether the report is still being read, and has not been interrupted yet."""
        return self._refusal is None and self._sender.can_be_interrupted

    def rate(self, more: int = 0) -> float:
        """Bytes that the report takes, or would take with ``more`` bytes, for each byte that its client has sent."""
        return (self.size + more) / max(self._sender.size, 1)

    def reserve(self, size: int) -> bool:
        """Reserve ``size`` bytes. Other reports may be refused to make room.

        Returns whether there was room within a second.
        """
        self.check()
        if not self._space.reserve(size, self):
            return False
        self.size += size
        return True

    def release(self, size: int) -> None:
        """Release ``size`` bytes."""
        self.size -= size
        self._space.release(size, self)

    def interrupt(self) -> None:
        """Have the report refused as soon as its own greenlet reads on, or reserves more.

        The error is not thrown into that greenlet, because a native thread might be writing to one of its files. If the
        file was closed then, its descriptor might already belong to another report at the time of the write.
        """
        self._refusal = Refusal(Reason.TOO_LARGE, "share of temporary files")
        self._sender.interrupt(self._refusal)

    def check(self) -> None:
        """Raise the refusal, if the report is to be refused."""
        if self._refusal is not None:
            raise self._refusal
