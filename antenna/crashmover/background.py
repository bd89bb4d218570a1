# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The work in the background: two delivery loops, and a watch over the spool."""

import logging
import threading
import time

import markus

from antenna.crashmover.attempts import Attempts
from antenna.crashmover.delivery import Delivery
from antenna.crashmover.delivery_loop import DeliveryLoop
from antenna.crashmover.verdicts import Pace
from antenna.ext.crashpublish_base import CrashPublishBase
from antenna.ext.crashstorage_base import CrashStorageBase
from antenna.hub import run_blocking
from antenna.spool import Kind, Spool

logger = logging.getLogger(__name__)
metrics = markus.get_metrics("crashmover")
breakpad_metrics = markus.get_metrics("breakpad_resource")

# Seconds between two times that the spool is looked after and its state is emitted as metrics.
_REPORT_INTERVAL = 10.0


class BackgroundDelivery:
    """Delivers a spool in threads of its own: crashes in one, ids in another, so that neither waits for the other."""

    def __init__(
        self,
        spool: Spool,
        crashstorage: CrashStorageBase,
        crashpublish: CrashPublishBase,
        *,
        saving: Attempts,
        publishing: Attempts,
        pace: Pace | None = None,
        report_interval: float = _REPORT_INTERVAL,
    ) -> None:
        """``saving`` and ``publishing`` are those of live traffic."""
        pace = pace or Pace()
        self._spool = spool
        self._report_interval = report_interval
        self._breakers = (saving.breaker, publishing.breaker)
        delivery = Delivery(spool, crashstorage, crashpublish, saving=saving, publishing=publishing)
        self._loops = [
            DeliveryLoop(spool, Kind.CRASH, delivery, saving.breaker, crashstorage.check_health, pace=pace),
            DeliveryLoop(spool, Kind.ID, delivery, publishing.breaker, crashpublish.check_health, pace=pace),
        ]
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=target, daemon=True)
            for target in (*(loop.run for loop in self._loops), self._watch)
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

    def _watch(self) -> None:
        """Look after the spool and emit its state as metrics, again and again."""
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
            for breaker in self._breakers:
                breaker.report()
            self._stopped.wait(self._report_interval)
