# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Moves crashes on: saves each one, then publishes its id for the processor."""

import logging
import random
from collections.abc import Callable

import gevent
import markus

from antenna.backend import BackendError, CrashRefused, Deadline
from antenna.config import ConfigManager, Option, bounded, parse_class, parse_duration, parse_int
from antenna.crash_report import CrashReport
from antenna.ext.crashpublish_base import CrashPublishBase
from antenna.ext.crashstorage_base import CrashStorageBase
from antenna.reasons import MalformedCrashReport, Reason

logger = logging.getLogger(__name__)
metrics = markus.get_metrics("crashmover")
breakpad_metrics = markus.get_metrics("breakpad_resource")

# The first pause between two attempts; each is twice the one before, up to retry_sleep_seconds.
_FIRST_PAUSE = 0.1


class CrashMover:
    """Saves a crash and publishes its id, each within a total deadline.

    Order: dumps and dump names, raw crash, publish. Deferred crashes are saved and not published.
    """

    class Config:
        """Options."""

        crashstorage_class = Option(
            default="antenna.ext.crashstorage_base.NoOpCrashStorage",
            parser=parse_class,
            doc="Where crashes are saved.",
        )
        crashpublish_class = Option(
            default="antenna.ext.crashpublish_base.NoOpCrashPublish",
            parser=parse_class,
            doc="Where ids of saved crashes are published.",
        )
        max_attempts = Option(
            default="20",
            parser=bounded(parse_int, "1"),
            doc="Attempts to save or to publish a crash, as far as the time allows.",
        )
        retry_sleep_seconds = Option(
            default="2s",
            parser=parse_duration,
            doc="Longest pause between two attempts; the first ones are shorter.",
        )
        save_timeout = Option(
            default="30s",
            parser=bounded(parse_duration, "0.1s"),
            doc="Time that saving a crash may take in all. Then the client gets a 503.",
        )
        publish_timeout = Option(
            default="10s",
            parser=bounded(parse_duration, "0.1s"),
            doc="Time that publishing an id may take in all.",
        )

    def __init__(self, config: ConfigManager) -> None:
        """``config`` has the namespace ``CRASHMOVER``."""
        self.config = config.with_options(self)
        self.crashstorage: CrashStorageBase = self.config("crashstorage_class")(config.with_namespace("crashstorage"))
        self.crashpublish: CrashPublishBase = self.config("crashpublish_class")(config.with_namespace("crashpublish"))
        self._max_attempts: int = self.config("max_attempts")
        self._longest_pause: float = self.config("retry_sleep_seconds")
        self._save_timeout: float = self.config("save_timeout")
        self._publish_timeout: float = self.config("publish_timeout")

    def verify(self) -> None:
        """Prove at start that crashes can be saved and published. Raises what the backends raise."""
        self.crashstorage.verify()
        self.crashpublish.verify()

    def health_checks(self) -> dict[str, Callable[[], None]]:
        """Return the checks of ``/__heartbeat__`` by the name of what they check."""
        return {"storage": self.crashstorage.check_health, "publish": self.crashpublish.check_health}

    def move(self, report: CrashReport) -> None:
        """Save the crash and publish its id; returns when the promise of the id can be given.

        Raises ``MalformedCrashReport`` (``UNAVAILABLE``) if the crash could not be saved. A crash that is saved
        but could not be published is logged and counted: it can be published again from the bucket.
        """
        with breakpad_metrics.timer("crash_save.time"):
            saved = self._save(report)
        if not saved:
            raise MalformedCrashReport(Reason.UNAVAILABLE)
        logger.info("%s saved", report.crash_id)
        if report.deferred:
            return
        with metrics.timer("crash_publish.time"):
            published = self._publish(report.crash_id)
        if published:
            logger.info("%s published", report.crash_id)

    def _save(self, report: CrashReport) -> bool:
        deadline = Deadline(self._save_timeout)
        return self._attempt(report.crash_id, "save", deadline, lambda: self.crashstorage.save_crash(report, deadline))

    def _publish(self, crash_id: str) -> bool:
        deadline = Deadline(self._publish_timeout)
        return self._attempt(crash_id, "publish", deadline, lambda: self.crashpublish.publish_crash(crash_id, deadline))

    def _attempt(self, crash_id: str, verb: str, deadline: Deadline, action: Callable[[], None]) -> bool:
        """Try ``action`` until it works, the attempts are used up or the time is over; say whether it worked."""
        for attempt in range(self._max_attempts):
            try:
                action()
            except CrashRefused as error:
                logger.error("%s: %s refused: %s", crash_id, verb, error)  # noqa: TRY400 - the message says it all
                break
            except BackendError as error:
                pause = min(self._longest_pause, _FIRST_PAUSE * 2**attempt) * random.uniform(0.5, 1)
                if attempt + 1 == self._max_attempts or pause >= deadline.left():
                    logger.error("%s: %s failed: %s", crash_id, verb, error)  # noqa: TRY400 - the message says it all
                    break
                metrics.incr("retry_count", tags=[f"operation:{verb}"])
                logger.warning("%s: %s failed, trying again: %s", crash_id, verb, error)
                gevent.sleep(pause)
            else:
                return True
        metrics.incr(f"crash_{verb}_failed")
        return False
