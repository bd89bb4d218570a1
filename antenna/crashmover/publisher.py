# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Publishes the ids of crashes that have just been saved, and leaves to the spool what takes too long."""

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

# With a spool, a client waits until publishing has taken this many times the time that it usually takes. Then its id
# goes to the spool.
_USUAL_TIMES = 5.0
# Bounds of this wait, in seconds. No client notices the shortest, which is for backends that are very fast. The longest
# keeps a backend that hangs from holding up its clients.
_SHORTEST_WAIT = 0.1
_LONGEST_WAIT = 0.5
# The usual time is a moving average. This is the weight of the newest id in it.
_WEIGHT = 0.1


class Publisher:
    """Publishes an id, or leaves it to the spool. Clients do not notice when publishing hangs.

    If an attempt takes longer than a client is to wait, it goes on. Meanwhile the id lies in the spool, as an entry
    that this process has claimed, so that it is not published a second time. If the attempt works, the entry is
    removed.
    """

    def __init__(self, crashpublish: CrashPublishBase, attempts: Attempts, writer: SpoolWriter | None) -> None:
        """``attempts`` says how often and how long publishing is tried. ``writer`` is None where there is no spool."""
        self._crashpublish = crashpublish
        self._attempts = attempts
        self._has_spool = writer is not None
        self._destination = Destination(writer)
        # Greenlets that wait for attempts whose clients have been answered already.
        self._late = gevent.pool.Group()
        self._usual_time = 0.0

    def publish(self, crash_id: str) -> None:
        """Publish the id of a saved crash. With a spool, the id is published or spooled when this returns.

        Raises ``Lost`` if the backend does not publish the id and the spool does not take it. Without a spool, an id
        that cannot be published is logged and counted. Somebody can publish it later, because its crash is saved.
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
        """Wait up to ``seconds`` for the attempts whose clients have been answered already."""
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
        """Wait for the end of an attempt. If it worked, remove the entry of its id.

        If it did not work, the entry is released, and the delivery of the spool publishes the id later.
        """
        try:
            if attempt.wait() is AttemptOutcome.DONE:
                run_blocking(spool.remove, entry)
                metrics.incr("delivered", tags=["kind:id"])
        except OSError as error:
            logger.warning(
                "%s is published, and will be published again, because its entry cannot be removed: %s",
                entry.crash_id,
                describe(error),
            )
        finally:
            run_blocking(entry.release)


class _PatientAttempt:
    """An attempt that goes on when the client has waited long enough. It is an action of ``Destination.send``."""

    def __init__(self, run: Callable[[], AttemptOutcome], wait: float) -> None:
        """``wait`` is the number of seconds that the client waits."""
        self._run = run
        self._seconds = wait
        self._greenlet: gevent.Greenlet[..., AttemptOutcome] | None = None

    def __call__(self) -> AttemptOutcome | None:
        """The first call begins the attempt, and returns None if it takes longer than the client waits.

        The second call waits for the outcome. If there was no attempt, it makes one.
        """
        if self._greenlet is not None:
            outcome = self.wait()
            return self._run() if outcome is AttemptOutcome.NOT_TRIED else outcome
        # The attempt runs in the context of the request, so that its log records have the id of the request.
        self._greenlet = gevent.spawn(contextvars.copy_context().run, self._run)
        self._greenlet.join(self._seconds)
        # The answer may have arrived while this worker was too busy to read it.
        catch_up(self._greenlet.ready)
        return self.wait() if self.has_ended else None

    @property
    def has_ended(self) -> bool:
        """Whether the outcome is known."""
        return self._greenlet is not None and self._greenlet.ready()

    def wait(self) -> AttemptOutcome:
        """Wait for the end of the attempt, which must have begun, and return its outcome."""
        assert self._greenlet is not None  # noqa: S101 - for mypy: it has begun
        self._greenlet.join()
        return self._greenlet.value or AttemptOutcome.FAILED
