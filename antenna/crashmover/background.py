# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Runs the two delivery loops of the spool, each in a thread. In the collector, gevent makes greenlets of them."""

import threading
import time

from antenna.crashmover.attempts import Attempts
from antenna.crashmover.delivery import Delivery
from antenna.crashmover.delivery_loop import DeliveryLoop
from antenna.crashmover.verdicts import Pace
from antenna.ext import CrashPublishBase, CrashStorageBase
from antenna.spool import Kind, Spool


class BackgroundDelivery:
    """Delivers the spool in the background. Crashes and ids have a thread each, so that neither waits for the other."""

    def __init__(
        self,
        spool: Spool,
        crashstorage: CrashStorageBase,
        crashpublish: CrashPublishBase,
        *,
        saving: Attempts,
        publishing: Attempts,
        pace: Pace | None = None,
    ) -> None:
        """``saving`` and ``publishing`` are the attempts of incoming crashes. The deliveries share their breakers."""
        pace = pace or Pace()
        delivery = Delivery(spool, crashstorage, crashpublish, saving=saving, publishing=publishing)
        self._loops = []
        # A backend that keeps or publishes nothing is no place to deliver to. Its entries were promised, so they stay
        # spooled.
        if crashstorage.keeps:
            self._loops.append(
                DeliveryLoop(spool, Kind.CRASH, delivery, saving.breaker, crashstorage.check_health, pace=pace)
            )
        if crashpublish.publishes:
            self._loops.append(
                DeliveryLoop(spool, Kind.ID, delivery, publishing.breaker, crashpublish.check_health, pace=pace)
            )
        self._threads = [threading.Thread(target=loop.run, daemon=True) for loop in self._loops]

    def start(self) -> None:
        """Start to deliver."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Begin no more deliveries."""
        for loop in self._loops:
            loop.stop()

    def join(self, seconds: float) -> None:
        """Wait up to ``seconds`` for the deliveries that have begun."""
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
