# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Works through one part of the spool: one entry by one worker, more gently than live traffic."""

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import gevent
import gevent.pool
import markus

from antenna.backend import BackendError, CrashRefused
from antenna.crashmover.breaker import CircuitBreaker, State
from antenna.hub import run_blocking
from antenna.spool.entry import Entry, EntryDamaged, Kind
from antenna.spool.spool import Spool

logger = logging.getLogger(__name__)
metrics = markus.get_metrics("crashmover")

# Entries that one worker delivers at a time, and how many it looks for at once.
_CONCURRENCY = 16
_BATCH = 500
# Pause, in seconds, when there is nothing to do, and the shortest and longest one when the backend is down.
_IDLE = 1.0
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 5.0
# How long the next entry waits for a moment in which the worker has nothing else to do.
_LONGEST_YIELD = 0.01
# How often somebody who waits looks whether the wait is over.
_POLL = 0.1
# Seconds until an entry that has failed is tried again: twice as long each time. If it is not to blame, it has its turn
# soon after the backend is back.
_FIRST_ENTRY_PAUSE = 1.0
_LONGEST_ENTRY_PAUSE = 256.0
# How often an entry may fail for its own sake until it is set aside: when the backend refuses it and works for others;
# or when it fails otherwise while others get through, as may be bad luck. The last takes hours.
_MAX_REFUSALS = 5
_MAX_FAILURES = 100
# Failures that make the time for an attempt longer: it is doubled for each.
_MOST_DOUBLINGS = 5

# Takes a claimed entry and how many times longer than usual it may take. Returns whether nothing is left to do, and not
# only an id to publish.
Deliver = Callable[[Entry, int], bool]


@dataclass(slots=True)
class _History:
    """What this process knows of an entry that did not get through at once."""

    failures: int = 0
    not_before: float = 0.0
    #: How often the backend had worked when the entry failed last.
    successes: int | None = None
    #: What ``deliver`` returned, if it is only the spool that is left to change: that may fail, too.
    outcome: bool | None = None


class DeliveryLoop:
    """Delivers the entries of one kind until it is stopped, the oldest first."""

    def __init__(
        self,
        spool: Spool,
        kind: Kind,
        deliver: Deliver,
        prove: Callable[[], None],
        breaker: CircuitBreaker,
        rate: float,
    ) -> None:
        """``deliver`` raises ``BackendError``, ``CrashRefused``, ``EntryDamaged``, ``OSError`` of the spool.

        ``prove`` raises an exception unless the backend works for something harmless. ``rate``: at most so many
        entries a second.
        """
        self._spool = spool
        self._kind = kind
        self._deliver = deliver
        self._prove = prove
        self._breaker = breaker
        self._interval = 1.0 / rate
        self._stopped = threading.Event()
        self._histories: dict[str, _History] = {}
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
                logger.warning("the spool cannot be read: %s", error)
            except Exception:
                works = False
                logger.exception("the spool cannot be delivered")
            if self._breaker.state is State.DOWN or not works:
                pause = min(max(_FIRST_PAUSE, pause * 2), _LONGEST_PAUSE)
                self._wait(pause * random.uniform(0.5, 1))
            else:
                pause = 0.0
                if not delivered:
                    self._wait(_IDLE)
        self._in_hand.join()

    def stop(self) -> None:
        """End ``run()`` after the entries in hand."""
        self._stopped.set()

    def deliver_round(self) -> int:
        """Deliver what is due until the backend shows itself to be down; return how many. Raises ``OSError``.

        When it is down already, one entry finds out whether it is back; when it hangs, one after the other.
        """
        before = self._delivered
        # However many have failed and wait for their turn, others are among them.
        names = run_blocking(self._spool.oldest, self._kind, _BATCH + len(self._histories))
        self._forget_others(names)
        now = time.monotonic()
        for name in names:
            if name in self._histories and self._histories[name].not_before > now:
                continue
            entry = run_blocking(self._spool.claim, self._kind, name)
            if entry is None:
                continue
            failures = self._breaker.failures
            was_doubtful = self._breaker.state is not State.UP
            handling = self._in_hand.spawn(self._handle, entry, name)
            if was_doubtful:
                self._join(handling)
            else:
                self._pace()
            # An entry that is damaged, or of which only the spool is left to change, has asked the backend nothing.
            if (self._breaker.state is State.DOWN and self._breaker.failures > failures) or self._stopped.is_set():
                break
        # Not for those that take long: others may come meanwhile.
        self._in_hand.join(_IDLE)
        return self._delivered - before

    def _pace(self) -> None:
        """Keep to the rate, and let live traffic go first."""
        self._next = max(self._next + self._interval, time.monotonic())
        gevent.sleep(max(0.0, self._next - time.monotonic()))
        with contextlib.suppress(TimeoutError), gevent.Timeout(_LONGEST_YIELD, TimeoutError):
            gevent.idle()

    def _join(self, handling: "gevent.Greenlet[..., None]") -> None:
        """Wait for an entry, but not on when the backend is back: it may wait for an answer of before."""
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

    def _handle(self, entry: Entry, name: str) -> None:
        history = self._histories.setdefault(name, _History())
        try:
            try:
                if history.outcome is not None or self._try(entry, name, history):
                    run_blocking(self._spool.remove if history.outcome else self._spool.saved, entry)
                    self._delivered += 1
                    self._histories.pop(name, None)
                    if history.outcome:
                        metrics.incr("delivered")
            finally:
                run_blocking(entry.release)
        except OSError as error:
            logger.warning("spool entry %s: %s", name, error)
            self._postpone(history, _LONGEST_ENTRY_PAUSE)

    def _try(self, entry: Entry, name: str, history: _History) -> bool:
        """Deliver an entry; say whether that worked. Raises ``OSError``."""
        # While the backend is down, the question is whether it is back.
        doublings = 0 if self._breaker.state is State.DOWN else min(history.failures, _MOST_DOUBLINGS)
        try:
            history.outcome = self._deliver(entry, 2**doublings)
        except EntryDamaged as error:
            self._blame(entry, name, error, 1)
        except OSError as error:
            self._blame(entry, name, error, _MAX_FAILURES)
            self._postpone(history, _LONGEST_ENTRY_PAUSE)
        except BackendError as error:
            self._failed(entry, name, history, error, _MAX_FAILURES)
        except CrashRefused as error:
            self._failed(entry, name, history, error, _MAX_REFUSALS)
        except Exception as error:
            logger.exception("spool entry %s", name)
            self._failed(entry, name, history, error, _MAX_REFUSALS)
        return history.outcome is not None

    def _failed(self, entry: Entry, name: str, history: _History, error: Exception, most: int) -> None:
        """Take note that an attempt has failed: for the sake of the entry, or because the backend does not work."""
        is_to_blame = self._is_to_blame(history)
        if not is_to_blame and most == _MAX_REFUSALS:
            is_to_blame = self._backend_works()
        if is_to_blame:
            self._blame(entry, name, error, most)
        if not is_to_blame or most == _MAX_FAILURES:
            self._breaker.failed(error)
        self._postpone(history, _LONGEST_ENTRY_PAUSE if is_to_blame else _LONGEST_PAUSE)

    def _is_to_blame(self, history: _History) -> bool:
        """Whether the backend has worked for others since the entry failed last."""
        return history.successes is not None and self._breaker.successes > history.successes

    def _backend_works(self) -> bool:
        try:
            self._prove()
        except Exception:  # noqa: BLE001 - whatever it is, it does not work
            return False
        return True

    def _postpone(self, history: _History, longest: float) -> None:
        # The exponent is bounded, too: there may be thousands of failures.
        pause = _FIRST_ENTRY_PAUSE * 2 ** min(history.failures, 10)
        history.failures += 1
        history.not_before = time.monotonic() + min(pause, longest)
        history.successes = self._breaker.successes

    def _forget_others(self, names: list[str]) -> None:
        """Forget entries that are gone: others have delivered them."""
        kept = self._histories.keys() & set(names)
        self._histories = {name: self._histories[name] for name in kept}

    def _blame(self, entry: Entry, name: str, error: Exception, most: int) -> None:
        """Write down that an entry failed for its own sake; set it aside if that was once too often."""
        if run_blocking(entry.note_failure, str(error)[:1000]) >= most:
            run_blocking(self._spool.set_aside, entry)
            metrics.incr("set_aside")
            logger.error("spool entry %s can never be delivered and is set aside: %s", name, error)
