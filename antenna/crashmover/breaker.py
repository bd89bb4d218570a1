# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A circuit breaker: says whether a backend is worth trying."""

import logging
import time

import markus

from antenna.backend import NoAnswer

logger = logging.getLogger(__name__)
metrics = markus.get_metrics("crashmover")

# Failures in a row, of any crashes, that make a backend count as down.
_THRESHOLD = 5
# A backend that counts as down is tried by a crash that comes in only if nothing else has tried it for so long, in
# seconds: the delivery of the spool does that otherwise, and nobody waits for it.
_PROBE_AFTER = 15.0
# A backend that is slow may hang for a moment again and again: it is logged once in so many seconds.
_WARN_AFTER = 60.0


class CircuitBreaker:
    """Whether one backend counts as up or down, from what becomes of the attempts to use it."""

    def __init__(self, backend: str) -> None:
        """``backend`` names it in logs and metrics."""
        self.backend = backend
        self.is_open = False
        #: How often the backend has done its work.
        self.successes = 0
        #: Failures since then.
        self.failures = 0
        self._last_try = 0.0
        # When an answer is due to one of the attempts that began after the last answer, if one did.
        self._answer_due: float | None = None
        self._warned = -_WARN_AFTER

    @property
    def is_doubtful(self) -> bool:
        """Whether the backend is down, or gives nobody an answer: one attempt at a time finds out."""
        return self.is_open or self.hangs

    @property
    def hangs(self) -> bool:
        """Whether nobody has had an answer for longer than a backend that works takes, though somebody waits."""
        return self.overdue > 0

    @property
    def overdue(self) -> float:
        """Seconds for which that has been so."""
        return 0.0 if self._answer_due is None else max(0.0, time.monotonic() - self._answer_due)

    def may_try(self) -> bool:
        """Whether a crash should try the backend now, for all that the breaker knows."""
        if not self.is_open:
            return True
        now = time.monotonic()
        if now - self._last_try < _PROBE_AFTER:
            return False
        self._last_try = now
        return True

    def began(self, patience: float) -> None:
        """Take note of an attempt that has its answer within ``patience`` seconds from a backend that works."""
        due = time.monotonic() + patience
        self._answer_due = due if self._answer_due is None else min(due, self._answer_due)

    def answered(self) -> None:
        """Take note that an attempt has come to an end, whichever."""
        self._answer_due = None

    def succeeded(self) -> None:
        """Take note that the backend did its work."""
        self.answered()
        self.failures = 0
        self.successes += 1
        if self.is_open:
            self.is_open = False
            logger.warning("%s is back", self.backend)
            self.report()

    def failed(self, error: object) -> None:
        """Take note that the backend did not do its work."""
        # A time-out when nobody else has got an answer says more than that of one among many.
        hung = self.hangs and isinstance(error, NoAnswer)
        self.answered()
        self.failures += 1
        self._last_try = time.monotonic()
        if not self.is_open and (hung or self.failures >= _THRESHOLD):
            self.trip(error)

    def trip(self, error: object) -> None:
        """From now on the backend counts as down."""
        self.is_open = True
        self._last_try = time.monotonic()
        logger.error("%s is down: %s", self.backend, error)
        self.report()

    def warn_of_hang(self) -> None:
        """Say, now and then, that a crash is not tried because the backend hangs."""
        now = time.monotonic()
        if now - self._warned > _WARN_AFTER:
            self._warned = now
            logger.warning("%s gives no answer: crashes wait in the spool", self.backend)

    def report(self) -> None:
        """Emit the state as a metric."""
        metrics.gauge("breaker_state", int(self.is_doubtful), tags=[f"backend:{self.backend}"])
