# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Backends as a team could write its own: they remember the objects and ids, and fail when a test tells them to.

Options name them by their dotted path.
"""

from collections.abc import Callable

from antenna.backend import BackendError, Deadline
from antenna.config import ConfigManager
from antenna.ext.crashpublish_base import CrashPublishBase
from antenna.ext.crashstorage_base import CrashStorageBase, StoredObject

Fails = Callable[[str], Exception | None]


def works(_: str) -> Exception | None:
    """Return None, which means success."""
    return None


def is_away(_: str) -> Exception | None:
    """Return the error of a backend that does not answer."""
    return BackendError("no answer")


class Storage(CrashStorageBase):
    """A storage that remembers the objects, and counts the attempts."""

    class Config:
        """No options."""

    def __init__(self, config: ConfigManager) -> None:
        self.config = config.with_options(self)
        self.objects: dict[str, bytes] = {}
        self.fails: Fails = works
        """A function that gets the name of each object. It returns the error with which storing fails, or None."""
        self.attempts = 0

    def save_object(self, item: StoredObject, deadline: Deadline) -> None:
        self.attempts += 1
        if error := self.fails(item.path):
            raise error
        self.objects[item.path] = b"".join(item.pieces())


class Publish(CrashPublishBase):
    """A publisher that remembers the ids, and counts the attempts."""

    class Config:
        """No options."""

    def __init__(self, config: ConfigManager) -> None:
        self.config = config.with_options(self)
        self.crash_ids: list[str] = []
        self.fails: Fails = works
        """A function that gets each id. It returns the error with which publishing fails, or None."""
        self.attempts = 0

    def publish_crash(self, crash_id: str, deadline: Deadline) -> None:
        self.attempts += 1
        if error := self.fails(crash_id):
            raise error
        self.crash_ids.append(crash_id)


ENVIRONMENT = {
    "CRASHMOVER_CRASHSTORAGE_CLASS": f"{__name__}.Storage",
    "CRASHMOVER_CRASHPUBLISH_CLASS": f"{__name__}.Publish",
    "CRASHMOVER_RETRY_SLEEP_SECONDS": "10ms",
}
