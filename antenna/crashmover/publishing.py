# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Publishes the ids of crashes that have just been saved."""

import logging
import time

import gevent
import gevent.pool
import markus

from antenna.crashmover.attempts import Attempts
from antenna.crashmover.spool_writer import Spooling
from antenna.ext.crashpublish_base import CrashPublishBase
from antenna.hub import catch_up, run_blocking
from antenna.refusal import Refusal
from antenna.spool.entry import Entry

logger = logging.getLogger(__name__)
metrics = markus.get_metrics("crashmover")

# With a spool, a client waits so many times as long as publishing usually takes, within these bounds, in seconds.
_PATIENCE = 5.0
_SHORTEST_WAIT = 0.1
_LONGEST_WAIT = 0.5
# The usual time follows what crashes take, each by so much.
_WEIGHT = 0.1


class Publishing:
    """Publishes an id, or leaves it to the spool. Clients do not notice when publishing hangs."""

    def __init__(self, crashpublish: CrashPublishBase, attempts: Attempts, spooling: Spooling | None) -> None:
        """``attempts`` say how often and how long it is tried."""
        self._crashpublish = crashpublish
        self._attempts = attempts
        self._spooling = spooling
        self._in_hand = gevent.pool.Group()
        self._usual_time = 0.0

    def publish(self, crash_id: str) -> None:
        """Publish the id of a saved crash; returns when it is certain that it is, or will be, published.

        Raises ``Lost`` if the spool has to take it and cannot. Without a spool, an
        id that cannot be published is logged and counted: it can be published again from what is saved.
        """
        if self._spooling is None:
            if not self._attempt(crash_id, _LONGEST_WAIT):
                logger.error("%s is saved but not published", crash_id)
            return
        patience = min(max(self._usual_time * _PATIENCE, _SHORTEST_WAIT), _LONGEST_WAIT)
        attempt = gevent.spawn(self._attempt, crash_id, patience)
        attempt.join(patience)
        catch_up(attempt.ready)
        try:
            if not attempt.ready():
                # It may well work yet: then the entry goes. Meanwhile it is ours.
                entry = self._spooling.add_claimed_id(crash_id)
                self._in_hand.spawn(self._settle, attempt, entry, self._spooling)
            elif not attempt.value:
                self._spooling.add_id(crash_id)
        except Refusal:
            attempt.join()
            # If it was not even tried, because publishing is down or hangs: there is nothing else left now.
            if not attempt.value and (attempt.value is not None or not self._attempt(crash_id, patience)):
                logger.error("%s is saved but neither published nor spooled", crash_id)  # noqa: TRY400 - it says it all
                raise

    def join(self, seconds: float) -> None:
        """Wait for ids that are published late, up to ``seconds``."""
        self._in_hand.join(seconds)

    def _attempt(self, crash_id: str, patience: float) -> bool | None:
        """Publish; say whether that worked, None if it was not even tried."""
        start = time.monotonic()
        published = self._attempts.run(crash_id, lambda end: self._crashpublish.publish_crash(crash_id, end), patience)
        passed = time.monotonic() - start
        metrics.timing("crash_publish.time", passed * 1000)
        if published:
            self._usual_time += _WEIGHT * (passed - self._usual_time)
            logger.info("%s published", crash_id)
        return published

    def _settle(self, attempt: "gevent.Greenlet[..., bool | None]", entry: Entry, spooling: Spooling) -> None:
        """Take the entry of an id away if it is published in the end; else let the delivery have it."""
        attempt.join()
        try:
            if attempt.value:
                run_blocking(spooling.spool.remove, entry)
                metrics.incr("delivered")
        except OSError as error:
            logger.warning("%s is published, and will be again: %s", entry.crash_id, error)
        finally:
            run_blocking(entry.release)
