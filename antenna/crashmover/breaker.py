# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A circuit breaker: says whether a backend is worth trying."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

import markus

from antenna.backend import CrashRefused, NoAnswer, error_class
from antenna.crash import TemporaryFilesFailed
from antenna.hub import catch_up
from antenna.ops.errors import describe
from antenna.ops.instance import Instance

logger = logging.getLogger(__name__)
metrics = markus.get_metrics("crashmover")

# Failures in a row, of any crashes, after which a backend is DOWN.
_THRESHOLD = 5
# Seconds since the last attempt on a backend that is DOWN, after which a crash that comes in tries it. The delivery of
# the spool tries more often, and no client waits for it; so crashes do it only when the spool is empty.
_PROBE_AFTER = 15.0
# A backend that has been SILENT for no longer than this, in seconds, may have answered a worker too busy to see it.
_DOUBT = 0.5
# Seconds between two warnings that a backend is SILENT: a slow one may be so for a moment again and again.
_WARN_AFTER = 60.0


class State(Enum):
    """What crashes have found out about a backend. See ``CircuitBreaker``."""

    UP = "up"
    SILENT = "silent"
    DOWN = "down"


class CircuitBreaker:
    """Whether one backend is worth trying, from what became of the attempts on it.

    ======  ===========================================  ==============================================================
    State   What a crash does                            What ends it
    ======  ===========================================  ==============================================================
    UP      It tries the backend.                        An answer that is overdue: SILENT.
                                                         Five failures in a row, of any crashes: DOWN.
    SILENT  It goes to the spool. What the backend has   Any answer: UP.
            been sent it may still do when it wakes up,  The time-out of an attempt: DOWN.
            so it is sent no more.
    DOWN    It goes to the spool. After 15 s in which    An attempt that works, of a crash or of the delivery, in
            nothing else tried, one crash tries.         this worker or another one: UP.
    ======  ===========================================  ==============================================================

    An answer is overdue when some attempt waits longer than a backend that works takes, and none of those that began
    since the last answer has had one. While the spool takes nothing, crashes have only the backend: they try it in
    every state, but one at a time while it is DOWN, so that the others are refused at once.
    """

    def __init__(self, backend: str, instance: Instance | None = None) -> None:
        """``backend`` names it in logs and metrics: ``storage`` or ``publish``. ``instance``: the other workers."""
        self.backend = backend
        self._instance = instance or Instance(workers=1)
        #: How often the backend has done its work.
        self.successes = 0
        #: Failures since then.
        self.failures = 0
        #: What went wrong last.
        self.last_error: object = None
        self._is_down = False
        # When an answer is due to one of the attempts that began after the last answer, if one did.
        self._answer_due: float | None = None
        self._last_try = 0.0
        # Crashes that are trying the backend although it is DOWN.
        self._probes = 0
        self._warned = -_WARN_AFTER

    @property
    def state(self) -> State:
        """The state now."""
        if self._is_down and self._instance.back_at(self.backend) > self._last_try:
            # Another worker has seen it work since. Should it fail here, once is enough.
            self._is_down = False
            self.failures = _THRESHOLD - 1
        if self._is_down:
            return State.DOWN
        return State.SILENT if self._overdue() > 0 else State.UP

    def admits(self, *, spool_takes: bool) -> bool:
        """Whether a crash should try the backend now. ``spool_takes``: whether it could go to the spool instead."""
        is_down = self.state is State.DOWN
        if is_down and self._probes:
            return False
        if not spool_takes:
            return True
        if is_down:
            return self._is_time_to_probe()
        if self._is_silent():
            self._warn_of_silence()
            return False
        return True

    @contextmanager
    def attempt(self, answer_within: float) -> Iterator[None]:
        """Take note of what becomes of an attempt of a crash, made in this block.

        A backend that works has answered within ``answer_within`` seconds.
        """
        due = time.monotonic() + answer_within
        self._answer_due = due if self._answer_due is None else min(due, self._answer_due)
        is_probe = self._is_down
        self._probes += is_probe
        try:
            yield
        except (CrashRefused, TemporaryFilesFailed):
            # The crash is at fault, or a disk of ours.
            self._answer_due = None
            raise
        except Exception as error:
            self.failed(error)
            raise
        except BaseException:
            # The greenlet was killed: nobody waits for the answer any more.
            self._answer_due = None
            raise
        else:
            self.succeeded()
        finally:
            self._probes -= is_probe

    def succeeded(self) -> None:
        """Take note that the backend did its work."""
        self._answer_due = None
        self.failures = 0
        self.successes += 1
        if self._is_down:
            self._is_down = False
            self._instance.came_back(self.backend)
        if self._instance.changes(f"{self.backend}_down", holds=False):
            logger.warning("%s is back", self.backend, extra={"event": "backend_back", "tell_sentry": True})

    @property
    def is_forgotten(self) -> bool:
        """Whether the backend is DOWN, and nothing has tried it for so long that nobody would find out it is back."""
        return self.state is State.DOWN and time.monotonic() - self._last_try > _PROBE_AFTER

    def failed(self, error: object) -> None:
        """Take note that the backend did not do its work."""
        # A time-out says more when nobody else has had an answer than when it hits one among many.
        nobody_is_answered = self._overdue() > 0 and isinstance(error, NoAnswer)
        self._answer_due = None
        self.failures += 1
        self.last_error = error
        metrics.incr("backend_errors", tags=[f"backend:{self.backend}", f"class:{error_class(error)}"])
        self._last_try = time.monotonic()
        if not self._is_down and (nobody_is_answered or self.failures >= _THRESHOLD):
            self.trip(error)

    def trip(self, error: object) -> None:
        """From now on the backend is DOWN."""
        self._is_down = True
        self.last_error = error
        self._last_try = time.monotonic()
        if self._instance.changes(f"{self.backend}_down", holds=True):
            extra = {"event": "backend_down", "reason": error_class(error), "tell_sentry": True}
            logger.error("%s is down: %s", self.backend, describe(error), extra=extra)

    def _overdue(self) -> float:
        """Return for how many seconds an answer has been overdue."""
        return 0.0 if self._answer_due is None else max(0.0, time.monotonic() - self._answer_due)

    def _is_silent(self) -> bool:
        """Whether the backend is SILENT, and this worker was not just too busy to see its answer."""
        return self._overdue() > _DOUBT or not catch_up(lambda: self._overdue() == 0)

    def _is_time_to_probe(self) -> bool:
        now = time.monotonic()
        if now - self._last_try < _PROBE_AFTER:
            return False
        self._last_try = now
        return True

    def _warn_of_silence(self) -> None:
        now = time.monotonic()
        if now - self._warned > _WARN_AFTER:
            self._warned = now
            logger.warning("%s gives no answer: crashes wait in the spool", self.backend)
