# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Checks whether the storage and the publisher work: at the start, for the heartbeat, and from time to time."""

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import gevent

from antenna.backend import BackendConfigurationError, BackendDenied, BackendError, Problem
from antenna.crashmover.attempts import Attempts
from antenna.crashmover.breaker import CircuitBreaker, State
from antenna.crashmover.spool_writer import SpoolWriter
from antenna.ext import CrashPublishBase, CrashStorageBase
from antenna.ops.errors import describe
from antenna.spool import Kind

logger = logging.getLogger(__name__)

# Seconds that a start waits for the checks of the backends, if there is a spool. A backend that has not answered by
# then counts as not working, and the collector starts.
_VERIFY_TIMEOUT = 5.0

NOT_KEPT = "crashes are not kept: CRASHMOVER_CRASHSTORAGE_CLASS names a storage that keeps nothing"


class Backends:
    """The storage and the publisher. Each has a circuit breaker, which knows what crashes have found out about it."""

    def __init__(
        self,
        crashstorage: CrashStorageBase,
        crashpublish: CrashPublishBase,
        *,
        saving: Attempts,
        publishing: Attempts,
        writer: SpoolWriter | None,
    ) -> None:
        """``writer`` writes to the spool; it is None where there is no spool."""
        self._crashstorage = crashstorage
        self._pairs = ((crashstorage, saving), (crashpublish, publishing))
        self._breakers = {attempts.breaker.backend: attempts.breaker for _, attempts in self._pairs}
        self._writer = writer

    def verify(self) -> list[Problem]:
        """Check at start that crashes can be saved and published. Returns what is wrong.

        With a spool that takes crashes, the collector starts even if a backend does not work, and crashes wait. Without
        a spool, this raises ``BackendConfigurationError`` if only an operator can mend the fault, and ``BackendError``
        if the backend is away.
        """
        problems = []
        for breaker, error in self._errors():
            if self._writer is None:
                if isinstance(error, BackendConfigurationError):
                    raise error
                raise BackendError(f"{breaker.backend} is away: {describe(error)}") from error
            is_denied = isinstance(error, BackendConfigurationError | BackendDenied)
            if is_denied and not self._writer.takes(Kind.CRASH):
                raise error
            # The record has the traceback, so that Sentry gets it.
            logger.error(
                "the start goes on although %s does not work: %s. %s wait in %s",
                breaker.backend,
                describe(error),
                "Crashes" if breaker.backend == "storage" else "Ids",
                self._writer.spool.root,
                exc_info=error,
            )
            problems.append(Problem(breaker.backend, describe(error), is_denied))
        self.assume(problems)
        return problems

    def _errors(self) -> Iterator[tuple[CircuitBreaker, Exception]]:
        """Check both backends at the same time, and yield the errors."""
        checks = [(gevent.spawn(_error_of, backend.verify), attempts.breaker) for backend, attempts in self._pairs]
        gevent.joinall([check for check, _ in checks], timeout=_VERIFY_TIMEOUT if self._writer else None)
        for check, breaker in checks:
            error = check.value if check.ready() else BackendError(f"no answer within {_VERIFY_TIMEOUT:g} s")
            if error is not None:
                yield breaker, error

    def assume(self, problems: Iterable[Problem]) -> None:
        """Make the backends with ``problems`` DOWN, so that crashes do not try them.

        Another process may have found them.
        """
        for problem in problems:
            error = BackendDenied(problem.reason) if problem.is_denied else BackendError(problem.reason)
            self._breakers[problem.backend].trip(error)

    def health_checks(self) -> dict[str, Callable[[], None]]:
        """Return the checks of ``/__heartbeat__`` by the name of what they check. They raise what is wrong."""
        checks: dict[str, Callable[[], None]] = {}
        for backend, attempts in self._pairs:
            checks[attempts.breaker.backend] = partial(_check, backend, attempts.breaker)
        if not self._crashstorage.keeps:
            checks["storage"] = _raise_not_kept
        return checks

    def look_after(self) -> None:
        """Check whether a backend that is DOWN is back, if nothing else has tried it for a while.

        The delivery of the spool usually tries it. But there may be no spool, or nothing in it. Then crashes may not
        come either: a collector that can keep none says at ``/__ready__`` that it should get none.
        """
        for backend, attempts in self._pairs:
            breaker = attempts.breaker
            if not breaker.is_forgotten:
                continue
            error = _error_of(backend.check_health)
            if error is None and isinstance(breaker.last_error, BackendDenied | BackendConfigurationError):
                # A health check may need other permissions than a crash. Only a test object, or a test message, tells.
                error = _error_of(backend.verify)
                if error is not None:
                    breaker.failed(error)  # so that this is not tried again at once
            if error is None:
                breaker.succeeded()

    def finds_down(self, backend: str) -> bool:
        """Whether this worker's breaker of ``storage`` or ``publish`` is DOWN or SILENT."""
        return self._breakers[backend].state is not State.UP


def _check(backend: CrashStorageBase | CrashPublishBase, breaker: CircuitBreaker) -> None:
    """Raise the error of the backend's own check, or else the last error of crashes if its breaker is DOWN."""
    backend.check_health()
    if breaker.state is State.DOWN:
        raise BackendError(f"crashes find it down: {describe(breaker.last_error)}")


def _raise_not_kept() -> None:
    raise BackendError(NOT_KEPT)


def _error_of(action: Callable[[], None]) -> Exception | None:
    """Return what ``action`` raises. If the error left a greenlet, gevent would print it."""
    try:
        action()
    except Exception as error:  # noqa: BLE001 - the caller takes care of it
        return error
    return None
