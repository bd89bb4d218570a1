# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""What a crash storage does, and a storage that keeps nothing."""

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
    """One object to store: its name in the bucket, its type and its content."""

    path: str
    content_type: str
    content: bytes | Dump

    @property
    def size(self) -> int:
        """Bytes of content."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.size

    @property
    def descriptor(self) -> int | None:
        """That of the file the content lies in, if there is one."""
        return None if isinstance(self.content, bytes) else self.content.content.descriptor

    def pieces(self, read: Read = os.pread) -> Iterator[bytes]:
        """Yield the content from its start; may be called again. ``read`` says how, where it is on the disk.

        ``os.pread`` is for native threads. ``antenna.hub.pread`` is for greenlets, which it does not stop.
        """
        if isinstance(self.content, bytes):
            return iter((self.content,))
        return self.content.pieces(read)


class StorableCrash(Protocol):
    """A crash as a storage takes it: one that has just come in, or one of the spool."""

    crash_id: str
    dumps: dict[str, Dump]

    def raw_crash_pieces(self) -> Iterable[bytes]:
        """Return the raw crash: JSON, in pieces, none of which takes long."""

    def encoded_dump_names(self) -> bytes:
        """Return the sorted list of dump names: JSON."""


class CrashStorageBase:
    """Stores crashes: dumps and dump names first, side by side, then the raw crash.

    So whoever sees a raw crash finds all of it. A crash that is saved again ends in the same objects.
    """

    config: ConfigManager
    #: Whether crashes can be found again. Where not, the log and the heartbeat say so.
    keeps: bool = True

    @property
    def place(self) -> str:
        """Where crashes go, for the log."""
        return type(self).__name__

    def save_object(self, item: StoredObject, deadline: Deadline) -> None:
        """Store one object, or replace it; returns when it is durable.

        Raises ``BackendError``, or ``CrashRefused``.
        """
        raise NotImplementedError

    def list_paths(self, prefix: str) -> Iterator[str]:
        """Yield the names of the objects that begin with ``prefix``, sorted. For tools: the collector never reads.

        Raises ``BackendError``.
        """
        raise NotImplementedError

    def load(self, path: str) -> bytes | None:
        """Return the content of an object, None if there is no such object. For tools. Raises ``BackendError``."""
        raise NotImplementedError

    def delete(self, path: str) -> None:
        """Delete an object; one that is not there is fine. For tools. Raises ``BackendError``."""
        raise NotImplementedError

    def close(self) -> None:
        """Give back what is kept for the next crash, such as connections."""

    def check_health(self) -> None:
        """Raise an exception that says what is wrong if objects cannot be stored now."""

    def verify(self) -> None:
        """Prove at start that objects can be stored.

        Raises ``BackendConfigurationError`` for what only an operator can mend, ``BackendError`` for a backend
        that is away.
        """

    def save_crash(self, crash: StorableCrash, deadline: Deadline) -> None:
        """Store a crash. Raises what ``save_object`` raises, and then the raw crash is not there."""
        crash_id = crash.crash_id
        names = StoredObject(dump_names_path(crash_id), JSON, crash.encoded_dump_names())
        dumps = [StoredObject(dump_path(crash_id, name), BINARY, dump) for name, dump in crash.dumps.items()]
        # The names first: they are on their way when the work on the dumps begins.
        self.save_side_by_side([names, *dumps], deadline)
        # Encoded now: the checksums in it come from the pass that stored the dumps.
        raw_crash = put_together(crash.raw_crash_pieces())
        self.save_object(StoredObject(raw_crash_path(crash_id), JSON, raw_crash), deadline)

    def save_side_by_side(self, items: Sequence[StoredObject], deadline: Deadline) -> None:
        """Store several objects at the same time; raises the first error when all have come to an end."""
        others = [gevent.spawn(_outcome, self, item, deadline) for item in items[1:]]
        errors = [_outcome(self, items[0], deadline)]
        gevent.joinall(others)
        errors += [greenlet.get() for greenlet in others]
        for error in errors:
            if error is not None:
                raise error


def _outcome(storage: CrashStorageBase, item: StoredObject, deadline: Deadline) -> Exception | None:
    """Store ``item``; an error is returned, so that gevent does not print it as unhandled."""
    try:
        storage.save_object(item, deadline)
    except Exception as error:  # noqa: BLE001 - raised again by the caller
        return error
    return None


class NoOpCrashStorage(CrashStorageBase):
    """Keeps the last few objects in memory, for tests and for measuring everything but a storage."""

    keeps = False

    class Config:
        """No options."""

    def __init__(self, config: ConfigManager) -> None:
        """``config`` has the namespace ``CRASHMOVER_CRASHSTORAGE``."""
        self.config = config.with_options(self)
        self.objects: deque[tuple[str, bytes]] = deque(maxlen=_KEPT)

    def save_object(self, item: StoredObject, deadline: Deadline) -> None:
        """Keep the object until others push it out."""
        self.objects.append((item.path, b"".join(item.pieces())))
