# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Publishes the ids of crashes that have just been saved."""

import contextvars
import logging
import time
from collections.abc import Callable
from functools import partial

import gevent
import gevent.pool
import markus

from antenna.crashmover.attempts import AttemptOutcome, Attempts
from antenna.crashmover.destination import Destination
from antenna.crashmover.spool_writer import SpoolWriter
from antenna.ext import CrashPublishBase
from antenna.hub import catch_up, run_blocking
from antenna.ops.errors import describe
from antenna.refusal import Lost
from antenna.spool import Entry, Spool

logger = logging.getLogger(__name__)
metrics = markus.get_metrics("crashmover")

# With a spool, a client waits so many times as long as publishing usually takes, within these bounds, in seconds.
_USUAL_TIMES = 5.0
_SHORTEST_WAIT = 0.1
_LONGEST_WAIT = 0.5
# The share that one id has in the usual time, which is a moving average.
_WEIGHT = 0.1


class Publisher:
    """Publishes an id, or leaves it to the spool. Clients do not notice when publishing hangs.

    An attempt that takes longer than a client is to wait goes on. Meanwhile the id lies in the spool, as an entry that
    this process has claimed, so that nobody publishes it a second time. It is taken out again if the attempt works.
    """

    def __init__(self, crashpublish: CrashPublishBase, attempts: Attempts, writer: SpoolWriter | None) -> None:
        """``attempts`` say how often and how long publishing is tried. ``writer`` is None where there is no spool."""
        self._crashpublish = crashpublish
        self._attempts = attempts
        self._has_spool = writer is not None
        self._destination = Destination(writer)
        self._late = gevent.pool.Group()
        self._usual_time = 0.0

    def publish(self, crash_id: str) -> None:
        """Publish the id of a saved crash; returns when it is certain that it is, or will be, published.

        Raises ``Lost`` if the spool has to take it and cannot. Without a spool, an id that cannot
        be published is logged and counted: it can be published again from what is saved.
        """
        if not self._has_spool:
            if self._run(crash_id, _LONGEST_WAIT) is not AttemptOutcome.DONE:
                metrics.incr("unpublished")
                extra = {"event": "unpublished", "crash_id": crash_id}
                logger.error("%s is saved but not published", crash_id, extra=extra)
            return
        wait = min(max(self._usual_time * _USUAL_TIMES, _SHORTEST_WAIT), _LONGEST_WAIT)
        attempt = _PatientAttempt(partial(self._run, crash_id, wait), wait)
        try:
            self._destination.send(attempt, partial(self._spool, crash_id, attempt))
        except Lost:
            logger.error("%s is saved but neither published nor spooled", crash_id)  # noqa: TRY400 - it says it all
            raise

    def join(self, seconds: float) -> None:
        """Wait for ids that are published late, up to ``seconds``."""
        self._late.join(seconds)

    def _run(self, crash_id: str, answer_within: float) -> AttemptOutcome:
        start = time.monotonic()
        outcome = self._attempts.run(
            crash_id, partial(self._crashpublish.publish_crash, crash_id), answer_within=answer_within
        )
        passed = time.monotonic() - start
        if outcome is AttemptOutcome.DONE:
            self._usual_time += _WEIGHT * (passed - self._usual_time)
            metrics.incr("published", tags=["via:live"])
            extra = {"event": "published", "crash_id": crash_id, "ms": round(passed * 1000)}
            logger.info("%s published", crash_id, extra=extra)
        return outcome

    def _spool(self, crash_id: str, attempt: "_PatientAttempt", writer: SpoolWriter) -> None:
        """Write an id to the spool. Raises ``Lost``."""
        if attempt.has_ended:
            writer.add_id(crash_id)
        else:
            entry = writer.add_claimed_id(crash_id)
            self._late.spawn(self._settle, attempt, entry, writer.spool)

    def _settle(self, attempt: "_PatientAttempt", entry: Entry, spool: Spool) -> None:
        """Take the entry of an id out of the spool if its attempt works in the end; else let the delivery have it."""
        try:
            if attempt.wait() is AttemptOutcome.DONE:
                run_blocking(spool.remove, entry)
                metrics.incr("delivered", tags=["kind:id"])
        except OSError as error:
            logger.warning("%s is published, and will be again: %s", entry.crash_id, describe(error))
        finally:
            run_blocking(entry.release)


class _PatientAttempt:
    """An attempt for which a client waits some time only. An action of ``Destination.send``."""

    def __init__(self, run: Callable[[], AttemptOutcome], wait: float) -> None:
        """``wait``: seconds."""
        self._run = run
        self._seconds = wait
        self._greenlet: gevent.Greenlet[..., AttemptOutcome] | None = None

    def __call__(self) -> AttemptOutcome | None:
        """Begin, and return None if it takes longer than the client waits. The second time, wait for the outcome."""
        if self._greenlet is not None:
            outcome = self.wait()
            return self._run() if outcome is AttemptOutcome.NOT_TRIED else outcome
        # With the context of the request: its id is in the log records of the attempt, too.
        self._greenlet = gevent.spawn(contextvars.copy_context().run, self._run)
        self._greenlet.join(self._seconds)
        # It may have been this worker, not the backend, that took so long.
        catch_up(self._greenlet.ready)
        return self.wait() if self.has_ended else None

    @property
    def has_ended(self) -> bool:
        """Whether the outcome is known."""
        return self._greenlet is not None and self._greenlet.ready()

    def wait(self) -> AttemptOutcome:
        """Wait for the outcome of the attempt that has begun."""
        assert self._greenlet is not None  # noqa: S101 - for mypy: it has begun
        self._greenlet.join()
        return self._greenlet.value or AttemptOutcome.FAILED
