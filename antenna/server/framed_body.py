# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The body of an HTTP/1.1 request, without its framing (RFC 9112 section 6). It is ``wsgi.input`` under gunicorn."""

import time
from typing import Any, Protocol

from gunicorn.http.body import ChunkedReader

from antenna.chunks import BadChunks, Chunks, TooMuchFraming
from antenna.hub import Turn
from antenna.limits import MAX_CHUNK_FRAMING, MAX_CHUNK_HEAD
from antenna.refusal import Reason, Refusal
from antenna.server.early_answer import half_close_and_drain


class Stream(Protocol):
    """The part of ``wsgi.input`` that WSGI promises (PEP 3333)."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes. At the end, return b""."""


def body_of(environ: dict[str, Any]) -> "FramedBody | UnframedBody":
    """Return the body of a request, of our worker or of another server such as Falcon's test client."""
    body = environ["wsgi.input"]
    return body if isinstance(body, FramedBody) else UnframedBody(body)


class FramedBody:
    """The body of a request on a connection of ``antenna.server.connection``. It replaces gunicorn's reader.

    A read returns the bytes that have arrived, and does not wait until there are ``size`` of them, so that a deadline
    can be kept. Small chunks cost a fifth of the CPU that they cost in gunicorn's reader, and their framing is bounded.
    ``ended`` says whether all of the body has been read. If it has not, ``antenna.server.early_answer`` sends the
    answer.
    """

    def __init__(self, request: Any) -> None:
        """``request`` is gunicorn's request, whose head has been parsed."""
        self._unreader = request.unreader
        reader = request.body.reader
        self._framing = (
            Chunks(max_head_size=MAX_CHUNK_HEAD, max_framing_size=MAX_CHUNK_FRAMING)
            if isinstance(reader, ChunkedReader)
            else Length(reader.length)
        )
        self._deadline: float | None = None
        self._turn: Turn | None = None
        #: Makes the answer say that the connection will be closed. Gunicorn then closes it.
        self.close_connection = request.force_close
        self._refusal: Refusal | None = None

    @property
    def ended(self) -> bool:
        """Whether the body has been read to its end."""
        return self._framing.ended

    @property
    def can_be_interrupted(self) -> bool:
        """Whether there is more to read. If not, ``interrupt()`` has no effect."""
        return not self._framing.ended

    def begin(self, deadline: float, turn: Turn) -> None:
        """Set the ``deadline``, by ``time.monotonic()``. ``turn`` is told how long each read waits for bytes."""
        self._deadline = deadline
        self._turn = turn

    def interrupt(self, refusal: Refusal) -> None:
        """Make the read that waits in another greenlet raise ``refusal``. If no read waits, the next one raises it."""
        self._refusal = refusal
        self._unreader.sock.interrupt_wait()

    def hold_head(self) -> None:
        """Send the head of the answer together with its content."""
        self._unreader.sock.hold_head()

    def half_close_and_drain(self) -> None:
        """End the connection in such a way that the client can read the answer although it is still sending."""
        half_close_and_drain(self._unreader.sock)

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most about ``size``. At the end of the body, return b"".

        Raises ``Refusal``: ``INCOMPLETE_BODY``, ``BAD_FRAMING``, ``TOO_LARGE`` if there is more chunk framing than any
        client needs, and the one that ``interrupt()`` was given. Also raises ``TimeoutError`` and ``OSError``.
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
            if beyond:  # the beginning of the next request on the connection
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
        if self._deadline is not None:
            left = self._deadline - begun
            if left <= 0:
                raise TimeoutError
            # A timer of our own would cost four times the CPU: a receive that finds bytes starts no timer.
            self._unreader.sock.settimeout(left)
        data: bytes = self._unreader.read(None, read_ahead=size)
        if self._turn is not None:
            self._turn.exclude(time.monotonic() - begun)
        return data


class UnframedBody:
    """A body whose framing another server has removed. That server keeps the deadlines, and closes connections."""

    ended = True
    can_be_interrupted = False

    def __init__(self, stream: Stream) -> None:
        """``stream`` is the ``wsgi.input`` of the other server."""
        self.read = stream.read

    def begin(self, deadline: float, turn: Turn) -> None:
        """Do nothing: a read of this stream cannot be interrupted."""

    def interrupt(self, refusal: Refusal) -> None:
        """Do nothing: a read of this stream cannot be interrupted."""

    def hold_head(self) -> None:
        """Do nothing: the other server sends the answer."""

    def close_connection(self) -> None:
        """Do nothing: the other server closes the connection."""

    def half_close_and_drain(self) -> None:
        """Do nothing: the other server closes the connection."""


class Length:
    """Framing by ``Content-Length``."""

    def __init__(self, length: int) -> None:
        """``length`` is the number of bytes of the body."""
        self._left = length

    @property
    def ended(self) -> bool:
        """Whether the end of the body has been reached."""
        return not self._left

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Take the next bytes. Return the content in them, and the bytes after the end of the body."""
        content = data[: self._left]
        self._left -= len(content)
        return content, data[len(content) :]
