# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Delivers an entry of the spool, from its claim to its release."""

import logging
from enum import Enum
from functools import partial

import markus

from antenna.backend import BYTES_PER_SECOND, Deadline
from antenna.crashmover.attempts import AttemptOutcome, Attempts
from antenna.ext import CrashPublishBase, CrashStorageBase
from antenna.hub import run_blocking
from antenna.ops.errors import describe
from antenna.spool import Entry, Kind, Spool

logger = logging.getLogger(__name__)
metrics = markus.get_metrics("crashmover")

# Number of entries of which this process remembers that they are delivered and only have to leave the spool. If there
# are more, all are forgotten. They are then delivered a second time, which is harmless.
_MOST_REMEMBERED = 10_000


class Delivered(Enum):
    """How much of an entry has been delivered."""

    ALL = "all"
    #: The crash is saved. Its id, which is still to be published, is an entry of its own now.
    ALL_BUT_THE_ID = "all but the id"


class Delivery:
    """Saves and publishes the crashes of a spool, and publishes its ids.

    The delivery loops and the tools in bin/ use it.

    A caller claims an entry, delivers it, perhaps several times until it works, and releases it in any case.
    """

    def __init__(
        self,
        spool: Spool,
        crashstorage: CrashStorageBase,
        crashpublish: CrashPublishBase,
        *,
        saving: Attempts,
        publishing: Attempts,
    ) -> None:
        """``saving`` and ``publishing`` are the attempts of crashes that come in.

        Their breakers are told of each result.
        """
        self._spool = spool
        self._crashstorage = crashstorage
        self._crashpublish = crashpublish
        self._saving = saving
        self._publishing = publishing
        # Entries that the backends have, but that could not leave the spool because its disk failed, by the entry's
        # name.
        self._still_there: dict[str, Delivered] = {}

    def claim(self, kind: Kind, name: str) -> Entry | None:
        """Claim an entry. Returns None if another worker has claimed it, or if it is gone. Raises ``OSError``."""
        return run_blocking(self._spool.claim, kind, name)

    def deliver(self, entry: Entry, time_factor: int = 1) -> Delivered:
        """Save and publish the crash of an entry, or publish its id, and remove the entry from the spool.

        It may take ``time_factor`` times the usual time. Raises ``BackendError``, ``CrashRefused``, ``EntryDamaged``,
        and ``OSError`` if the spool's disk fails. If the disk fails after the backend has done its work, the next call
        changes only the spool.
        """
        name = entry.path.name
        delivered = self._still_there.get(name)
        if delivered is None:
            delivered = self._perform(entry, time_factor)
        try:
            run_blocking(self._spool.remove if delivered is Delivered.ALL else self._spool.saved, entry)
        except OSError:
            if len(self._still_there) >= _MOST_REMEMBERED:
                self._still_there.clear()
            self._still_there[name] = delivered
            raise
        self._still_there.pop(name, None)
        metrics.incr("delivered", tags=[f"kind:{entry.kind.name.lower()}"])
        if delivered is Delivered.ALL_BUT_THE_ID:
            metrics.incr("spooled", tags=["kind:id"])
        return delivered

    def set_aside(self, entry: Entry, error: Exception) -> None:
        """Set aside an entry that can never be delivered, where no delivery tries it again. Raises ``OSError``."""
        run_blocking(self._spool.set_aside, entry)
        metrics.incr("set_aside")
        extra = {"event": "set_aside", "crash_id": entry.crash_id, "tell_sentry": True}
        message = "spool entry %s can never be delivered and is set aside: %s"
        logger.error(message, entry.path.name, describe(error), extra=extra)

    def release(self, entry: Entry) -> None:
        """Release an entry, so that any worker may claim it."""
        run_blocking(entry.release)

    def _perform(self, entry: Entry, time_factor: int) -> Delivered:
        if entry.kind is Kind.CRASH:
            return self._save(entry, time_factor)
        entry.check()
        self._crashpublish.publish_crash(entry.crash_id, Deadline(self._publishing.timeout * time_factor))
        self._publishing.breaker.succeeded()
        _log_published(entry)
        return Delivered.ALL

    def _save(self, entry: Entry, time_factor: int) -> Delivered:
        """Save a crash and publish its id. Raises what ``save_crash`` and ``load`` raise."""
        crash = run_blocking(entry.load)
        try:
            seconds = self._saving.timeout * time_factor + crash.size / BYTES_PER_SECOND
            self._crashstorage.save_crash(crash, Deadline(seconds))
        finally:
            crash.close()
        self._saving.breaker.succeeded()
        metrics.incr("saved", tags=["via:spool"])
        logger.info("%s saved", entry.crash_id, extra={"event": "saved", "crash_id": entry.crash_id})
        if crash.deferred or not self._crashpublish.publishes:
            return Delivered.ALL
        outcome = self._publishing.run(entry.crash_id, partial(self._crashpublish.publish_crash, entry.crash_id))
        if outcome is not AttemptOutcome.DONE:
            return Delivered.ALL_BUT_THE_ID
        _log_published(entry)
        return Delivered.ALL


def _log_published(entry: Entry) -> None:
    metrics.incr("published", tags=["via:spool"])
    logger.info("%s published", entry.crash_id, extra={"event": "published", "crash_id": entry.crash_id})
