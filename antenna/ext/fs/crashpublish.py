# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A directory queue, for those without Pub/Sub."""

import time
from pathlib import Path

from antenna.backend import Deadline
from antenna.config import ConfigManager, Option
from antenna.ext.crashpublish_base import CrashPublishBase
from antenna.ext.fs.directory import Directory


class FSCrashPublish(CrashPublishBase):
    """Publishes an id as a file of its own: the oldest name first, content is the id.

    A consumer takes a file away when it has done what there was to do. Publishing an id twice makes two files.
    """

    class Config:
        """Options."""

        fs_root = Option(doc="Directory of the queue. It is made if it is not there.")

    def __init__(self, config: ConfigManager) -> None:
        """``config`` has the namespace ``CRASHMOVER_CRASHPUBLISH``."""
        self.config = config.with_options(self)
        self.root = Path(self.config("fs_root"))
        self._directory = Directory(self.root)

    @property
    def place(self) -> str:
        """The directory."""
        return str(self.root.absolute())

    def publish_crash(self, crash_id: str, deadline: Deadline) -> None:
        """Write the file in a native thread. Raises ``BackendError``."""
        self._directory.write(f"{time.time_ns()}-{crash_id}", lambda _: [crash_id.encode("ascii")], deadline)

    def check_health(self) -> None:
        """Raise ``BackendError`` if the directory cannot be written."""
        self._directory.check()

    def verify(self) -> None:
        """Make the directory."""
        self._directory.verify()
