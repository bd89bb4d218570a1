# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A publisher that writes ids as files to a directory, as a queue for those without Pub/Sub."""

import time
from pathlib import Path

from antenna.backend import Deadline
from antenna.config import ConfigManager, Option
from antenna.ext.crashpublish_base import CrashPublishBase
from antenna.ext.fs.directory import Directory


class FSCrashPublish(CrashPublishBase):
    """Publishes an id as a file of its own. The content is the id, and the names sort by time.

    A consumer removes a file when it has processed the crash. If an id is published twice, there are two files.
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
        """The path of the directory."""
        return str(self.root.absolute())

    def publish_crash(self, crash_id: str, deadline: Deadline) -> None:
        """Write the file in a native thread. Raises ``BackendError``."""
        self._directory.write(f"{time.time_ns()}-{crash_id}", lambda _: [crash_id.encode("ascii")], deadline)

    def check_health(self) -> None:
        """Raise ``BackendError`` if the directory cannot be written."""
        self._directory.check()

    def verify(self) -> None:
        """Make the directory, and check that it can be written."""
        self._directory.verify()
