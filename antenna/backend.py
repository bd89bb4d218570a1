# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The ways in which a backend can fail, and the time that it may take. Authors of backends import this module.

A storage or publisher raises one of these errors. ``antenna.crashmover`` decides by its class whether to try again, to
spool the crash, or to set it aside. Tests are in ``tests/test_backend.py``.
"""

import errno
import re
import socket
import time
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple, Self

import gevent

#: Bytes of a crash for which a backend gets one second more, so that large crashes do not time out.
BYTES_PER_SECOND = 5_000_000


class BackendFailure(Exception):
    """An error of a backend. Raise one of the classes below.

    The messages of other authors' backends are not logged, because they may quote a crash. The log and the spool get
    the type of the error, the place where it was raised, and its ``public_reason``, if the author gives one. That must
    contain neither a secret nor anything of a crash.
    """

    def __init__(self, *args: object, public_reason: str = "") -> None:
        """``args`` are those of any exception, usually the message."""
        super().__init__(*args)
        self.public_reason = public_reason


class BackendError(BackendFailure):
    """The backend is away, slow, overloaded or forbidden. It may take the same crash later."""


class BackendDenied(BackendError):
    """The backend says that something is missing or forbidden. Only an operator can mend that."""


class NoAnswer(BackendError):
    """The backend has not answered in time."""


class CrashRefused(BackendFailure):
    """The backend works, but does not take this crash. Trying it again is useless."""


class BackendConfigurationError(BackendFailure):
    """At the start: the bucket or topic does not exist, or the collector has no permission to use it."""


class Problem(NamedTuple):
    """Something that is wrong with a backend at the start."""

    #: Name of the backend in logs and metrics: ``storage`` or ``publish``.
    backend: str
    reason: str
    #: Whether only an operator can mend the problem.
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
    """Return the kind of an error of a backend, as a tag for metrics.

    ``timeout``: no answer in time. ``refused``: no connection, or a broken one. ``denied``: no permission. ``missing``:
    the bucket, topic or directory does not exist. ``quota``: too many requests, or a full disk. ``server``: anything
    else, such as an error in the backend.
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
    """The end of the time that an operation may take, all attempts and pauses included."""

    __slots__ = ("_end",)

    def __init__(self, seconds: float) -> None:
        """``seconds`` from now."""
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that are left. It is 0 when the time is over."""
        return max(0.0, self._end - time.monotonic())


class TimeLimit:
    """A block that raises ``NoAnswer`` when its time is over, wherever it hangs.

    Time-outs of HTTP libraries begin anew with each packet, so a backend that sends a byte now and then would never
    time out.
    """

    __slots__ = ("_seconds", "_timeout")

    def __init__(self, seconds: float) -> None:
        """``seconds`` that the block may take."""
        self._seconds = seconds
        self._timeout = gevent.Timeout(seconds)

    def __enter__(self) -> Self:
        """Begin the limit. Raises ``NoAnswer`` at once if there is no time."""
        if self._seconds <= 0:
            raise NoAnswer("out of time")
        self._timeout.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the limit. If the time-out was raised, turn it into ``NoAnswer``."""
        self._timeout.close()
        if error is self._timeout:
            raise NoAnswer(f"no answer within {self._seconds:.1f} s") from None
