# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The base class of publishers, and a publisher that does nothing."""

from antenna.backend import Deadline
from antenna.config import ConfigManager

# This is published at start to check that the topic works. Readers skip it.
TEST_ID = "test"


class CrashPublishBase:
    """Publishes the ids of saved crashes for a processor. Subclasses implement ``publish_crash``."""

    config: ConfigManager
    #: Whether ids go anywhere. If it is False, no ids are given to this publisher.
    publishes: bool = True

    @property
    def place(self) -> str:
        """A description of where ids go, for the log."""
        return type(self).__name__

    def publish_crash(self, crash_id: str, deadline: Deadline) -> None:
        """Publish ``crash_id`` within ``deadline``. When this returns, the queue has stored the id durably.

        Raises ``BackendError`` or ``CrashRefused``.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Release what is kept for the next crash, such as connections."""

    def check_health(self) -> None:
        """Raise an exception that says what is wrong, if ids cannot be published now."""

    def verify(self) -> None:
        """Check at start that ids can be published.

        Raises ``BackendConfigurationError`` if only an operator can mend the fault, ``BackendError`` if the backend is
        away.
        """


class NoOpCrashPublish(CrashPublishBase):
    """Publishes nothing. A processor has to find the crashes in another way."""

    publishes = False

    class Config:
        """There are no options."""

    def __init__(self, config: ConfigManager) -> None:
        """``config`` has the namespace ``CRASHMOVER_CRASHPUBLISH``."""
        self.config = config.with_options(self)

    def publish_crash(self, crash_id: str, deadline: Deadline) -> None:
        """Do nothing."""
