# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Decides what becomes of an entry of the spool that could not be delivered: when to retry it, or to set it aside."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from antenna.backend import BackendError
from antenna.crashmover.breaker import CircuitBreaker, State
from antenna.hub import run_blocking
from antenna.ops.errors import describe
from antenna.spool import Entry, EntryDamaged

logger = logging.getLogger(__name__)

# How often the backend may refuse an entry, although it works for others, until the entry is set aside.
_MAX_REFUSALS = 5
# Failures that make the time for an attempt longer: it is doubled for each.
_MOST_DOUBLINGS = 5
# Characters of an error that are written down with the entry.
_LONGEST_REASON = 1000


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the delivery of the spool works. Times are in seconds."""

    #: Entries of a kind that one worker delivers in a second at most, so that live traffic comes first. One core
    #: delivers about as many crashes of 400 kB when it has nothing else to do.
    rate: float = 500.0
    #: Entries that a round looks at.
    batch: int = 500
    #: Until a spool that had nothing to deliver is looked at again.
    idle: float = 1.0
    #: Between two rounds while the backend is DOWN: twice as long each time, from the first to the longest.
    first_round: float = 0.5
    longest_round: float = 5.0
    #: Until an entry that has failed is tried again: twice as long each time, from the first to the longest. While
    #: nothing else gets through either, no longer than a round, so that all have their turn when the backend is back.
    first_retry: float = 1.0
    longest_retry: float = 256.0


class Verdict(Enum):
    """What is to be done with an entry that failed."""

    RETRY = "retry"
    SET_ASIDE = "set aside"


@dataclass(slots=True)
class _History:
    """What this process knows of an entry that has failed."""

    failures: int = 0
    not_before: float = 0.0
    #: How often the backend had done its work when the entry failed last.
    successes: int = -1


class Verdicts:
    """Judges the entries that failed, for one backend.

    1. An entry that is damaged is set aside at once: it can never be delivered.
    2. An entry that the backend refuses for its own sake, or that makes our code fail, has five chances. They count
       only while the backend works: others were delivered in between, or its health check passes. The count lies in
       the spool, with the reasons, so it outlives the process.
    3. Every other entry is retried for ever, less and less often if others get through. ``crashmover.spool_oldest_age``
       tells operators of it.

    An outage, however long, sets nothing aside.
    """

    def __init__(self, breaker: CircuitBreaker, check_health: Callable[[], None], pace: Pace) -> None:
        """``check_health`` raises an exception unless the backend works."""
        self._breaker = breaker
        self._check_health = check_health
        self._pace = pace
        self._histories: dict[str, _History] = {}

    def __len__(self) -> int:
        """How many entries have failed and are still there."""
        return len(self._histories)

    def is_due(self, name: str) -> bool:
        """Whether an entry may be tried now."""
        history = self._histories.get(name)
        return history is None or history.not_before <= time.monotonic()

    def time_factor(self, name: str) -> int:
        """Return how many times longer than usual the next attempt may take: large crashes may have failed for that."""
        history = self._histories.get(name)
        # While the backend is DOWN, the question is whether it is back, not whether this entry needs more time.
        if history is None or self._breaker.state is State.DOWN:
            return 1
        return int(2 ** min(history.failures, _MOST_DOUBLINGS))

    def judge(self, entry: Entry, error: Exception) -> Verdict:
        """Decide about an entry that has failed with ``error``, and tell the breaker if the backend is to blame."""
        history = self._histories.setdefault(entry.path.name, _History())
        others_got_through = history.successes >= 0 and self._breaker.successes > history.successes
        verdict = Verdict.RETRY
        longest_pause = self._pace.longest_retry
        if isinstance(error, EntryDamaged):
            verdict = self._blame(entry, error, chances=1)
        elif isinstance(error, BackendError):
            self._breaker.failed(error)
            if not others_got_through:
                longest_pause = self._pace.longest_round
        elif isinstance(error, OSError):
            # The disk of the spool: neither the entry nor the backend is to blame.
            logger.warning("spool entry %s: %s", entry.path.name, describe(error))
        elif others_got_through or self._backend_works():
            verdict = self._blame(entry, error, chances=_MAX_REFUSALS)
        else:
            self._breaker.failed(error)
            longest_pause = self._pace.longest_round
        self._postpone(history, longest_pause)
        return verdict

    def forget(self, name: str) -> None:
        """Forget an entry that has been delivered."""
        self._histories.pop(name, None)

    def forget_all_but(self, names: Iterable[str]) -> None:
        """Forget entries that are not among ``names``: other workers have delivered them."""
        kept = self._histories.keys() & set(names)
        self._histories = {name: self._histories[name] for name in kept}

    def _blame(self, entry: Entry, error: Exception, chances: int) -> Verdict:
        """Write down why an entry failed; it is set aside if that was its last chance."""
        try:
            count = run_blocking(entry.note_failure, describe(error)[:_LONGEST_REASON])
        except OSError as disk_error:
            logger.warning("spool entry %s: %s", entry.path.name, describe(disk_error))
            return Verdict.RETRY
        return Verdict.SET_ASIDE if count >= chances else Verdict.RETRY

    def _backend_works(self) -> bool:
        try:
            self._check_health()
        except Exception:  # noqa: BLE001 - whatever it is, the backend does not work
            return False
        return True

    def _postpone(self, history: _History, longest_pause: float) -> None:
        # The exponent is bounded, too: there may be thousands of failures.
        pause = self._pace.first_retry * 2 ** min(history.failures, 10)
        history.failures += 1
        history.not_before = time.monotonic() + min(pause, longest_pause)
        history.successes = self._breaker.successes
