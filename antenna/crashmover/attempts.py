# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Attempts to save or to publish a crash, within a total deadline."""

import logging
import random
from collections.abc import Callable

import gevent
import markus

from antenna.backend import BackendError, CrashRefused, Deadline
from antenna.crashmover.breaker import CircuitBreaker
from antenna.hub import catch_up

logger = logging.getLogger(__name__)
metrics = markus.get_metrics("crashmover")

#: Seconds in which a backend that works has answered.
PATIENCE = 1.0

# The first pause between two attempts, in seconds; each is twice the one before, up to ``longest_pause``.
_FIRST_PAUSE = 0.1
# For so long, in seconds, a backend that hangs may be one whose answer the worker has not seen yet.
_DOUBT = 0.5


class Attempts:
    """How often and how long one operation on one backend is tried."""

    def __init__(
        self,
        operation: str,
        *,
        timeout: float,
        max_attempts: int,
        longest_pause: float,
        spool_works: Callable[[], bool] | None,
    ) -> None:
        """``operation`` is ``save`` or ``publish``. Without ``spool_works`` there is no spool.

        With a spool that works, a backend that is down or hangs is left alone.
        """
        self.operation = operation
        self.breaker = CircuitBreaker({"save": "storage"}.get(operation, operation))
        self.timeout = timeout
        self._max_attempts = max_attempts
        self._longest_pause = longest_pause
        self._spool_works = spool_works
        # Attempts on a backend that is down.
        self._probes = 0

    def run(self, crash_id: str, action: Callable[[Deadline], None], patience: float = PATIENCE) -> bool | None:
        """Try ``action`` until it works, the attempts are used up or the time is over; say whether it worked.

        A backend of which nobody hears anything for ``patience`` seconds counts as one that hangs. Returns None if it
        was not even tried.
        """
        deadline = Deadline(self.timeout)
        tried = None
        for attempt in range(1, self._max_attempts + 1):
            if not self._may_try():
                break
            tried = False
            error = self._try(action, deadline, patience)
            if error is None:
                return True
            if not self._goes_on(crash_id, error, attempt, deadline):
                break
        metrics.incr(f"crash_{self.operation}_failed")
        return tried

    def _may_try(self) -> bool:
        """Whether a crash goes to the backend, and not to the spool at once."""
        if self._spool_works is None:
            return True
        if not self._spool_works():
            # There is nothing else. One at a time finds out at once that a backend is back.
            return not (self.breaker.is_open and self._probes)
        # What a backend that hangs has been sent, it may still do when it wakes up, after the spool has done it.
        if self._hangs():
            self.breaker.warn_of_hang()
            return False
        return self.breaker.may_try()

    def _hangs(self) -> bool:
        """Whether the backend hangs, and it is not just that this worker has been too busy to see its answer."""
        if self.breaker.overdue > _DOUBT:
            return True
        return not catch_up(lambda: not self.breaker.hangs)

    def _try(self, action: Callable[[Deadline], None], deadline: Deadline, patience: float) -> Exception | None:
        """Try once, and tell the breaker what came of it; return what went wrong."""
        self.breaker.began(patience)
        is_probe = self.breaker.is_open
        self._probes += is_probe
        try:
            action(deadline)
        except CrashRefused as error:
            self.breaker.answered()
            return error
        except Exception as error:
            # Whatever an answer of the backend has led to: in the spool the crash has a second chance.
            if self._spool_works is None and not isinstance(error, BackendError):
                raise
            self.breaker.failed(error)
            return error
        except BaseException:
            self.breaker.answered()
            raise
        finally:
            self._probes -= is_probe
        self.breaker.succeeded()
        return None

    def _goes_on(self, crash_id: str, error: Exception, attempt: int, deadline: Deadline) -> bool:
        """Log what went wrong, and wait for the next attempt; say whether there is one."""
        if isinstance(error, CrashRefused):
            logger.error("%s: %s refused: %s", crash_id, self.operation, error)
            return False
        if not isinstance(error, BackendError):
            logger.error("%s: %s failed", crash_id, self.operation, exc_info=error)
            return False
        pause = min(self._longest_pause, _FIRST_PAUSE * 2 ** (attempt - 1)) * random.uniform(0.5, 1)
        if attempt == self._max_attempts or pause >= deadline.left():
            logger.error("%s: %s failed: %s", crash_id, self.operation, error)
            return False
        if self._spool_works is not None and self.breaker.is_open:
            return False  # it is logged that the backend is down
        metrics.incr("retry_count", tags=[f"operation:{self.operation}"])
        logger.warning("%s: %s failed, trying again: %s", crash_id, self.operation, error)
        gevent.sleep(pause)
        return True
