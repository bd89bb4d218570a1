# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Works through one part of the spool: the oldest first, one entry by one worker, more gently than live traffic."""

import logging
import random
import threading
import time
from collections.abc import Callable

import gevent
import gevent.pool
import markus

from antenna.backend import BackendError, CrashRefused
from antenna.blocking import run_blocking
from antenna.breaker import CircuitBreaker
from antenna.spool import Entry, Kind, Spool

logger = logging.getLogger(__name__)
metrics = markus.get_metrics("crashmover")

# Entries that one worker delivers at a time, and how many it looks for at once.
_CONCURRENCY = 16
_BATCH = 500
# Pause, in seconds, when there is nothing to do, and the shortest and longest one when the backend is down.
_IDLE = 1.0
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 5.0
# How often an entry may fail for its own sake until it is set aside: refused by the backend, or broken; or without an
# answer from a backend that works for others, as may be bad luck. The pause between, in seconds, doubles each time.
_MAX_REFUSALS = 5
_MAX_FAILURES = 20
_FAILURE_PAUSE = 1.0

Deliver = Callable[[Entry, int], None]


class DeliveryLoop:
    """Delivers the entries of one kind until it is stopped.

    ``deliver`` takes a claimed entry and how often it has failed before; it raises ``BackendError`` when the backend
    is down, and anything else when the entry itself is to blame.
    """

    def __init__(self, spool: Spool, kind: Kind, deliver: Deliver, breaker: CircuitBreaker, rate: float) -> None:
        """At most ``rate`` entries a second."""
        self._spool = spool
        self._kind = kind
        self._deliver = deliver
        self._breaker = breaker
        self._interval = 1.0 / rate
        self._stopped = threading.Event()
        self._not_before: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._successes_then: dict[str, int] = {}
        self._backend_failed = False
        self._delivered = 0

    def run(self) -> None:
        """Deliver until ``stop()``."""
        pause = 0.0
        while not self._stopped.is_set():
            try:
                self.deliver_round()
            except OSError as error:
                logger.warning("the spool cannot be read: %s", error)
                self._backend_failed = True
            if self._backend_failed:
                pause = min(max(_FIRST_PAUSE, pause * 2), _LONGEST_PAUSE)
                self._wait(pause * random.uniform(0.5, 1))
            elif self._delivered:
                pause = 0.0
            else:
                pause = 0.0
                self._wait(_IDLE)

    def stop(self) -> None:
        """End ``run()`` after the entries in hand."""
        self._stopped.set()

    def deliver_round(self) -> int:
        """Deliver what is due, the oldest first, until the backend shows itself to be down; return how many."""
        self._backend_failed = False
        self._delivered = 0
        names = run_blocking(self._spool.oldest, self._kind, _BATCH)
        now = time.monotonic()
        due = [name for name in names if self._not_before.get(name, 0.0) <= now]
        pool = gevent.pool.Pool(1 if self._breaker.is_open else _CONCURRENCY)
        for name in due:
            if self._backend_failed or self._stopped.is_set():
                break
            pool.spawn(self._deliver_one, name)
            if not self._breaker.is_open:
                gevent.sleep(self._interval)
        pool.join()
        return self._delivered

    def _wait(self, seconds: float) -> None:
        """Wait, but not on when the backend is back."""
        was_open = self._breaker.is_open
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._stopped.is_set():
            if was_open and not self._breaker.is_open:
                return
            self._stopped.wait(0.1)

    def _deliver_one(self, name: str) -> None:
        try:
            entry = run_blocking(self._spool.claim, self._kind, name)
            if entry is None:
                return
            try:
                self._deliver_claimed(entry, name)
            finally:
                run_blocking(entry.release)
        except OSError as error:
            logger.warning("spool entry %s: %s", name, error)
            self._postpone(name)

    def _deliver_claimed(self, entry: Entry, name: str) -> None:
        failures = self._failures.get(name, 0)
        try:
            self._deliver(entry, failures)
        except BackendError as error:
            # When the backend has worked for others since, it is this entry that it has trouble with.
            if self._breaker.successes > self._successes_then.get(name, self._breaker.successes):
                self._blame(entry, name, error, _MAX_FAILURES)
            self._breaker.failed(error)
            self._backend_failed = True
            self._postpone(name)
        except CrashRefused as error:
            self._postpone(name)
            self._blame(entry, name, error, _MAX_REFUSALS)
        except Exception as error:
            logger.exception("spool entry %s cannot be delivered", name)
            self._postpone(name)
            self._blame(entry, name, error, _MAX_REFUSALS)
        else:
            self._delivered += 1
            self._forget(name)
            metrics.incr("delivered")

    def _postpone(self, name: str) -> None:
        failures = self._failures[name] = self._failures.get(name, 0) + 1
        self._not_before[name] = time.monotonic() + _FAILURE_PAUSE * 2 ** min(failures - 1, 8)
        self._successes_then[name] = self._breaker.successes

    def _forget(self, name: str) -> None:
        for memory in (self._failures, self._not_before, self._successes_then):
            memory.pop(name, None)

    def _blame(self, entry: Entry, name: str, error: Exception, most: int) -> None:
        """Write down that an entry failed for its own sake; set it aside if that was once too often."""
        if run_blocking(self._spool.note_failure, entry, str(error)[:1000]) >= most:
            run_blocking(self._spool.set_aside, entry)
            self._forget(name)
            metrics.incr("set_aside")
            logger.error("spool entry %s can never be delivered and is set aside: %s", name, error)
