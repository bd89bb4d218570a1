# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The body of a request while it arrives. It is bounded in size and in time."""

import time
from collections.abc import Iterator
from typing import Protocol

from antenna.hub import Turn
from antenna.limits import Limits
from antenna.refusal import Reason, Refusal

# Bytes that are read and inflated in one go, if they have arrived. A hostile stream of this size takes 20 ms, in which
# no other greenlet runs. In smaller pieces, a crash would take more calls.
_READ_SIZE = 128 * 1024


class BodyStream(Protocol):
    """The source of a body's bytes. ``antenna.server.framed_body`` implements it."""

    @property
    def can_be_interrupted(self) -> bool:
        """Whether there is more to read. If not, ``interrupt()`` has no effect."""

    def begin(self, deadline: float, turn: Turn) -> None:
        """Set the ``deadline``, by ``time.monotonic()``. ``turn`` is told how long each read waits for bytes."""

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most about ``size``. At the end of the body, return b"".

        Raises ``TimeoutError`` at the deadline, ``OSError`` and ``Refusal``.
        """

    def interrupt(self, refusal: Refusal) -> None:
        """Make the read that waits in another greenlet raise ``refusal``. If no read waits, the next one raises it."""


class RequestBody:
    """The bytes of a request body, with or without a declared length.

    Raises ``Refusal``: ``NO_CONTENT_LENGTH`` if it is empty, ``TOO_LARGE``, ``TIMEOUT``, ``INCOMPLETE_BODY``, and what
    the stream raises.
    """

    def __init__(self, stream: BodyStream, declared_size: int, limits: Limits) -> None:
        """The time for the body begins now. If the client sends chunks, ``declared_size`` is 0."""
        self._stream = stream
        self._max_size = limits.payload_size
        self._deadline = time.monotonic() + limits.body_timeout
        #: The turn of this connection while the body is read. From time to time it lets other connections go on.
        self.turn = Turn()
        stream.begin(self._deadline, self.turn)
        #: Bytes that the client has announced. It is 0 if the client sends chunks.
        self.declared_size = declared_size
        #: Bytes that have been read so far, without the framing of chunks.
        self.size = 0

    @property
    def can_be_interrupted(self) -> bool:
        """Whether the body is still being read. If not, ``interrupt()`` has no effect."""
        return self._stream.can_be_interrupted

    def interrupt(self, refusal: Refusal) -> None:
        """Make ``pieces()``, which runs in another greenlet, raise ``refusal`` instead of yielding the next piece."""
        self._stream.interrupt(refusal)

    def pieces(self) -> Iterator[bytes]:
        """Yield the body in pieces of at most some 128 KiB. Between pieces, other connections have their turn."""
        if self.declared_size > self._max_size:
            raise Refusal(Reason.TOO_LARGE, "declared length")
        while piece := self._read():
            self.size += len(piece)
            if self.size > self._max_size:
                raise Refusal(Reason.TOO_LARGE, "body")
            yield piece
            # The caller may ask for the next piece at once, and a read that finds bytes lets no other greenlet run.
            self.turn.pass_on()
        if not self.size:
            raise Refusal(Reason.NO_CONTENT_LENGTH)

    def _read(self) -> bytes:
        if time.monotonic() >= self._deadline:
            raise Refusal(Reason.TIMEOUT)
        try:
            return self._stream.read(_READ_SIZE)
        except TimeoutError as error:
            raise Refusal(Reason.TIMEOUT) from error
        except OSError as error:
            raise Refusal(Reason.INCOMPLETE_BODY) from error
