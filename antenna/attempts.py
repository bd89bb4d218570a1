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
from antenna.breaker import CircuitBreaker

logger = logging.getLogger(__name__)
metrics = markus.get_metrics("crashmover")

#: Seconds in which a backend that works has answered.
PATIENCE = 1.0

# The first pause between two attempts, in seconds; each is twice the one before, up to ``longest_pause``.
_FIRST_PAUSE = 0.1


class Attempts:
    """How often and how long one operation on one backend is tried."""

    def __init__(
        self, operation: str, *, timeout: float, max_attempts: int, longest_pause: float, has_spool: bool
    ) -> None:
        """``operation`` is ``save`` or ``publish``. With a spool, a backend that is down or hangs is left alone."""
        self.operation = operation
        self.breaker = CircuitBreaker({"save": "storage"}.get(operation, operation))
        self.timeout = timeout
        self._max_attempts = max_attempts
        self._longest_pause = longest_pause
        self._has_spool = has_spool

    def run(self, crash_id: str, action: Callable[[Deadline], None], patience: float = PATIENCE) -> bool:
        """Try ``action`` until it works, the attempts are used up or the time is over; say whether it worked.

        A backend of which nobody hears anything for ``patience`` seconds counts as one that hangs.
        """
        deadline = Deadline(self.timeout)
        for attempt in range(1, self._max_attempts + 1):
            if self._has_spool and not self.breaker.may_try():
                break
            self.breaker.began(patience)
            try:
                action(deadline)
            except CrashRefused as error:
                self.breaker.answered()
                logger.error("%s: %s refused: %s", crash_id, self.operation, error)  # noqa: TRY400 - it says it all
                break
            except BackendError as error:
                self.breaker.failed(error)
                pause = min(self._longest_pause, _FIRST_PAUSE * 2 ** (attempt - 1)) * random.uniform(0.5, 1)
                if attempt == self._max_attempts or pause >= deadline.left():
                    logger.error("%s: %s failed: %s", crash_id, self.operation, error)  # noqa: TRY400 - it says it all
                    break
                metrics.incr("retry_count", tags=[f"operation:{self.operation}"])
                if not (self._has_spool and self.breaker.is_open):
                    logger.warning("%s: %s failed, trying again: %s", crash_id, self.operation, error)
                    gevent.sleep(pause)
            except Exception as error:
                if not self._has_spool:
                    raise
                # Whatever an answer of the backend has led to: in the spool the crash has a second chance.
                self.breaker.failed(error)
                logger.exception("%s: %s failed", crash_id, self.operation)
                break
            else:
                self.breaker.succeeded()
                return True
        metrics.incr(f"crash_{self.operation}_failed")
        return False
