# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Backends that do not answer while a test says so, and the delivery of a spool to them."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from antenna.backend import BackendError, Deadline
from antenna.config import build_config
from antenna.crash.crash_id import date_of
from antenna.crash.report import CrashReport
from antenna.crashmover.attempts import Attempts
from antenna.crashmover.background import BackgroundDelivery
from antenna.crashmover.verdicts import Pace
from antenna.ext.crashstorage_base import StorableCrash, StoredObject
from antenna.ext.fs.crashpublish import FSCrashPublish
from antenna.ext.fs.crashstorage import FSCrashStorage
from antenna.spool import Kind, Spool
from tests.support.reports import MINIDUMP
from tests.support.spools import names

TIMEOUT = 2.0
SHORT_PACE = Pace(idle=0.1, first_retry=0.05)


class Storage(FSCrashStorage):
    """A storage in a directory. It does not answer while a test says so."""

    is_away = False

    def __init__(self, root: Path) -> None:
        super().__init__(build_config({"FS_ROOT": str(root)}))
        self.deadlines: list[float] = []

    def save_crash(self, crash: StorableCrash, deadline: Deadline) -> None:
        self.deadlines.append(deadline.left())
        super().save_crash(crash, deadline)

    def save_object(self, item: StoredObject, deadline: Deadline) -> None:
        if self.is_away:
            raise BackendError("status 503")
        super().save_object(item, deadline)


class Publisher(FSCrashPublish):
    """A publisher to a directory. It does not answer while a test says so."""

    is_away = False

    def __init__(self, root: Path) -> None:
        super().__init__(build_config({"FS_ROOT": str(root)}))

    def publish_crash(self, crash_id: str, deadline: Deadline) -> None:
        if self.is_away:
            raise BackendError("status 503")
        super().publish_crash(crash_id, deadline)

    def published(self) -> list[str]:
        return [path.read_text() for path in sorted(self.root.glob("[!.]*"))]


def make_attempts(operation: str) -> Attempts:
    return Attempts(operation, timeout=TIMEOUT, max_attempts=3, longest_pause=0.01, spool_takes=lambda: True)


@contextmanager
def delivering(spool: Spool, storage: Storage, publisher: Publisher) -> Iterator[BackgroundDelivery]:
    delivery = BackgroundDelivery(
        spool,
        storage,
        publisher,
        saving=make_attempts("save"),
        publishing=make_attempts("publish"),
        pace=SHORT_PACE,
    )
    delivery.start()
    try:
        yield delivery
    finally:
        delivery.stop()
        delivery.join(10)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def is_empty(spool: Spool) -> bool:
    return not any(names(spool, kind) for kind in Kind)


def objects(storage: Storage) -> dict[str, bytes]:
    return {path: storage.load(path) or b"" for path in storage.list_paths("")}


def objects_of(report: CrashReport) -> dict[str, bytes]:
    """Return the objects that the storage has of a crash that was saved at once."""
    crash_id = report.crash_id
    dumps = {name: b"".join(dump.pieces()) for name, dump in report.dumps.items()}
    keys = {name: "dump" if name == MINIDUMP else name for name in dumps}
    return {
        f"v1/raw_crash/{date_of(crash_id)}/{crash_id}": report.encoded_raw_crash(),
        f"v1/dump_names/{crash_id}": json.dumps(sorted(dumps)).encode(),
        **{f"v1/{keys[name]}/{crash_id}": content for name, content in dumps.items()},
    }
