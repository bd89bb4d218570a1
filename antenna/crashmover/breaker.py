# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A circuit breaker for a backend. It records whether attempts work, and says whether crashes should try more."""

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

# Failures in a row, of any crashes, after which a backend is DOWN. One failure may be an accident of that crash.
_THRESHOLD = 5
# Seconds after the last attempt on a backend that is DOWN, until a crash that comes in may try it. Normally the
# delivery of the spool tries it more often, and no client waits for that. So a crash tries it only while the spool is
# empty.
_TRY_AFTER = 15.0
# Seconds. If an answer is overdue for less time than this, it may already have arrived, and this worker may have been
# too busy to read it. So the worker first reads what has arrived. If it is overdue for longer, the backend is SILENT.
_DOUBT = 0.5
# Seconds between two warnings that a backend is SILENT. A slow backend may be SILENT for a moment, again and again.
_WARN_AFTER = 60.0


class State(Enum):
    """How a backend has behaved towards crashes. ``CircuitBreaker`` says what each state means."""

    UP = "up"
    SILENT = "silent"
    DOWN = "down"


class CircuitBreaker:
    """Says whether one backend is worth trying. It judges by the results of the attempts so far.

    ======  ===========================================  ==============================================================
    State   What a crash does                            What ends the state
    ======  ===========================================  ==============================================================
    UP      It tries the backend.                        If an answer is overdue: SILENT.
                                                         If ``_THRESHOLD`` attempts in a row fail: DOWN.
    SILENT  It goes to the spool. A silent backend may   If any answer arrives: UP.
            still store what it has been sent, so it     If an attempt times out: DOWN.
            is sent no more.
    DOWN    It goes to the spool. If nothing has tried   If an attempt works, of a crash or of the delivery, in this
            the backend for ``_TRY_AFTER`` seconds, one  worker or in another one: UP.
            crash tries it.
    ======  ===========================================  ==============================================================

    An answer is overdue when an attempt has waited longer than a working backend takes, and no attempt that began since
    the last answer has had one. While the spool takes nothing, crashes can go to the backend only. Then they try it in
    every state, but in DOWN one at a time, and the other crashes are refused at once.
    """

    def __init__(self, backend: str, instance: Instance | None = None) -> None:
        """``backend`` is its name in logs and metrics, ``storage`` or ``publish``.

        ``instance`` is the table by which the breakers of all workers tell each other that a backend is back.
        """
        self.backend = backend
        self._instance = instance or Instance(workers=1)
        #: How often the backend has done its work.
        self.successes = 0
        #: Failures since the backend last did its work.
        self.failures = 0
        #: The error of the last failure.
        self.last_error: object = None
        self._is_down = False
        # When the backend has to answer one of the attempts that began after its last answer. None if there is no such
        # attempt.
        self._answer_due: float | None = None
        # When the backend last failed, or a crash was let through to a backend that is DOWN.
        self._last_try = 0.0
        # Number of crashes that are trying the backend now although it is DOWN.
        self._trying = 0
        self._warned = -_WARN_AFTER

    @property
    def state(self) -> State:
        """The state that the backend is in now. Reading it takes note of what other workers have seen."""
        if self._is_down and self._instance.back_at(self.backend) > self._last_try:
            # Another worker has seen the backend work since. If it fails once more here, it is DOWN again.
            self._is_down = False
            self.failures = _THRESHOLD - 1
        if self._is_down:
            return State.DOWN
        return State.SILENT if self._overdue() > 0 else State.UP

    def admits(self, *, spool_takes: bool) -> bool:
        """Decide whether a crash tries the backend now. If this returns True, the caller has to try it.

        ``spool_takes`` says whether the crash could go to the spool instead. If the backend is DOWN and one crash is
        let through, the next ones go to the spool for a while.
        """
        is_down = self.state is State.DOWN
        if is_down and self._trying:
            return False
        if not spool_takes:
            return True
        if is_down:
            return self._take_turn()
        if self._is_silent():
            self._warn_of_silence()
            return False
        return True

    @contextmanager
    def attempt(self, answer_within: float) -> Iterator[None]:
        """Record the result of the attempt that is made inside this block.

        A working backend answers within ``answer_within`` seconds.
        """
        due = time.monotonic() + answer_within
        self._answer_due = due if self._answer_due is None else min(due, self._answer_due)
        is_trial = self._is_down
        self._trying += is_trial
        try:
            yield
        except (CrashRefused, TemporaryFilesFailed):
            # The crash is at fault, or the disk with the temporary files. The backend is not.
            self._answer_due = None
            raise
        except Exception as error:
            self.failed(error)
            raise
        except BaseException:
            # The greenlet of the request was killed, so nothing waits for the answer any more.
            self._answer_due = None
            raise
        else:
            self.succeeded()
        finally:
            self._trying -= is_trial

    def succeeded(self) -> None:
        """Record that the backend did its work."""
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
        """Whether the backend is DOWN and was not tried for so long that nothing would notice if it came back."""
        return self.state is State.DOWN and time.monotonic() - self._last_try > _TRY_AFTER

    def failed(self, error: object) -> None:
        """Record that the backend did not do its work."""
        # If no other attempt was answered either, one time-out is enough. If others were answered, it may be an
        # accident.
        nobody_is_answered = self._overdue() > 0 and isinstance(error, NoAnswer)
        self._answer_due = None
        self.failures += 1
        self.last_error = error
        metrics.incr("backend_errors", tags=[f"backend:{self.backend}", f"class:{error_class(error)}"])
        self._last_try = time.monotonic()
        if not self._is_down and (nobody_is_answered or self.failures >= _THRESHOLD):
            self.trip(error)

    def trip(self, error: object) -> None:
        """Make the backend DOWN from now on, because of ``error``."""
        self._is_down = True
        self.last_error = error
        self._last_try = time.monotonic()
        if self._instance.changes(f"{self.backend}_down", holds=True):
            extra = {"event": "backend_down", "reason": error_class(error), "tell_sentry": True}
            logger.error("%s is down: %s", self.backend, describe(error), extra=extra)

    def _overdue(self) -> float:
        """Return for how many seconds an answer has been overdue. It is 0 if no answer is overdue."""
        return 0.0 if self._answer_due is None else max(0.0, time.monotonic() - self._answer_due)

    def _is_silent(self) -> bool:
        """Whether the backend is SILENT. If this worker was too busy to read an answer that has arrived, it is not."""
        return self._overdue() > _DOUBT or not catch_up(lambda: self._overdue() == 0)

    def _take_turn(self) -> bool:
        """Take the turn to try a backend that is DOWN. Returns False if something has tried it just before."""
        now = time.monotonic()
        if now - self._last_try < _TRY_AFTER:
            return False
        self._last_try = now
        return True

    def _warn_of_silence(self) -> None:
        now = time.monotonic()
        if now - self._warned > _WARN_AFTER:
            self._warned = now
            logger.warning("%s gives no answer: crashes wait in the spool", self.backend)
