# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A directory queue, for those without Pub/Sub."""

import time
from pathlib import Path

from antenna.backend import BackendConfigurationError, BackendError, Deadline
from antenna.blocking import run_blocking
from antenna.config import ConfigManager, Option
from antenna.durable import make_directories, probe, replace_file
from antenna.ext.crashpublish_base import CrashPublishBase


class FSCrashPublish(CrashPublishBase):
    """Publishes an id as a file of its own: the oldest name first, content is the id.

    A consumer takes a file away when it has done what there was to do. Publishing an id twice makes two files.
    """

    class Config:
        """Options."""

        fs_root = Option(doc="Directory of the queue. Made if it is not there.")

    def __init__(self, config: ConfigManager) -> None:
        """``config`` has the namespace ``CRASHMOVER_CRASHPUBLISH``."""
        self.config = config.with_options(self)
        self.root = Path(self.config("fs_root"))

    @property
    def place(self) -> str:
        """The directory."""
        return str(self.root.absolute())

    def publish_crash(self, crash_id: str, deadline: Deadline) -> None:
        """Write the file in a native thread. Raises ``BackendError``."""
        path = self.root / f"{time.time_ns()}-{crash_id}"
        try:
            run_blocking(replace_file, path, [crash_id.encode("ascii")])
        except OSError as error:
            raise BackendError(f"{type(error).__name__}: {error.strerror}") from error

    def check_health(self) -> None:
        """Raise ``BackendError`` if the directory cannot be written."""
        try:
            run_blocking(probe, self.root)
        except OSError as error:
            raise BackendError(f"{self.root}: {error.strerror}") from error

    def verify(self) -> None:
        """Make the directory."""
        try:
            make_directories(self.root)
            probe(self.root)
        except OSError as error:
            raise BackendConfigurationError(f"cannot write to {self.root}: {error.strerror}") from error
