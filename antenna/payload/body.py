# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The body of a request while it arrives: size and deadline."""

import time
from collections.abc import Iterator
from typing import Any

from antenna.hub import Turn
from antenna.limits import Limits
from antenna.refusal import Reason, Refusal
from antenna.server.framed_body import FramedBody

_READ_SIZE = 64 * 1024


class RequestBody:
    """The bytes of a request body, with or without a length, as ``wsgi.input`` gives them.

    Raises ``Refusal``: ``NO_CONTENT_LENGTH`` (empty), ``TOO_LARGE``, ``TIMEOUT``,
    ``INCOMPLETE_BODY``, and what ``antenna.server.framed_body`` raises.
    """

    def __init__(self, environ: dict[str, Any], limits: Limits) -> None:
        """The time for the body begins now."""
        self._stream = environ["wsgi.input"]
        self._max_size = limits.payload_size
        self._deadline = time.monotonic() + limits.body_timeout
        #: The turn of this connection while the body is read: others go on now and then.
        self.turn = Turn()
        if isinstance(self._stream, FramedBody):
            self._stream.deadline = self._deadline
            self._stream.turn = self.turn
        #: Bytes that the client has announced; 0 if it sends chunks.
        self.declared_size = int(environ.get("CONTENT_LENGTH") or 0)
        #: Bytes read so far, chunk framing taken off.
        self.size = 0

    @property
    def can_be_ended(self) -> bool:
        """Whether ``end()`` would do anything."""
        return isinstance(self._stream, FramedBody) and self._stream.can_be_ended

    def end(self, refusal: Refusal) -> None:
        """Have ``pieces()``, in another greenlet, raise ``refusal`` instead of yielding the next."""
        self._stream.end(refusal)

    def pieces(self) -> Iterator[bytes]:
        """Yield the body in pieces of at most some 64 KiB; others have their turn in between."""
        if self.declared_size > self._max_size:
            raise Refusal(Reason.TOO_LARGE, "declared length")
        while piece := self._read():
            self.size += len(piece)
            if self.size > self._max_size:
                raise Refusal(Reason.TOO_LARGE, "body")
            yield piece
            # Not all who ask for pieces do something with each: a read that finds bytes lets nobody else go on.
            self.turn.pass_on()
        if not self.size:
            raise Refusal(Reason.NO_CONTENT_LENGTH)

    def _read(self) -> bytes:
        if time.monotonic() >= self._deadline:
            raise Refusal(Reason.TIMEOUT)
        try:
            piece: bytes = self._stream.read(_READ_SIZE)
        except TimeoutError as error:
            raise Refusal(Reason.TIMEOUT) from error
        except OSError as error:
            raise Refusal(Reason.INCOMPLETE_BODY) from error
        return piece
