# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Delivers the crashes, or the ids, of the spool: in rounds, and so slowly that crashes that come in go first."""

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
from antenna.crashmover.verdicts import Pace, Verdicts
from antenna.hub import run_blocking
from antenna.ops.errors import describe
from antenna.spool import Entry, EntryDamaged, Kind, Spool

logger = logging.getLogger(__name__)

# Entries of one kind that one worker delivers at the same time. With one, the worker would mostly wait for the backend.
# Each takes memory and a connection, which crashes that come in need too. Further entries wait until one is done.
_CONCURRENCY = 16
# Seconds. Before each entry, the loop waits until the worker has nothing else to do, but no longer than this.
_LONGEST_YIELD = 0.01
# Seconds between two checks whether a wait is over.
_POLL = 0.1


class DeliveryLoop:
    """Delivers the entries of one kind, the oldest first, until it is stopped.

    A round goes through the entries that are due. If the backend is DOWN, a round ends with the first entry that fails,
    and the pauses between rounds grow. ``Verdicts`` decides when a failed entry is due again.
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
        """``breaker`` and ``check_health`` belong to the backend that entries of this ``kind`` need first.

        ``check_health`` raises an exception if the backend does not work.
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
        """Begin no more entries. ``run()`` ends when those that have begun are done."""
        self._stopped.set()

    def deliver_round(self) -> int:
        """Deliver the entries that are due, until the backend is found to be DOWN. Returns how many were.

        Raises ``OSError``. If the backend is DOWN already, one entry is tried, to see whether it is back. If the
        backend is SILENT, the entries are tried one after the other.
        """
        before = self._delivered
        # Entries that have failed may not be due, and they are the oldest. The batch is larger by their number, so that
        # it also holds entries that are due.
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
            # The round ends only if the backend has failed for this entry. An entry that is damaged, or that only has
            # to leave the spool, asks no backend.
            has_failed = self._breaker.failures > failures
            if (self._breaker.state is State.DOWN and has_failed) or self._stopped.is_set():
                break
        # The wait for slow entries is bounded, because new entries may come meanwhile.
        self._in_hand.join(self._pace.idle)
        return self._delivered - before

    def _wait_for_turn(self) -> None:
        """Wait as the rate demands, and then until the worker has nothing else to do."""
        self._next = max(self._next + 1.0 / self._pace.rate, time.monotonic())
        gevent.sleep(max(0.0, self._next - time.monotonic()))
        with contextlib.suppress(TimeoutError), gevent.Timeout(_LONGEST_YIELD, TimeoutError):
            gevent.idle()

    def _join(self, handling: "gevent.Greenlet[..., None]") -> None:
        """Wait for the greenlet that delivers an entry.

        If the backend comes UP meanwhile, stop waiting: this entry may hang in a request that was sent before.
        """
        while not handling.ready() and self._breaker.state is not State.UP:
            handling.join(_POLL)

    def _wait(self, seconds: float) -> None:
        """Wait for ``seconds``, or until a backend that was DOWN is back, or until ``stop()``."""
        was_down = self._breaker.state is State.DOWN
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._stopped.is_set():
            if was_down and self._breaker.state is not State.DOWN:
                return
            self._stopped.wait(_POLL)

    def _handle(self, entry: Entry) -> None:
        """Deliver an entry. If that fails, do what the verdict says. Release the entry in any case."""
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
        if self._verdicts.judge(entry, error):
            try:
                self._delivery.set_aside(entry, error)
            except OSError as disk_error:
                logger.warning("spool entry %s: %s", entry.path.name, describe(disk_error))
