# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Tries to save or to publish a crash, several times within a total deadline."""

import logging
import random
import time
from collections.abc import Callable
from enum import Enum

import gevent
import markus

from antenna.backend import BackendError, CrashRefused, Deadline, error_class
from antenna.crash import TemporaryFilesFailed
from antenna.crashmover.breaker import CircuitBreaker, State
from antenna.ops.errors import describe
from antenna.ops.instance import Instance

logger = logging.getLogger(__name__)
metrics = markus.get_metrics("crashmover")
breakpad_metrics = markus.get_metrics("breakpad_resource")

_SUCCESS = ["result:success"]
_FAIL = ["result:fail"]

#: Seconds in which a working backend answers. A backend that takes longer counts as silent. Large crashes get more
#: time.
ANSWER_WITHIN = 1.0

# First pause between two attempts, in seconds. Each pause is twice the one before it, up to ``longest_pause``. The
# first one is short because most failures are over at once, and the client is waiting.
_FIRST_PAUSE = 0.1


class AttemptOutcome(Enum):
    """The result of all attempts on a backend together."""

    #: There was no attempt: the breaker forbade it, and there is a spool.
    NOT_TRIED = "not tried"
    FAILED = "failed"
    DONE = "done"


class Attempts:
    """Runs one operation, saving or publishing, on one backend: how often it is tried, and for how long."""

    def __init__(
        self,
        operation: str,
        *,
        timeout: float,
        max_attempts: int,
        longest_pause: float,
        spool_takes: Callable[[], bool] | None,
        instance: Instance | None = None,
    ) -> None:
        """``operation`` is ``save`` or ``publish``. ``timeout`` and ``longest_pause`` are in seconds.

        ``timeout`` is for all attempts on one crash together. ``spool_takes`` says whether the spool took the last
        crash that it was given; it is None where there is no spool.
        """
        self.operation = operation
        self.breaker = CircuitBreaker("storage" if operation == "save" else "publish", instance)
        self.timeout = timeout
        self._max_attempts = max_attempts
        self._longest_pause = longest_pause
        self._spool_takes = spool_takes

    def run(
        self, crash_id: str, action: Callable[[Deadline], None], answer_within: float = ANSWER_WITHIN
    ) -> AttemptOutcome:
        """Run ``action`` until it works, or the attempts are used up, or the time is over.

        If no attempt of any crash is answered for ``answer_within`` seconds, the backend counts as silent. Raises
        ``TemporaryFilesFailed`` if a dump cannot be read. Without a spool, an error that no backend raises is raised as
        well.
        """
        deadline = Deadline(self.timeout)
        outcome = AttemptOutcome.NOT_TRIED
        for attempt in range(1, self._max_attempts + 1):
            if self._spool_takes is not None and not self.breaker.admits(spool_takes=self._spool_takes()):
                break
            start = time.monotonic()
            try:
                with self.breaker.attempt(answer_within):
                    action(deadline)
            except TemporaryFilesFailed:
                # The dump cannot be read, so no attempt can save it. The backend is not to blame.
                self._measure(start, _FAIL)
                raise
            except Exception as error:
                self._measure(start, _FAIL)
                outcome = AttemptOutcome.FAILED
                # An error of another kind is a fault of the collector. Without a spool it is raised, so that Sentry is
                # told.
                if self._spool_takes is None and not isinstance(error, BackendError | CrashRefused):
                    raise
                if not self._goes_on(crash_id, error, attempt, deadline):
                    break
            else:
                self._measure(start, _SUCCESS)
                return AttemptOutcome.DONE
        if outcome is AttemptOutcome.FAILED:
            metrics.incr(f"crash_{self.operation}_failed")
        return outcome

    def _measure(self, start: float, result: list[str]) -> None:
        """Emit the time that an attempt took."""
        milliseconds = (time.monotonic() - start) * 1000
        if self.operation == "save":
            breakpad_metrics.timing("crash_save.time", milliseconds, tags=result)
        else:
            metrics.timing("crash_publish.time", milliseconds, tags=result)

    def _goes_on(self, crash_id: str, error: Exception, attempt: int, deadline: Deadline) -> bool:
        """Log the error of an attempt. If there is to be another attempt, wait until its time and return True."""
        extra = {"event": f"{self.operation}_failed", "crash_id": crash_id, "reason": error_class(error)}
        extra["flood"] = f"{self.operation} failed"
        if isinstance(error, CrashRefused):
            logger.error("%s: %s refused: %s", crash_id, self.operation, describe(error), extra=extra)
            return False
        if not isinstance(error, BackendError):
            logger.error("%s: %s failed", crash_id, self.operation, exc_info=error, extra=extra)
            return False
        pause = self._pause(attempt, deadline)
        if attempt == self._max_attempts or pause >= deadline.left():
            logger.error("%s: %s failed: %s", crash_id, self.operation, describe(error), extra=extra)
            return False
        if self._spool_takes is not None and self.breaker.state is State.DOWN:
            return False  # the breaker has logged that the backend is down
        metrics.incr("retry_count", tags=[f"operation:{self.operation}", f"count:{attempt}"])
        logger.warning("%s: %s failed, trying again: %s", crash_id, self.operation, describe(error), extra=extra)
        gevent.sleep(pause)
        return True

    def _pause(self, attempt: int, deadline: Deadline) -> float:
        """Return how many seconds to wait after a failed attempt: a moment at first, then longer and longer.

        Without a spool, the attempts have to outlast an outage. They last as long as if each pause was the longest one:
        five attempts with pauses of 2 s last 8 s. If there are more attempts than that takes, the first pauses are
        still short.
        """
        pause: float = min(self._longest_pause, _FIRST_PAUSE * 2 ** (attempt - 1)) * random.uniform(0.5, 1)
        if self._spool_takes is not None:
            return pause
        passed = self.timeout - deadline.left()
        to_last = min(self.timeout, (self._max_attempts - 1) * self._longest_pause)
        later = (self._max_attempts - 1 - attempt) * self._longest_pause
        return min(self._longest_pause, max(pause, to_last - passed - later))
