# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""What every backend shares: the ways it can fail, and the time it may take."""

import errno
import re
import socket
import time
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple, Self

import gevent

#: Large crashes get more time, a second for so many bytes.
BYTES_PER_SECOND = 5_000_000


class BackendError(Exception):
    """The backend is away, slow, overloaded or not permitted: the same crash may well be taken later."""


class BackendDenied(BackendError):
    """The backend answers that we may not, or that what we name is not there: only an operator can mend that."""


class NoAnswer(BackendError):
    """The backend has not answered in time."""


class CrashRefused(Exception):
    """The backend answers, and will not take this very crash: trying again is useless."""


class BackendConfigurationError(Exception):
    """The backend answers that it is not there or not ours: no such bucket or topic, or no permission."""


class Problem(NamedTuple):
    """What is wrong with a backend at the start."""

    #: As logs and metrics call it: ``storage`` or ``publish``.
    backend: str
    reason: str
    #: Whether only an operator can mend it.
    is_denied: bool


_STATUS = re.compile(r"\bstatus (\d{3})\b")
_STATUS_CLASSES = {401: "denied", 403: "denied", 404: "missing", 429: "quota"}
_ERRNO_CLASSES = {
    errno.ETIMEDOUT: "timeout",
    errno.EACCES: "denied",
    errno.EPERM: "denied",
    errno.EROFS: "denied",
    errno.ENOENT: "missing",
    errno.ENOTDIR: "missing",
    errno.ENOSPC: "quota",
    errno.EDQUOT: "quota",
}


def error_class(error: object) -> str:
    """Return what keeps a backend from doing its work: a tag for metrics.

    ``timeout``; ``refused``: there is no connection, or it breaks; ``denied``: no permission; ``missing``: what we name
    is not there; ``quota``: too much; ``server``: anything else, such as an error of the backend's own.
    """
    links = list(_chain(error))
    if any(isinstance(link, NoAnswer | TimeoutError) for link in links):
        return "timeout"
    for link in links:
        if status := _STATUS.search(str(link)):
            return _STATUS_CLASSES.get(int(status[1]), "server")
        if isinstance(link, ConnectionError | socket.gaierror):
            return "refused"
        if isinstance(link, OSError) and link.errno is not None:
            unreachable = link.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH)
            return "refused" if unreachable else _ERRNO_CLASSES.get(link.errno, "server")
    return "denied" if any(isinstance(link, BackendDenied) for link in links) else "server"


def _chain(error: object) -> Iterator[BaseException]:
    seen: set[int] = set()
    while isinstance(error, BaseException) and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


class Deadline:
    """The end of the time that something may take in all, attempts and pauses included."""

    __slots__ = ("_end",)

    def __init__(self, seconds: float) -> None:
        """``seconds`` from now."""
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds left; 0 when it is over."""
        return max(0.0, self._end - time.monotonic())


class TimeLimit:
    """A block that is left with ``NoAnswer`` when its time is over, wherever it hangs.

    Time-outs of HTTP libraries begin anew with each packet, so a backend that drips could hang a request for ever.
    """

    __slots__ = ("_seconds", "_timeout")

    def __init__(self, seconds: float) -> None:
        """``seconds`` that the block may take."""
        self._seconds = seconds
        self._timeout = gevent.Timeout(seconds)

    def __enter__(self) -> Self:
        """Begin."""
        if self._seconds <= 0:
            raise NoAnswer("out of time")
        self._timeout.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End; the time-out becomes an error of the backend."""
        self._timeout.close()
        if error is self._timeout:
            raise NoAnswer(f"no answer within {self._seconds:.1f} s") from None
