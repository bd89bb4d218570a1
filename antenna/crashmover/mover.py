# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Moves crashes on: saves each one, then publishes its id for the processor."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import gevent
import markus

from antenna.backend import BYTES_PER_SECOND, BackendConfigurationError, BackendDenied, BackendError, Deadline, Problem
from antenna.config import ConfigManager, ConfigurationError, Option, bounded, parse_duration, parse_int, subclass_of
from antenna.crash.report import CrashReport
from antenna.crashmover.attempts import ANSWER_WITHIN, AttemptOutcome, Attempts
from antenna.crashmover.background import BackgroundDelivery
from antenna.crashmover.breaker import CircuitBreaker, State
from antenna.crashmover.destination import Destination, Sent
from antenna.crashmover.publisher import Publisher
from antenna.crashmover.spool_writer import SpoolWriter
from antenna.crashmover.timeouts import Timeouts, TimeoutsWithoutSpool
from antenna.ext.crashpublish_base import CrashPublishBase
from antenna.ext.crashstorage_base import CrashStorageBase, NoOpCrashStorage
from antenna.files import DISK_ERRORS
from antenna.hub import run_blocking
from antenna.ops.errors import describe
from antenna.ops.instance import Instance
from antenna.spool import Kind, Spool

logger = logging.getLogger(__name__)
metrics = markus.get_metrics("crashmover")
breakpad_metrics = markus.get_metrics("breakpad_resource")

# How long a start waits for backends that do not answer, if there is a spool.
_VERIFY_TIMEOUT = 5.0


class CrashMover:
    """Saves a crash and publishes its id, each within a total deadline, or leaves them to the spool.

    Order: dumps and dump names, raw crash, publish. Deferred crashes are saved and not published.
    """

    class Config:
        """Options."""

        crashstorage_class = Option(
            default="antenna.ext.crashstorage_base.NoOpCrashStorage",
            parser=subclass_of(CrashStorageBase),
            doc="Where crashes are saved.",
        )
        crashpublish_class = Option(
            default="antenna.ext.crashpublish_base.NoOpCrashPublish",
            parser=subclass_of(CrashPublishBase),
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
            doc="Longest pause between two attempts. The first ones are shorter, unless there is no spool and the "
            "attempts would be used up too soon.",
        )

    def __init__(self, config: ConfigManager, instance: Instance | None = None) -> None:
        """``config`` has the namespace ``CRASHMOVER``. ``instance``: what the workers know together."""
        instance = instance or Instance(workers=1)
        self.config = config.with_options(self)
        self.crashstorage: CrashStorageBase = self.config("crashstorage_class")(config.with_namespace("crashstorage"))
        self.crashpublish: CrashPublishBase = self.config("crashpublish_class")(config.with_namespace("crashpublish"))
        spool = Spool(config)
        self.spool = spool if spool.config("spool_dir") else None
        timeouts = Timeouts(config) if self.spool else TimeoutsWithoutSpool(config)
        self._writer = SpoolWriter(spool, instance) if self.spool else None
        self._saving = self._attempts("save", Kind.CRASH, timeouts.save, instance)
        self._publishing = self._attempts("publish", Kind.ID, timeouts.publish, instance)
        self._storage = Destination(self._writer)
        self._publisher = Publisher(self.crashpublish, self._publishing, self._writer)
        self._background: BackgroundDelivery | None = None
        self._parts = (self, timeouts, spool, self.crashstorage, self.crashpublish)

    def _attempts(self, operation: str, kind: Kind, timeout: float, instance: Instance) -> Attempts:
        return Attempts(
            operation,
            timeout=timeout,
            max_attempts=self.config("max_attempts"),
            longest_pause=self.config("retry_sleep_seconds"),
            spool_takes=partial(self._writer.takes, kind) if self._writer else None,
            instance=instance,
        )

    def components(self) -> Iterator[ConfigManager]:
        """Yield the configuration of each part that has options, its own first."""
        for part in self._parts:
            yield part.config

    def prepare(self) -> None:
        """Make the spool ready. Raises ``ConfigurationError`` if it can never be written.

        A disk that is full, or fails, must not keep the collector from saving crashes and delivering what is spooled.
        """
        if self._writer is None:
            return
        spool = self._writer.spool
        try:
            lacking = run_blocking(spool.prepare)
        except OSError as error:
            if error.errno not in DISK_ERRORS:
                raise ConfigurationError(
                    f"CRASHMOVER_SPOOL_DIR: cannot write to {spool.root}: {error.strerror}"
                ) from error
            self._writer.failed(error)
        else:
            if lacking:
                logger.warning("the file system of %s has %s", spool.root, "; ".join(lacking))

    def verify(self) -> list[Problem]:
        """Prove at start that crashes can be saved and published. Return what is wrong with the backends.

        With a spool that takes crashes, nothing that is wrong with a backend is a reason not to start: crashes wait.
        Without one, a start is strict. Raises ``ConfigurationError``, ``BackendConfigurationError`` for what only an
        operator can mend, and ``BackendError`` for a backend that is away.
        """
        self.prepare()
        if isinstance(self.crashstorage, NoOpCrashStorage):
            logger.warning("crashes are not kept: CRASHMOVER_CRASHSTORAGE_CLASS names no storage")
        problems = []
        for attempts, error in self._errors_of_backends():
            backend = attempts.breaker.backend
            if self._writer is None:
                if isinstance(error, BackendConfigurationError):
                    raise error
                raise BackendError(f"{backend} is away: {error}") from error
            is_denied = isinstance(error, BackendConfigurationError | BackendDenied)
            if is_denied and not self._writer.takes(Kind.CRASH):
                raise error
            # With its traceback, so that Sentry hears of it.
            logger.error(
                "the start goes on although %s does not work: %s. Crashes wait in %s",
                backend,
                error,
                self._writer.spool.root,
                exc_info=error,
            )
            problems.append(Problem(backend, str(error), is_denied))
        self.assume(problems)
        return problems

    def _errors_of_backends(self) -> Iterator[tuple[Attempts, Exception]]:
        """Check the backends side by side, and yield what is wrong."""
        checks = [
            (gevent.spawn(_error_of, backend.verify), attempts)
            for backend, attempts in ((self.crashstorage, self._saving), (self.crashpublish, self._publishing))
        ]
        gevent.joinall([check for check, _ in checks], timeout=_VERIFY_TIMEOUT if self.spool else None)
        for check, attempts in checks:
            error = check.value if check.ready() else BackendError(f"no answer within {_VERIFY_TIMEOUT:g} s")
            if error is not None:
                yield attempts, error

    def assume(self, problems: Iterable[Problem]) -> None:
        """Take over what a start has found out, be it in another process: crashes do not try these backends."""
        for attempts in (self._saving, self._publishing):
            for problem in problems:
                if problem.backend == attempts.breaker.backend:
                    error = BackendDenied(problem.reason) if problem.is_denied else BackendError(problem.reason)
                    attempts.breaker.trip(error)

    def start(self) -> None:
        """Say where crashes go, and start to deliver the spool in the background."""
        logger.info("crashes are saved in %s", self.crashstorage.place)
        logger.info("their ids are published to %s", self.crashpublish.place)
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

    def stop(self, seconds: float) -> None:
        """Stop delivering; wait up to ``seconds`` for the entries in hand."""
        deadline = Deadline(seconds)
        if self._background is not None:
            self._background.stop()
        self._publisher.join(deadline.left())
        if self._background is not None:
            self._background.join(deadline.left())

    def health_checks(self) -> dict[str, Callable[[], None]]:
        """Return the checks of ``/__heartbeat__`` by the name of what they check."""
        checks: dict[str, Callable[[], None]] = {
            "storage": partial(_check, self.crashstorage, self._saving.breaker),
            "publish": partial(_check, self.crashpublish, self._publishing.breaker),
        }
        if self._writer is not None:
            checks["spool"] = self._writer.check_health
        return checks

    @property
    def writer(self) -> SpoolWriter | None:
        """What writes to the spool; None where there is none."""
        return self._writer

    def look_after(self) -> None:
        """Find out now and then whether a backend that is down is back, where nothing else does.

        The delivery of the spool does; but there may be no spool, or nothing in it.
        """
        for backend, attempts in ((self.crashstorage, self._saving), (self.crashpublish, self._publishing)):
            if attempts.breaker.is_forgotten and _error_of(backend.check_health) is None:
                attempts.breaker.succeeded()

    def finds_down(self, backend: str) -> bool:
        """Whether the crashes of this worker find ``storage`` or ``publish`` down, or get no answer from it."""
        attempts = {"storage": self._saving, "publish": self._publishing}[backend]
        return attempts.breaker.state is not State.UP

    @property
    def could_keep_a_crash(self) -> bool:
        """Whether a crash that came now could be kept somewhere."""
        return self._saving.breaker.state is not State.DOWN or (
            self._writer is not None and self._writer.takes(Kind.CRASH)
        )

    def move(self, report: CrashReport) -> None:
        """Save the crash and publish its id, or spool them; returns when the promise of the id can be given.

        Raises ``Lost`` if the promise cannot be given: see ``Publisher`` for what becomes of a
        crash that is saved then.
        """
        start = time.monotonic()
        sent = self._storage.send(partial(self._save, report), lambda writer: writer.add_crash(report))
        fields = {"crash_id": report.crash_id, "bytes": report.size, "ms": round((time.monotonic() - start) * 1000)}
        if sent is Sent.SPOOLED:
            logger.info("%s spooled", report.crash_id, extra={"event": "spooled", **fields})
            return
        breakpad_metrics.incr("save_crash.count")
        logger.info("%s saved", report.crash_id, extra={"event": "saved", **fields})
        if not report.deferred:
            self._publisher.publish(report.crash_id)
        # Not before: a crash whose id is lost counts as lost, and is promised to nobody.
        metrics.incr("saved", tags=["via:live"])

    def _save(self, report: CrashReport) -> AttemptOutcome:
        return self._saving.run(
            report.crash_id,
            partial(self.crashstorage.save_crash, report),
            answer_within=ANSWER_WITHIN + report.size / BYTES_PER_SECOND,
        )


def _check(backend: CrashStorageBase | CrashPublishBase, breaker: CircuitBreaker) -> None:
    """Raise what is wrong with a backend: what its own check says, or else what crashes have found out."""
    backend.check_health()
    if breaker.state is State.DOWN:
        raise BackendError(f"crashes find it down: {describe(breaker.last_error)}")


def _error_of(action: Callable[[], None]) -> Exception | None:
    """Return what ``action`` raises: gevent would print an error that gets out of a greenlet."""
    try:
        action()
    except Exception as error:  # noqa: BLE001 - the caller takes care of it
        return error
    return None
