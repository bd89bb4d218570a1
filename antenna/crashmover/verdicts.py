# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Decides what becomes of an entry of the spool that could not be delivered: it is retried, or it is set aside."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from antenna.backend import BackendError
from antenna.crashmover.breaker import CircuitBreaker, State
from antenna.hub import run_blocking
from antenna.ops.errors import describe
from antenna.spool import Entry, EntryDamaged

logger = logging.getLogger(__name__)

# Number of times that the backend may refuse an entry, while it takes others, until the entry is set aside.
_MAX_REFUSALS = 5
# The time for an attempt is doubled for each failure of the entry, up to this many times.
_MOST_DOUBLINGS = 5
# Length in characters to which an error is cut before it is written down with the entry.
_LONGEST_REASON = 1000


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the delivery of the spool works. Times are in seconds."""

    #: Most entries of one kind that one worker delivers in a second, so that crashes that come in go first. This is
    #: about as many crashes of 400 kB as one core can deliver when it has nothing else to do.
    rate: float = 500.0
    #: Most entries that one round looks at.
    batch: int = 500
    #: Pause after a round that had nothing to deliver.
    idle: float = 1.0
    #: Pause between two rounds while the backend is DOWN. It doubles each time, from the first to the longest.
    first_round: float = 0.5
    longest_round: float = 5.0
    #: Time after which a failed entry is tried again. It doubles each time, from the first to the longest. While no
    #: other entry gets through either, it is at most a round's pause, so that all entries are due when the backend is
    #: back.
    first_retry: float = 1.0
    longest_retry: float = 256.0


@dataclass(slots=True)
class _History:
    """The facts that this process remembers about an entry that has failed."""

    failures: int = 0
    not_before: float = 0.0
    #: How often the backend had done its work when the entry last failed.
    successes: int = -1


class Verdicts:
    """Judges the failed entries of one backend.

    1. If an entry is damaged, it is set aside at once, since it can never be delivered.
    2. If the backend refuses an entry, or the entry makes our code fail, it has five chances. A chance is counted only
       while the backend works: other entries were delivered in between, or its health check passes. The count is kept
       in the spool together with the reasons, so it outlives the process.
    3. Every other entry is retried for ever. If other entries get through, it is retried less and less often. Operators
       see it in ``crashmover.spool_oldest_age``.

    An outage sets no entry aside, however long it lasts.
    """

    def __init__(self, breaker: CircuitBreaker, check_health: Callable[[], None], pace: Pace) -> None:
        """``check_health`` raises an exception if the backend does not work."""
        self._breaker = breaker
        self._check_health = check_health
        self._pace = pace
        self._histories: dict[str, _History] = {}

    def __len__(self) -> int:
        """The number of entries that have failed and are still in the spool."""
        return len(self._histories)

    def is_due(self, name: str) -> bool:
        """Whether an entry may be tried now."""
        history = self._histories.get(name)
        return history is None or history.not_before <= time.monotonic()

    def time_factor(self, name: str) -> int:
        """Return how many times the usual time the next attempt may take.

        A large crash may have failed for lack of time.
        """
        history = self._histories.get(name)
        # While the backend is DOWN, the attempt only has to show whether it is back.
        if history is None or self._breaker.state is State.DOWN:
            return 1
        return int(2 ** min(history.failures, _MOST_DOUBLINGS))

    def judge(self, entry: Entry, error: Exception) -> bool:
        """Record that ``entry`` has failed with ``error``. Returns whether it is to be set aside.

        If it is not, it is retried later. If the backend is to blame, its breaker is told.
        """
        history = self._histories.setdefault(entry.path.name, _History())
        others_got_through = history.successes >= 0 and self._breaker.successes > history.successes
        is_hopeless = False
        longest_pause = self._pace.longest_retry
        if isinstance(error, EntryDamaged):
            is_hopeless = self._blame(entry, error, chances=1)
        elif isinstance(error, BackendError):
            self._breaker.failed(error)
            if not others_got_through:
                longest_pause = self._pace.longest_round
        elif isinstance(error, OSError):
            # The disk of the spool failed. Neither the entry nor the backend is to blame.
            logger.warning("spool entry %s: %s", entry.path.name, describe(error))
        elif others_got_through or self._backend_works():
            is_hopeless = self._blame(entry, error, chances=_MAX_REFUSALS)
        else:
            self._breaker.failed(error)
            longest_pause = self._pace.longest_round
        self._postpone(history, longest_pause)
        return is_hopeless

    def forget(self, name: str) -> None:
        """Forget an entry that has been delivered."""
        self._histories.pop(name, None)

    def forget_all_but(self, names: Iterable[str]) -> None:
        """Forget the entries that are not among ``names``, because other workers have delivered them."""
        kept = self._histories.keys() & set(names)
        self._histories = {name: self._histories[name] for name in kept}

    def _blame(self, entry: Entry, error: Exception, chances: int) -> bool:
        """Write down with the entry why it failed. Return whether that was its last chance."""
        try:
            count = run_blocking(entry.note_failure, describe(error)[:_LONGEST_REASON])
        except OSError as disk_error:
            logger.warning("spool entry %s: %s", entry.path.name, describe(disk_error))
            return False
        return count >= chances

    def _backend_works(self) -> bool:
        try:
            self._check_health()
        except Exception:  # noqa: BLE001 - whatever it is, the backend does not work
            return False
        return True

    def _postpone(self, history: _History, longest_pause: float) -> None:
        # The exponent is bounded, because an entry may fail thousands of times.
        pause = self._pace.first_retry * 2 ** min(history.failures, 10)
        history.failures += 1
        history.not_before = time.monotonic() + min(pause, longest_pause)
        history.successes = self._breaker.successes
