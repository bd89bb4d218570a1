# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""An entry of the spool: its kind, its name, its lock, and the list of its failed deliveries."""

import errno
import os
import re
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Self

from antenna.crash import crash_id as crash_ids
from antenna.files import WrongType, open_regular, read_regular, write_all
from antenna.spool.crash_files import SpooledCrash
from antenna.spool.locks import Lock, Locks
from antenna.spool.raw_crash import EntryDamaged

_NAME = re.compile(r"(?P<time>[0-9]{8}T[0-9]{6}\.[0-9]{6})-(?P<crash_id>[0-9a-f-]{36})(?:\.(?P<size>[0-9]+))?")
_TIME = "%Y%m%dT%H%M%S.%f"
# Largest file of failures, or of an id, that is read, in bytes. Some thousand failures fit.
_MOST_FAILURES = 1024 * 1024

# Errors of open(2) that are due to this process, and say nothing about the entry.
_NOT_THE_ENTRY = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class Kind(Enum):
    """The work that is still to be done with an entry. The value is the name of the directory that it lies in."""

    CRASH = "save"
    ID = "publish"

    @property
    def file_type(self) -> int:
        """File type of an entry of this kind: a directory for a crash, a file for an id."""
        return stat.S_IFDIR if self is Kind.CRASH else stat.S_IFREG


@dataclass(frozen=True, slots=True)
class EntryName:
    """The parts of an entry's name. Names sort by time."""

    text: str
    time: str
    crash_id: str
    #: Bytes that the entry took on the disk when it was written. It is 0 for an id.
    size: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the parts of a name, or None if it is not the name of an entry."""
        match = _NAME.fullmatch(text)
        return match and cls(text, match["time"], match["crash_id"], int(match["size"] or 0))

    @classmethod
    def make(cls, crash_id: str, size: int | None = None) -> str:
        """Return the name for a new entry. ``size`` is the number of bytes of a crash, and None for an id."""
        suffix = "" if size is None else f".{size}"
        return f"{datetime.now(UTC).strftime(_TIME)}-{crash_id}{suffix}"

    @property
    def since(self) -> datetime:
        """The time when the entry was made. Raises ``ValueError`` if a person made up an impossible time."""
        # strptime() has a lock, which a native thread must not wait for: see ``antenna.hub``.
        return datetime.fromisoformat(self.time).replace(tzinfo=UTC)


@dataclass(slots=True)
class Entry:
    """An entry that this process has claimed. Call ``release()`` when done."""

    path: Path
    kind: Kind
    crash_id: str
    #: None if the thing with the entry's name cannot be opened or locked, for instance because it is a FIFO.
    lock: Lock | None
    #: The fault of the entry that was found when it was claimed. None if there was no fault.
    problem: EntryDamaged | OSError | None = None

    @classmethod
    def claim(cls, path: Path, kind: Kind, crash_id: str, locks: Locks) -> Self | None:
        """Lock an entry. Returns None if another worker has locked it, or if it is gone.

        If it cannot be locked, an entry without a lock is returned, and its ``check`` says why. Raises ``OSError`` if
        this process can open no file at all.
        """
        try:
            lock = locks.acquire(path, kind.file_type)
        except WrongType as error:
            return cls(path, kind, crash_id, None, EntryDamaged(error.strerror))
        except OSError as error:
            if error.errno in _NOT_THE_ENTRY:
                raise
            return cls(path, kind, crash_id, None, error)
        return None if lock is None else cls(path, kind, crash_id, lock, _problem(path, kind, crash_id))

    def check(self) -> None:
        """Raise what was wrong when the entry was claimed: ``EntryDamaged``, or an ``OSError`` that may be mended."""
        if self.problem is not None:
            raise self.problem

    def load(self) -> SpooledCrash:
        """Open the crash of an entry of ``Kind.CRASH`` and verify it. Raises ``EntryDamaged`` and ``OSError``."""
        self.check()
        return SpooledCrash(self.crash_id, self.path)

    def note_failure(self, error: str) -> int:
        """Write down why the entry could not be delivered. Returns how many failures are written down.

        The text is for people. If it cannot be written, because the disk is full or something else has the name of the
        file, this returns 1.
        """
        if self.lock is None:
            return 1
        line = f"{datetime.now(UTC).isoformat(timespec='seconds')} {error!a}\n"
        try:
            descriptor = open_regular(failures_path(self.path, self.kind), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            try:
                write_all(descriptor, line.encode("ascii"))
            finally:
                os.close(descriptor)
            return len(read_failures(self.path, self.kind))
        except OSError:
            return 1

    def release(self) -> None:
        """Release the lock, so that any worker can claim the entry."""
        if self.lock is not None:
            self.lock.release()


def _problem(path: Path, kind: Kind, crash_id: str) -> EntryDamaged | OSError | None:
    """Return what is wrong with the id of an entry, if anything."""
    if not crash_ids.is_valid(crash_id):
        return EntryDamaged("its name has no valid crash id")
    if kind is Kind.CRASH:
        return None  # its faults are found when it is loaded
    try:
        first_line = read_regular(path, _MOST_FAILURES).partition(b"\n")[0]
    except WrongType as error:
        return EntryDamaged(error.strerror)
    except OSError as error:
        return error
    # An empty file is accepted: the name has the id, so it can be published.
    return None if first_line in {b"", crash_id.encode("ascii")} else EntryDamaged("its id is not that of its name")


def failures_path(path: Path, kind: Kind) -> Path:
    """Return the path of the file that lists the failures of an entry.

    For an id this is the entry, below its first line.
    """
    return path / "failures" if kind is Kind.CRASH else path


def read_failures(path: Path, kind: Kind) -> list[str]:
    """Return one line for each failure of the entry at ``path``. Raises ``OSError``."""
    try:
        content = read_regular(failures_path(path, kind), _MOST_FAILURES)
    except FileNotFoundError:
        if kind is Kind.CRASH and path.exists():
            return []
        raise
    lines = content.decode(errors="replace").splitlines()
    return lines if kind is Kind.CRASH else lines[1:]
