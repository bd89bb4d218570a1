# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The body of an HTTP/1.1 request with its framing taken off (RFC 9112 section 6): ``wsgi.input`` under gunicorn."""

import time
from typing import Any

from antenna.chunks import BadChunks, Chunks, TooMuchFraming
from antenna.hub import Turn
from antenna.limits import MAX_CHUNK_FRAMING, MAX_CHUNK_HEAD
from antenna.refusal import Reason, Refusal


class FramedBody:
    """Stands in for gunicorn's own reader.

    A read waits for the next bytes, not until ``size`` of them are there, so that a deadline can be kept; many small
    chunks cost a fifth of the CPU, and are bounded; and it knows whether all of the body has been read.
    """

    def __init__(self, request: Any) -> None:
        """``request`` as gunicorn has parsed its head."""
        self._unreader = request.unreader
        length = getattr(request.body.reader, "length", None)
        self._framing = (
            Chunks(max_head_size=MAX_CHUNK_HEAD, max_framing_size=MAX_CHUNK_FRAMING)
            if length is None
            else Length(length)
        )
        #: When reading gives up, by ``time.monotonic()``.
        self.deadline: float | None = None
        #: What the wait for bytes is left out of.
        self.turn: Turn | None = None
        #: Makes the answer say that the connection ends with it. Gunicorn closes it then.
        self.close_connection = request.force_close
        self._refusal: Refusal | None = None

    @property
    def ended(self) -> bool:
        """Whether the body has been read to its end."""
        return self._framing.ended

    @property
    def can_be_ended(self) -> bool:
        """Whether ``end()`` would do anything: there is more to read, from a connection whose waits can be ended."""
        # Only those of antenna.server.worker can.
        return not self._framing.ended and hasattr(self._unreader.sock, "end_wait")

    def end(self, refusal: Refusal) -> None:
        """Have the read that waits in another greenlet raise ``refusal``, or else the next one."""
        self._refusal = refusal
        self._unreader.sock.end_wait()

    def read(self, size: int) -> bytes:
        """Return the next bytes, about ``size`` at most, or none at the end.

        Raises ``Refusal``: ``INCOMPLETE_BODY``, ``BAD_FRAMING``, ``TOO_LARGE`` for more chunk framing than a client
        has a reason for, and what ``end()`` was given;
        ``TimeoutError``, ``OSError``.
        """
        while not self._framing.ended:
            self._check()
            try:
                data = self._receive(size)
            finally:
                self._check()
            if not data:
                raise Refusal(Reason.INCOMPLETE_BODY)
            content, beyond = self._unframe(data)
            if beyond:  # of the next request on the connection
                self._unreader.unread(beyond)
            if content:
                return content
        return b""

    def _unframe(self, data: bytes) -> tuple[bytes, bytes]:
        try:
            return self._framing.feed(data)
        except TooMuchFraming as error:
            raise Refusal(Reason.TOO_LARGE, "chunk framing") from error
        except BadChunks as error:
            raise Refusal(Reason.BAD_FRAMING) from error

    def _check(self) -> None:
        if self._refusal is not None:
            raise self._refusal

    def _receive(self, size: int) -> bytes:
        begun = time.monotonic()
        if self.deadline is not None:
            left = self.deadline - begun
            if left <= 0:
                raise TimeoutError
            # A quarter of the CPU of a timer of our own: a receive that finds bytes starts none.
            self._unreader.sock.settimeout(left)
        data: bytes = self._unreader.read(None, read_ahead=size)
        if self.turn is not None:
            self.turn.waited(time.monotonic() - begun)
        return data


class Length:
    """Framing by ``Content-Length``."""

    def __init__(self, length: int) -> None:
        """``length`` of the body in bytes."""
        self._left = length

    @property
    def ended(self) -> bool:
        """Whether the whole body has been taken."""
        return not self._left

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Return what of ``data`` is content, and what is beyond the end of the body."""
        content = data[: self._left]
        self._left -= len(content)
        return content, data[len(content) :]
