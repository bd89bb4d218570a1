# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The base class of storages, and a storage that keeps nothing."""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import gevent

from antenna.backend import Deadline
from antenna.config import ConfigManager
from antenna.crash import Dump, dump_names_path, dump_path, raw_crash_path
from antenna.files import Read
from antenna.hub import put_together

# Objects that the storage in memory keeps.
_KEPT = 10

JSON = "application/json"
BINARY = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object to store: its name, its content type and its content."""

    path: str
    content_type: str
    content: bytes | Dump

    @property
    def size(self) -> int:
        """Number of bytes of the content."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.size

    @property
    def descriptor(self) -> int | None:
        """The descriptor of the file that has the content. None if the content is in memory."""
        return None if isinstance(self.content, bytes) else self.content.content.descriptor

    def pieces(self, read: Read = os.pread) -> Iterator[bytes]:
        """Yield the content from its start. May be called several times.

        ``read`` reads from the file, if it lies in one. Pass ``os.pread`` in a native thread, and ``antenna.hub.pread``
        in a greenlet, so that the hub is not stopped.
        """
        if isinstance(self.content, bytes):
            return iter((self.content,))
        return self.content.pieces(read)


class StorableCrash(Protocol):
    """A crash in the form that a storage takes: one that has just come in, or one from the spool."""

    crash_id: str
    dumps: dict[str, Dump]

    def raw_crash_pieces(self) -> Iterable[bytes]:
        """Return the raw crash as JSON, in pieces, each of which is quick to make."""

    def encoded_dump_names(self) -> bytes:
        """Return the sorted list of dump names, as JSON."""


class CrashStorageBase:
    """Stores crashes. Dumps and dump names are stored first, at the same time, and then the raw crash.

    So if a raw crash is there, all of its crash is there. If a crash is saved again, it ends in the same objects.
    """

    config: ConfigManager
    #: Whether stored crashes are kept. If it is False, the log and the heartbeat say so.
    keeps: bool = True

    @property
    def place(self) -> str:
        """A description of where crashes go, for the log."""
        return type(self).__name__

    def save_object(self, item: StoredObject, deadline: Deadline) -> None:
        """Store one object, or replace it, within ``deadline``. When this returns, the object is durable.

        Raises ``BackendError`` or ``CrashRefused``.
        """
        raise NotImplementedError

    def list_paths(self, prefix: str) -> Iterator[str]:
        """Yield the names of the objects that begin with ``prefix``, sorted. Raises ``BackendError``.

        Only tools call this: the collector never reads.
        """
        raise NotImplementedError

    def load(self, path: str) -> bytes | None:
        """Return the content of an object, or None if there is no such object. Raises ``BackendError``.

        Only tools call this.
        """
        raise NotImplementedError

    def delete(self, path: str) -> None:
        """Delete an object, if it exists. Raises ``BackendError``. Only tools call this."""
        raise NotImplementedError

    def close(self) -> None:
        """Release what is kept for the next crash, such as connections."""

    def check_health(self) -> None:
        """Raise an exception that says what is wrong, if objects cannot be stored now."""

    def verify(self) -> None:
        """Check at start that objects can be stored.

        Raises ``BackendConfigurationError`` if only an operator can mend the fault, ``BackendError`` if the backend is
        away.
        """

    def save_crash(self, crash: StorableCrash, deadline: Deadline) -> None:
        """Store a crash within ``deadline``. Raises what ``save_object`` raises. Then the raw crash is not stored."""
        crash_id = crash.crash_id
        names = StoredObject(dump_names_path(crash_id), JSON, crash.encoded_dump_names())
        dumps = [StoredObject(dump_path(crash_id, name), BINARY, dump) for name, dump in crash.dumps.items()]
        # The list of names is sent first, so that it is on its way while the dumps are read and hashed.
        self.save_side_by_side([names, *dumps], deadline)
        # The raw crash is encoded last, because its checksums are computed while the dumps are stored.
        raw_crash = put_together(crash.raw_crash_pieces())
        self.save_object(StoredObject(raw_crash_path(crash_id), JSON, raw_crash), deadline)

    def save_side_by_side(self, items: Sequence[StoredObject], deadline: Deadline) -> None:
        """Store several objects at the same time. When all attempts have ended, raise the first error."""
        others = [gevent.spawn(_error_of_saving, self, item, deadline) for item in items[1:]]
        errors = [_error_of_saving(self, items[0], deadline)]
        gevent.joinall(others)
        errors += [greenlet.get() for greenlet in others]
        for error in errors:
            if error is not None:
                raise error


def _error_of_saving(storage: CrashStorageBase, item: StoredObject, deadline: Deadline) -> Exception | None:
    """Store ``item``, and return the error, if any. If the error was raised, gevent would print it as unhandled."""
    try:
        storage.save_object(item, deadline)
    except Exception as error:  # noqa: BLE001 - raised again by the caller
        return error
    return None


class NoOpCrashStorage(CrashStorageBase):
    """Keeps the last few objects in memory. It is for tests, and for benchmarks of everything but a storage."""

    keeps = False

    class Config:
        """There are no options."""

    def __init__(self, config: ConfigManager) -> None:
        """``config`` has the namespace ``CRASHMOVER_CRASHSTORAGE``."""
        self.config = config.with_options(self)
        self.objects: deque[tuple[str, bytes]] = deque(maxlen=_KEPT)

    def save_object(self, item: StoredObject, deadline: Deadline) -> None:
        """Keep the object until newer ones replace it."""
        self.objects.append((item.path, b"".join(item.pieces())))
