# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Delivers the spool in the background."""

import logging
import threading
import time
from functools import partial

import markus

from antenna.backend import BYTES_PER_SECOND, Deadline
from antenna.crashmover.attempts import AttemptOutcome, Attempts
from antenna.crashmover.delivery_loop import DeliveryLoop
from antenna.ext.crashpublish_base import CrashPublishBase
from antenna.ext.crashstorage_base import CrashStorageBase
from antenna.hub import run_blocking
from antenna.spool.entry import Entry, Kind
from antenna.spool.spool import Spool

logger = logging.getLogger(__name__)
metrics = markus.get_metrics("crashmover")
breakpad_metrics = markus.get_metrics("breakpad_resource")

# How often the state of the spool is emitted as metrics, in seconds.
_REPORT_INTERVAL = 10.0


class SpoolDelivery:
    """Saves and publishes the crashes of the spool, and publishes its ids, in threads of their own."""

    def __init__(
        self,
        spool: Spool,
        crashstorage: CrashStorageBase,
        crashpublish: CrashPublishBase,
        *,
        saving: Attempts,
        publishing: Attempts,
        rate: float,
    ) -> None:
        """``saving`` and ``publishing`` are those of live traffic; at most ``rate`` entries of a kind a second."""
        self._spool = spool
        self._crashstorage = crashstorage
        self._crashpublish = crashpublish
        self._saving = saving
        self._publishing = publishing
        self._loops = [
            DeliveryLoop(spool, Kind.CRASH, self.deliver, crashstorage.verify, saving.breaker, rate),
            DeliveryLoop(spool, Kind.ID, self.deliver, crashpublish.verify, publishing.breaker, rate),
        ]
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=target, daemon=True)
            for target in (*(loop.run for loop in self._loops), self._report)
        ]

    def start(self) -> None:
        """Start to deliver."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Begin no more entries."""
        self._stopped.set()
        for loop in self._loops:
            loop.stop()

    def join(self, seconds: float) -> None:
        """Wait up to ``seconds`` for the entries in hand."""
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def deliver(self, entry: Entry, patience: int) -> bool:
        """Do what is left to do with an entry, within ``patience`` times the usual time; the spool is not changed.

        Returns False if an id is left to publish. Raises ``BackendError``, ``CrashRefused``, ``EntryDamaged``,
        ``OSError``.
        """
        if entry.kind is Kind.CRASH:
            return self._deliver_crash(entry, patience)
        return self._deliver_id(entry, patience)

    def _deliver_crash(self, entry: Entry, patience: int) -> bool:
        """Save a crash and publish its id; return whether both are done. Raises what ``save_crash`` and ``load`` do."""
        crash = run_blocking(entry.load)
        try:
            seconds = self._saving.timeout * patience + crash.size / BYTES_PER_SECOND
            self._crashstorage.save_crash(crash, Deadline(seconds))
        finally:
            crash.close()
        self._saving.breaker.succeeded()
        breakpad_metrics.incr("save_crash.count")
        logger.info("%s saved", entry.crash_id)
        if crash.deferred:
            return True
        outcome = self._publishing.run(entry.crash_id, partial(self._crashpublish.publish_crash, entry.crash_id))
        if outcome is not AttemptOutcome.DONE:
            return False
        logger.info("%s published", entry.crash_id)
        return True

    def _deliver_id(self, entry: Entry, patience: int) -> bool:
        """Publish an id. Raises what ``publish_crash`` does."""
        self._crashpublish.publish_crash(entry.crash_id, Deadline(self._publishing.timeout * patience))
        self._publishing.breaker.succeeded()
        logger.info("%s published", entry.crash_id)
        return True

    def _report(self) -> None:
        """Emit the state of the spool as metrics, again and again."""
        while not self._stopped.is_set():
            try:
                statistics = run_blocking(self._spool.tend)
            except OSError as error:
                logger.warning("the spool cannot be looked after: %s", error)
            else:
                age = time.time() - statistics.oldest if statistics.oldest else 0
                breakpad_metrics.gauge("save_queue_size", statistics.entries)
                metrics.gauge("spool_oldest_age", max(0, round(age)))
                metrics.gauge("spool_size", statistics.size)
            self._saving.breaker.report()
            self._publishing.breaker.report()
            self._stopped.wait(_REPORT_INTERVAL)
