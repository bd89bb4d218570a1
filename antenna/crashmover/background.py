# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The work in the background: two delivery loops."""

import threading
import time

from antenna.crashmover.attempts import Attempts
from antenna.crashmover.delivery import Delivery
from antenna.crashmover.delivery_loop import DeliveryLoop
from antenna.crashmover.verdicts import Pace
from antenna.ext import CrashPublishBase, CrashStorageBase
from antenna.spool import Kind, Spool


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
    ) -> None:
        """``saving`` and ``publishing`` are those of live traffic."""
        pace = pace or Pace()
        delivery = Delivery(spool, crashstorage, crashpublish, saving=saving, publishing=publishing)
        self._loops = []
        # What would go nowhere stays in the spool: it was promised.
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
        """Begin no more entries."""
        for loop in self._loops:
            loop.stop()

    def join(self, seconds: float) -> None:
        """Wait up to ``seconds`` for the entries in hand."""
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
