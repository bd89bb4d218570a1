# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""How much room the temporary files in a worker may take, and which report has to leave when there is no more."""

import time
from typing import Protocol

from antenna.payload.memory import Memory
from antenna.refusal import Reason, Refusal

# Seconds that a report may wait for the room of those that have to leave: they may be about to write.
_ROOM_TIMEOUT = 1.0
# Seconds after which somebody looks again who has to: others may have taken the room. With thousands of reports a look
# takes some milliseconds.
_LOOK_AGAIN = 0.1
# Who has to leave takes so many times as much for each byte as who asks. Real reports are not so unlike: gzip takes a
# minidump to a third or a tenth.
_FAR_WORSE = 16


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
    """Bytes that the temporary files of all reports in a worker may take together.

    When they are used up, the report leaves that takes the most of them for each byte that its client has sent. A few
    kB may inflate to many MiB, so clients that hardly send anything could keep all others out.
    """

    def __init__(self, size: int) -> None:
        """``size`` in bytes."""
        self.max_size = size
        self._memory = Memory(size)
        self._holders: set[TemporaryShare] = set()
        self._leaving: set[TemporaryShare] = set()
        # The rates of those who wait for room, and the bytes that they want together.
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
        """Reserve ``size`` bytes for ``share``; say whether there is room for them, or others have made some."""
        if not self._memory.reserve(size) and not self._take_from_others(size, share):
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

    def _take_from_others(self, size: int, share: "TemporaryShare") -> bool:
        end = time.monotonic() + _ROOM_TIMEOUT
        rate = share.rate(size)
        self._rates.append(rate)
        self._wanted += size
        try:
            while not self._memory.reserve(size):
                left = end - time.monotonic()
                if left <= 0 or not self._have_others_leave():
                    return False
                if self._memory.wait(size, min(left, _LOOK_AGAIN)):
                    return True
                share.check()
            return True
        finally:
            self._wanted -= size
            self._rates.remove(rate)

    def _have_others_leave(self) -> bool:
        """End as many reports that are far worse as hold what is wanted, the worst first; say whether to wait."""
        missing = self._wanted - sum(share.size for share in self._leaving)
        if missing > 0:
            now = time.monotonic()
            if now < self._next_look:
                return True  # until the next one
            self._next_look = now + _LOOK_AGAIN
            limit = _FAR_WORSE * min(self._rates)
            worse = [share for share in self._holders if share.rate() > limit]
            for share in sorted(worse, key=TemporaryShare.rate, reverse=True):
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
        """Reserve ``size`` bytes; say whether there is room for them, or others have made some within a second."""
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
