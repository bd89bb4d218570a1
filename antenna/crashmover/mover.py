# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Saves each crash, then publishes its id for the processor."""

import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import markus

from antenna.backend import BYTES_PER_SECOND, BackendConfigurationError, Deadline, Problem
from antenna.config import ConfigManager, ConfigurationError, Option, bounded, parse_duration, parse_int, subclass_of
from antenna.crash import CrashReport
from antenna.crashmover.attempts import ANSWER_WITHIN, AttemptOutcome, Attempts
from antenna.crashmover.backends import NOT_KEPT, Backends
from antenna.crashmover.background import BackgroundDelivery
from antenna.crashmover.breaker import State
from antenna.crashmover.destination import Destination, Sent
from antenna.crashmover.late_backends import LatePublisher, LateStorage
from antenna.crashmover.publisher import Publisher
from antenna.crashmover.spool_writer import SpoolWriter
from antenna.crashmover.timeouts import Timeouts, TimeoutsWithoutSpool
from antenna.ext import CrashPublishBase, CrashStorageBase
from antenna.files import DISK_ERRORS
from antenna.hub import run_blocking
from antenna.ops.errors import describe
from antenna.ops.instance import Instance
from antenna.spool import Kind, Spool

logger = logging.getLogger(__name__)
metrics = markus.get_metrics("crashmover")
breakpad_metrics = markus.get_metrics("breakpad_resource")

B = TypeVar("B", CrashStorageBase, CrashPublishBase)


#: Error message for a start without CRASHMOVER_CRASHSTORAGE_CLASS. It has the settings of both ways to keep crashes.
NO_STORAGE = (
    "CRASHMOVER_CRASHSTORAGE_CLASS is not set: say where crashes are to be kept. In files: "
    "CRASHMOVER_CRASHSTORAGE_CLASS=antenna.ext.fs.crashstorage.FSCrashStorage "
    "CRASHMOVER_CRASHSTORAGE_FS_ROOT=/var/spool/antenna/crashes "
    "CRASHMOVER_CRASHPUBLISH_CLASS=antenna.ext.fs.crashpublish.FSCrashPublish "
    "CRASHMOVER_CRASHPUBLISH_FS_ROOT=/var/spool/antenna/queue . In Google Cloud: "
    "CRASHMOVER_CRASHSTORAGE_CLASS=antenna.ext.gcs.crashstorage.GcsCrashStorage "
    "CRASHMOVER_CRASHSTORAGE_BUCKET_NAME=my-bucket "
    "CRASHMOVER_CRASHPUBLISH_CLASS=antenna.ext.pubsub.crashpublish.PubSubCrashPublish "
    "CRASHMOVER_CRASHPUBLISH_PROJECT_ID=my-project CRASHMOVER_CRASHPUBLISH_TOPIC_NAME=my-topic"
)


class CrashMover:
    """Saves each crash and publishes its id. If a backend does not do its part in time, the spool takes it.

    The order is: dumps and dump names, then the raw crash, then the id. So a processor that sees a raw crash finds all
    of the crash. A deferred crash is saved, and its id is not published.
    """

    class Config:
        """Options."""

        crashstorage_class = Option(
            parser=subclass_of(CrashStorageBase),
            doc="Class that saves crashes.",
        )
        crashpublish_class = Option(
            default="antenna.ext.crashpublish_base.NoOpCrashPublish",
            parser=subclass_of(CrashPublishBase),
            doc="Class that publishes the ids of saved crashes. If it is not set, ids are published nowhere, and a "
            "warning at the start says so.",
        )
        max_attempts = Option(
            default="20",
            parser=bounded(parse_int, "1"),
            doc="Largest number of attempts to save or to publish a crash. There are fewer if the time ends earlier.",
        )
        retry_sleep_seconds = Option(
            default="2s",
            parser=parse_duration,
            doc="Longest pause between two attempts. The first pauses are shorter. Without a spool they are lengthened "
            "if the attempts would otherwise be used up long before the time is over.",
        )

    def __init__(self, config: ConfigManager, instance: Instance | None = None) -> None:
        """``config`` has the namespace ``CRASHMOVER``. ``instance`` is the table that all workers share.

        Raises ``ConfigurationError``. Without a spool it raises ``BackendConfigurationError`` as well, if a backend
        cannot be built.
        """
        instance = instance or Instance(workers=1)
        self.config = config.with_options(self)
        if not config("crashstorage_class", default=""):
            raise ConfigurationError(NO_STORAGE)
        self._publishing_is_chosen = bool(config("crashpublish_class", default=""))
        spool = Spool(config)
        self.spool = spool if spool.config("spool_dir") else None
        self.crashstorage: CrashStorageBase = self._build(config, "crashstorage", LateStorage)
        self.crashpublish: CrashPublishBase = self._build(config, "crashpublish", LatePublisher)
        timeouts = Timeouts(config) if self.spool else TimeoutsWithoutSpool(config)
        #: The writer of the spool, or None where there is no spool. The application also watches it.
        self.writer = SpoolWriter(spool, instance) if self.spool else None
        self._saving = self._attempts("save", Kind.CRASH, timeouts.save, instance)
        self._publishing = self._attempts("publish", Kind.ID, timeouts.publish, instance)
        #: The application watches the backends, and tells them what another process has found at the start.
        self.backends = Backends(
            self.crashstorage,
            self.crashpublish,
            saving=self._saving,
            publishing=self._publishing,
            writer=self.writer,
        )
        self._destination = Destination(self.writer)
        self._publisher = Publisher(self.crashpublish, self._publishing, self.writer)
        self._background: BackgroundDelivery | None = None
        self._parts = (self, timeouts, spool, self.crashstorage, self.crashpublish)

    def _build(self, config: ConfigManager, name: str, late_class: Callable[[Any, ConfigManager], B]) -> B:
        """Build the storage or the publisher from its class.

        If that fails and there is a spool, a stand-in from ``late_backends`` is returned, which builds the backend
        later. Raises ``ConfigurationError`` for bad options, and without a spool ``BackendConfigurationError``.
        """
        backend_class = self.config(f"{name}_class")
        options = config.with_namespace(name)
        try:
            backend: B = backend_class(options)
        except ConfigurationError:
            raise
        except Exception as error:
            if self.spool is not None:
                return late_class(backend_class, options)
            if isinstance(error, BackendConfigurationError):
                raise
            raise BackendConfigurationError(f"{backend_class.__name__} cannot be set up: {describe(error)}") from error
        return backend

    def _attempts(self, operation: str, kind: Kind, timeout: float, instance: Instance) -> Attempts:
        return Attempts(
            operation,
            timeout=timeout,
            max_attempts=self.config("max_attempts"),
            longest_pause=self.config("retry_sleep_seconds"),
            spool_takes=partial(self.writer.takes, kind) if self.writer else None,
            instance=instance,
        )

    def components(self) -> Iterator[ConfigManager]:
        """Yield the configuration of each part that has options, beginning with that of the mover itself."""
        for part in self._parts:
            yield part.config

    def prepare(self) -> None:
        """Make the spool ready. Raises ``ConfigurationError`` if it can never be written.

        If its disk is full or fails, only an error is logged: the collector can still save crashes, and deliver spooled
        ones.
        """
        if self.writer is None:
            return
        spool = self.writer.spool
        try:
            lacking = run_blocking(spool.prepare)
        except OSError as error:
            if error.errno not in DISK_ERRORS:
                raise ConfigurationError(
                    f"CRASHMOVER_SPOOL_DIR: cannot write to {spool.root}: {error.strerror}"
                ) from error
            self.writer.failed(error)
        else:
            if lacking:
                logger.warning("the file system of %s has %s", spool.root, "; ".join(lacking))

    def verify(self) -> list[Problem]:
        """Check at start that crashes can be kept.

        Returns what is wrong with the backends, as ``Backends.verify`` does. Raises ``ConfigurationError`` for a spool
        that can never be written, and what ``Backends.verify`` raises.
        """
        self.prepare()
        return self.backends.verify()

    def start(self) -> None:
        """Log where crashes go, and start to deliver the spool in the background."""
        self._say_where_crashes_go()
        if self.spool is None:
            logger.warning("there is no spool: what cannot be saved is lost. CRASHMOVER_SPOOL_DIR is not set")
            return
        logger.info("what cannot be saved or published waits in %s", self.spool.root)
        self._background = BackgroundDelivery(
            self.spool,
            self.crashstorage,
            self.crashpublish,
            saving=self._saving,
            publishing=self._publishing,
        )
        self._background.start()

    def _say_where_crashes_go(self) -> None:
        if self.crashstorage.keeps:
            logger.info("crashes are saved in %s", self.crashstorage.place)
        else:
            logger.warning(NOT_KEPT)
        if self.crashpublish.publishes:
            logger.info("their ids are published to %s", self.crashpublish.place)
        elif self._publishing_is_chosen:
            logger.info("their ids are not published")
        else:
            logger.warning("their ids are not published: CRASHMOVER_CRASHPUBLISH_CLASS is not set")

    def stop(self, seconds: float) -> None:
        """Stop delivering the spool, and wait up to ``seconds`` for the entries that are being delivered."""
        deadline = Deadline(seconds)
        if self._background is not None:
            self._background.stop()
        self._publisher.join(deadline.left())
        if self._background is not None:
            self._background.join(deadline.left())

    def health_checks(self) -> dict[str, Callable[[], None]]:
        """Return the checks of ``/__heartbeat__`` by the name of what they check. A check raises what is wrong."""
        checks = self.backends.health_checks()
        return checks if self.writer is None else {**checks, "spool": self.writer.check_health}

    @property
    def keeps_crashes(self) -> bool:
        """Whether the storage keeps crashes. If it does not, the check ``storage`` of ``health_checks`` fails."""
        return self.crashstorage.keeps

    @property
    def could_keep_a_crash(self) -> bool:
        """Whether a crash that came in now could be saved or spooled."""
        return self._saving.breaker.state is not State.DOWN or (
            self.writer is not None and self.writer.takes(Kind.CRASH)
        )

    def move(self, report: CrashReport) -> None:
        """Save the crash and publish its id, or spool them. When this returns, the client may be promised the id.

        Raises ``Lost`` if nothing can be promised. If the crash is saved and its id cannot be published, it depends on
        the spool whether that raises: see ``Publisher.publish``.
        """
        start = time.monotonic()
        sent = self._destination.send(partial(self._save, report), lambda writer: writer.add_crash(report))
        fields = {"crash_id": report.crash_id, "bytes": report.size, "ms": round((time.monotonic() - start) * 1000)}
        if sent is Sent.SPOOLED:
            logger.info("%s spooled", report.crash_id, extra={"event": "spooled", **fields})
            return
        breakpad_metrics.incr("save_crash.count")
        if self.crashstorage.keeps:
            logger.info("%s saved", report.crash_id, extra={"event": "saved", **fields})
        else:
            logger.info("%s not kept", report.crash_id, extra={"event": "not_kept", **fields})
        if not report.deferred and self.crashpublish.publishes:
            self._publisher.publish(report.crash_id)
        # The crash is counted only now. If its id was lost, it counts as lost, and the client was promised nothing.
        metrics.incr("saved", tags=["via:live"])

    def _save(self, report: CrashReport) -> AttemptOutcome:
        return self._saving.run(
            report.crash_id,
            partial(self.crashstorage.save_crash, report),
            answer_within=ANSWER_WITHIN + report.size / BYTES_PER_SECOND,
        )
