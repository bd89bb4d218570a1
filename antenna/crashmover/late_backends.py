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

B = TypeVar("B")


class _Late(Generic[B]):
    """Builds a backend when it is first needed. If that fails, the next use tries it again."""

    def __init__(self, backend_class: Callable[[ConfigManager], B], config: ConfigManager) -> None:
        self._class = backend_class
        self._config = config
        self._backend: B | None = None

    def get(self) -> B:
        """Return the backend. Raises ``BackendError`` if it cannot be built yet."""
        if self._backend is None:
            try:
                self._backend = self._class(self._config)
            except Exception as error:
                raise BackendError(f"cannot be set up: {error}") from error
        return self._backend

    @property
    def is_built(self) -> bool:
        """Whether the backend was built, and so has to be closed."""
        return self._backend is not None


class LateStorage(CrashStorageBase):
    """A storage that is built later."""

    def __init__(self, storage_class: type[CrashStorageBase], config: ConfigManager) -> None:
        """``config`` has the namespace ``CRASHMOVER_CRASHSTORAGE``."""
        self.config = config.with_options(storage_class)
        self.keeps = storage_class.keeps
        self._name = storage_class.__name__
        self._late: _Late[CrashStorageBase] = _Late(storage_class, config)

    @property
    def place(self) -> str:
        """The place that crashes go to, for the log. Until the storage is built, this is the name of its class."""
        return self._late.get().place if self._late.is_built else self._name

    def save_crash(self, crash: StorableCrash, deadline: Deadline) -> None:
        """Store a crash."""
        self._late.get().save_crash(crash, deadline)

    def save_object(self, item: StoredObject, deadline: Deadline) -> None:
        """Store one object."""
        self._late.get().save_object(item, deadline)

    def close(self) -> None:
        """Close the storage, if it was built."""
        if self._late.is_built:
            self._late.get().close()

    def check_health(self) -> None:
        """Raise an exception if objects cannot be stored now."""
        self._late.get().check_health()

    def verify(self) -> None:
        """Check at start that objects can be stored."""
        self._late.get().verify()


class LatePublisher(CrashPublishBase):
    """A publisher that is built later."""

    def __init__(self, publish_class: type[CrashPublishBase], config: ConfigManager) -> None:
        """``config`` has the namespace ``CRASHMOVER_CRASHPUBLISH``."""
        self.config = config.with_options(publish_class)
        self.publishes = publish_class.publishes
        self._name = publish_class.__name__
        self._late: _Late[CrashPublishBase] = _Late(publish_class, config)

    @property
    def place(self) -> str:
        """The place that ids go to, for the log. Until the publisher is built, this is the name of its class."""
        return self._late.get().place if self._late.is_built else self._name

    def publish_crash(self, crash_id: str, deadline: Deadline) -> None:
        """Publish an id."""
        self._late.get().publish_crash(crash_id, deadline)

    def close(self) -> None:
        """Close the publisher, if it was built."""
        if self._late.is_built:
            self._late.get().close()

    def check_health(self) -> None:
        """Raise an exception if ids cannot be published now."""
        self._late.get().check_health()

    def verify(self) -> None:
        """Check at start that ids can be published."""
        self._late.get().verify()
