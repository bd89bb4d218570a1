# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Stand-ins for backends that cannot be built when the collector starts.

Some backends have to reach something to be built, such as a server of credentials. If that fails and there is a spool,
the collector starts with a stand-in. The stand-in raises ``BackendError``, as a backend that is away does, so crashes
wait in the spool. It tries to build the real backend each time that it is used, until that works.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from antenna.backend import BackendError, Deadline
from antenna.config import ConfigManager
from antenna.ext import CrashPublishBase, CrashStorageBase, StorableCrash, StoredObject
from antenna.ops.errors import describe

B = TypeVar("B", CrashStorageBase, CrashPublishBase)


class _LateBackend(Generic[B]):
    """A stand-in for a backend. It builds the backend when it is first needed.

    If that fails, the next use tries it again.
    """

    def __init__(self, backend_class: type[B], config: ConfigManager) -> None:
        """``config`` is for the backend, whose options are shown as if it was there."""
        self.config = config.with_options(backend_class)
        self._class: Callable[[ConfigManager], B] = backend_class
        self._options = config
        self._name = backend_class.__name__
        self._built: B | None = None

    @property
    def backend(self) -> B:
        """The backend. Raises ``BackendError`` if it cannot be built yet."""
        if self._built is None:
            try:
                self._built = self._class(self._options)
            except Exception as error:
                raise BackendError(f"cannot be set up: {describe(error)}") from error
        return self._built

    @property
    def place(self) -> str:
        """The place that the backend names, for the log. Until it is built, this is the name of its class."""
        return self._name if self._built is None else self._built.place

    def close(self) -> None:
        """Close the backend, if it was built."""
        if self._built is not None:
            self._built.close()

    def check_health(self) -> None:
        """Raise an exception if the backend cannot be used now."""
        self.backend.check_health()

    def verify(self) -> None:
        """Check at start that the backend can be used."""
        self.backend.verify()


class LateStorage(_LateBackend[CrashStorageBase], CrashStorageBase):
    """A storage that is built later."""

    def __init__(self, storage_class: type[CrashStorageBase], config: ConfigManager) -> None:
        """``config`` has the namespace ``CRASHMOVER_CRASHSTORAGE``."""
        super().__init__(storage_class, config)
        self.keeps = storage_class.keeps

    def save_crash(self, crash: StorableCrash, deadline: Deadline) -> None:
        """Store a crash."""
        self.backend.save_crash(crash, deadline)

    def save_object(self, item: StoredObject, deadline: Deadline) -> None:
        """Store one object."""
        self.backend.save_object(item, deadline)


class LatePublisher(_LateBackend[CrashPublishBase], CrashPublishBase):
    """A publisher that is built later."""

    def __init__(self, publish_class: type[CrashPublishBase], config: ConfigManager) -> None:
        """``config`` has the namespace ``CRASHMOVER_CRASHPUBLISH``."""
        super().__init__(publish_class, config)
        self.publishes = publish_class.publishes

    def publish_crash(self, crash_id: str, deadline: Deadline) -> None:
        """Publish an id."""
        self.backend.publish_crash(crash_id, deadline)
