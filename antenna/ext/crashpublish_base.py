# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""What a crash publisher does, and one that does nothing."""

from antenna.backend import Deadline
from antenna.config import ConfigManager

# Published at start to prove that the topic works; readers skip it.
TEST_ID = "test"


class CrashPublishBase:
    """Publishes ids of saved crashes for a processor."""

    config: ConfigManager
    #: Whether anybody hears of ids. Where not, none are given to it.
    publishes: bool = True

    @property
    def place(self) -> str:
        """Where ids go, for the log."""
        return type(self).__name__

    def publish_crash(self, crash_id: str, deadline: Deadline) -> None:
        """Publish ``crash_id``; returns when the queue has it for good.

        Raises ``BackendError``, or ``CrashRefused``.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Give back what is kept for the next crash, such as connections."""

    def check_health(self) -> None:
        """Raise an exception that says what is wrong if ids cannot be published now."""

    def verify(self) -> None:
        """Prove at start that ids can be published.

        Raises ``BackendConfigurationError`` for what only an operator can mend, ``BackendError`` for a backend
        that is away.
        """


class NoOpCrashPublish(CrashPublishBase):
    """Publishes nothing: a processor has to find crashes by itself."""

    publishes = False

    class Config:
        """No options."""

    def __init__(self, config: ConfigManager) -> None:
        """``config`` has the namespace ``CRASHMOVER_CRASHPUBLISH``."""
        self.config = config.with_options(self)

    def publish_crash(self, crash_id: str, deadline: Deadline) -> None:
        """Forget the id."""
