# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A circuit breaker: says whether a backend is worth trying."""

import logging
import time

import markus

logger = logging.getLogger(__name__)
metrics = markus.get_metrics("crashmover")

# Failures in a row, of any crashes, that make a backend count as down.
_THRESHOLD = 5
# A backend that counts as down is tried by a crash that comes in only if nothing else has tried it for so long, in
# seconds: the delivery of the spool does that otherwise, and nobody waits for it.
_PROBE_AFTER = 15.0


class CircuitBreaker:
    """Whether one backend counts as up or down, from what becomes of the attempts to use it."""

    def __init__(self, backend: str) -> None:
        """``backend`` names it in logs and metrics."""
        self.backend = backend
        self.is_open = False
        #: How often the backend has done its work.
        self.successes = 0
        self._failures = 0
        self._last_try = 0.0

    def may_try(self) -> bool:
        """Whether a crash should try the backend now."""
        if not self.is_open:
            return True
        now = time.monotonic()
        if now - self._last_try < _PROBE_AFTER:
            return False
        self._last_try = now
        return True

    def succeeded(self) -> None:
        """Take note that the backend did its work."""
        self._failures = 0
        self.successes += 1
        if self.is_open:
            self.is_open = False
            logger.warning("%s is back", self.backend)
            self.report()

    def failed(self, error: object) -> None:
        """Take note that the backend did not do its work."""
        self._failures += 1
        self._last_try = time.monotonic()
        if not self.is_open and self._failures >= _THRESHOLD:
            self.trip(error)

    def trip(self, error: object) -> None:
        """From now on the backend counts as down."""
        self.is_open = True
        self._last_try = time.monotonic()
        logger.error("%s is down: %s", self.backend, error)
        self.report()

    def report(self) -> None:
        """Emit the state as a metric."""
        metrics.gauge("breaker_state", int(self.is_open), tags=[f"backend:{self.backend}"])
