# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Works through one part of the spool, the crashes or the ids: in rounds, and more gently than live traffic."""

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable

import gevent
import gevent.pool

from antenna.backend import BackendError, CrashRefused
from antenna.crashmover.breaker import CircuitBreaker, State
from antenna.crashmover.delivery import Delivery
from antenna.crashmover.verdicts import Pace, Verdict, Verdicts
from antenna.hub import run_blocking
from antenna.ops.errors import describe
from antenna.spool import Entry, EntryDamaged, Kind, Spool

logger = logging.getLogger(__name__)

# Entries that one worker delivers at a time.
_CONCURRENCY = 16
# Seconds for which the next entry waits for a moment in which the worker has nothing else to do.
_LONGEST_YIELD = 0.01
# Seconds between two looks whether a wait is over.
_POLL = 0.1


class DeliveryLoop:
    """Delivers the entries of one kind until it is stopped, the oldest first.

    A round goes through the entries that are due. While the backend is DOWN, a round ends with the first entry that
    fails, and the pauses between rounds grow. ``Verdicts`` decides when an entry that failed is due again.
    """

    def __init__(
        self,
        spool: Spool,
        kind: Kind,
        delivery: Delivery,
        breaker: CircuitBreaker,
        check_health: Callable[[], None],
        *,
        pace: Pace,
    ) -> None:
        """``breaker`` and ``check_health`` are those of the backend that entries of this ``kind`` need first.

        ``check_health`` raises an exception unless the backend works.
        """
        self._spool = spool
        self._kind = kind
        self._delivery = delivery
        self._breaker = breaker
        self._verdicts = Verdicts(breaker, check_health, pace)
        self._pace = pace
        self._stopped = threading.Event()
        self._in_hand = gevent.pool.Pool(_CONCURRENCY)
        self._next = 0.0
        self._delivered = 0

    def run(self) -> None:
        """Deliver until ``stop()``."""
        pause = 0.0
        while not self._stopped.is_set():
            works = True
            delivered = 0
            try:
                delivered = self.deliver_round()
            except OSError as error:
                works = False
                logger.warning("the spool cannot be read: %s", describe(error))
            except Exception:
                works = False
                logger.exception("the spool cannot be delivered")
            if self._breaker.state is State.DOWN or not works:
                pause = min(max(self._pace.first_round, pause * 2), self._pace.longest_round)
                self._wait(pause * random.uniform(0.5, 1))
            else:
                pause = 0.0
                if not delivered:
                    self._wait(self._pace.idle)
        self._in_hand.join()

    def stop(self) -> None:
        """End ``run()`` after the entries in hand."""
        self._stopped.set()

    def deliver_round(self) -> int:
        """Deliver what is due until the backend turns out to be DOWN; return how many. Raises ``OSError``.

        If it is DOWN already, one entry finds out whether it is back. If it is SILENT, one is tried after the other.
        """
        before = self._delivered
        # However many have failed and wait for their turn, others are among these.
        names = run_blocking(self._spool.oldest, self._kind, self._pace.batch + len(self._verdicts))
        self._verdicts.forget_all_but(names)
        for name in names:
            if not self._verdicts.is_due(name):
                continue
            entry = self._delivery.claim(self._kind, name)
            if entry is None:
                continue
            failures = self._breaker.failures
            was_up = self._breaker.state is State.UP
            handling = self._in_hand.spawn(self._handle, entry)
            if was_up:
                self._wait_for_turn()
            else:
                self._join(handling)
            # An entry that is damaged, or has only to leave the spool, has asked the backend nothing.
            has_failed = self._breaker.failures > failures
            if (self._breaker.state is State.DOWN and has_failed) or self._stopped.is_set():
                break
        # No longer, for those that take long: new entries may come meanwhile.
        self._in_hand.join(self._pace.idle)
        return self._delivered - before

    def _wait_for_turn(self) -> None:
        """Keep to the rate, and let live traffic go first."""
        self._next = max(self._next + 1.0 / self._pace.rate, time.monotonic())
        gevent.sleep(max(0.0, self._next - time.monotonic()))
        with contextlib.suppress(TimeoutError), gevent.Timeout(_LONGEST_YIELD, TimeoutError):
            gevent.idle()

    def _join(self, handling: "gevent.Greenlet[..., None]") -> None:
        """Wait for an entry, but not on when the backend is UP again: the entry may wait for an answer of before."""
        while not handling.ready() and self._breaker.state is not State.UP:
            handling.join(_POLL)

    def _wait(self, seconds: float) -> None:
        """Wait, but not on when the backend is back."""
        was_down = self._breaker.state is State.DOWN
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._stopped.is_set():
            if was_down and self._breaker.state is not State.DOWN:
                return
            self._stopped.wait(_POLL)

    def _handle(self, entry: Entry) -> None:
        """Deliver an entry, or do what the verdict says, and release it."""
        name = entry.path.name
        try:
            self._delivery.deliver(entry, self._verdicts.time_factor(name))
        except Exception as error:  # noqa: BLE001 - the verdict is about any error
            self._fail(entry, error)
        else:
            self._delivered += 1
            self._verdicts.forget(name)
        finally:
            self._delivery.release(entry)

    def _fail(self, entry: Entry, error: Exception) -> None:
        if not isinstance(error, BackendError | CrashRefused | EntryDamaged | OSError):
            logger.error("spool entry %s", entry.path.name, exc_info=error)
        if self._verdicts.judge(entry, error) is Verdict.SET_ASIDE:
            try:
                self._delivery.set_aside(entry, error)
            except OSError as disk_error:
                logger.warning("spool entry %s: %s", entry.path.name, describe(disk_error))
