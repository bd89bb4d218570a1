# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The body of a request, read off the wire: framing, size and deadline."""

import socket
import time
from collections.abc import Iterator
from typing import Any

import gevent
from gevent import monkey
from gunicorn.http.errors import ParseException

from antenna.limits import Limits
from antenna.reasons import MalformedCrashReport, Reason

READ_SIZE = 64 * 1024


class RequestBody:
    """The bytes of a request body, with or without a length, as ``wsgi.input`` gives them.

    Raises ``MalformedCrashReport``: ``NO_CONTENT_LENGTH`` (empty), ``TOO_LARGE``, ``TIMEOUT``,
    ``BAD_FRAMING``, ``INCOMPLETE_BODY``.
    """

    def __init__(self, environ: dict[str, Any], limits: Limits) -> None:
        """Check the declared length: a body that is too large is refused before it is read."""
        self._stream = environ["wsgi.input"]
        #: The connection, or None where the WSGI server does not tell.
        self.socket: socket.socket | None = environ.get("gunicorn.socket")
        self._max_size = limits.payload_size
        self._deadline = time.monotonic() + limits.body_timeout
        declared = environ.get("CONTENT_LENGTH")
        self._declared: int | None = int(declared) if declared else None
        #: Bytes read so far, chunk framing taken off.
        self.size = 0
        self._ended = False

    def pieces(self) -> Iterator[bytes]:
        """Yield the body in pieces of at most 64 KiB."""
        if self._declared is not None and self._declared > self._max_size:
            raise MalformedCrashReport(Reason.TOO_LARGE, "declared length")
        while piece := self._read():
            self.size += len(piece)
            if self.size > self._max_size:
                raise MalformedCrashReport(Reason.TOO_LARGE, "body")
            yield piece
        self._ended = True
        if self._declared is not None and self.size < self._declared:
            raise MalformedCrashReport(Reason.INCOMPLETE_BODY)
        if not self.size:
            raise MalformedCrashReport(Reason.NO_CONTENT_LENGTH)

    @property
    def is_read(self) -> bool:
        """Whether the whole body has been read."""
        return self._ended or self.size == self._declared

    def end_connection(self) -> None:
        """Let the WSGI server close the connection after this request, and say so in the answer."""
        close_connection = getattr(self._stream, "close_connection", None)
        if close_connection is not None:  # set by antenna.gunicorn_conf
            close_connection()

    def _read(self) -> bytes:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise MalformedCrashReport(Reason.TIMEOUT)
        if not monkey.is_module_patched("socket") and self.socket is not None:
            # Not under gevent (sync worker): each recv() is bounded, the deadline is checked between pieces.
            self.socket.settimeout(left)
        try:
            with gevent.Timeout(left, TimeoutError):
                piece: bytes = self._stream.read(READ_SIZE)
        except TimeoutError as error:
            raise MalformedCrashReport(Reason.TIMEOUT) from error
        except OSError as error:
            raise MalformedCrashReport(Reason.INCOMPLETE_BODY) from error
        except ParseException as error:
            raise MalformedCrashReport(Reason.BAD_FRAMING) from error
        return piece
