# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A storage that keeps crashes in memory. It is an example: memory is no safe place for crashes."""

from antenna.backend import BackendError, Deadline
from antenna.config import ConfigManager, Option, parse_size
from antenna.ext.crashstorage_base import CrashStorageBase, StoredObject


class MemoryStorage(CrashStorageBase):
    """Stores objects in a dictionary."""

    class Config:
        """Options."""

        max_size = Option(default="64MiB", parser=parse_size, doc="Bytes to keep.")

    def __init__(self, config: ConfigManager) -> None:
        """``config`` has the namespace ``CRASHMOVER_CRASHSTORAGE``: the option is CRASHMOVER_CRASHSTORAGE_MAX_SIZE."""
        self.config = config.with_options(self)
        self.max_size: int = self.config("max_size")
        self.objects: dict[str, bytes] = {}

    def save_object(self, item: StoredObject, deadline: Deadline) -> None:
        """Store an object, or replace it. Raises ``BackendError`` if there is no room."""
        if sum(map(len, self.objects.values())) + item.size > self.max_size:
            raise BackendError("full")
        self.objects[item.path] = b"".join(item.pieces())

    def check_health(self) -> None:
        """Raise an error if the storage does not work. ``/__heartbeat__`` calls this."""

    def verify(self) -> None:
        """Check the storage at start. Raises ``BackendConfigurationError`` or ``BackendError``."""
