# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""An entry of the spool: its kind, its name, its lock, and the failures that are written down with it."""

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
# Bytes of failures, and of the file of an id, that are read: some thousand failures.
_MOST_FAILURES = 1024 * 1024

# What open(2) says for the sake of this process, and not of the entry.
_NOT_THE_ENTRY = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class Kind(Enum):
    """What is left to do with an entry; the value is its directory."""

    CRASH = "save"
    ID = "publish"

    @property
    def file_type(self) -> int:
        """What an entry of this kind is: a directory or a file."""
        return stat.S_IFDIR if self is Kind.CRASH else stat.S_IFREG


@dataclass(frozen=True, slots=True)
class EntryName:
    """What the name of an entry says. Names sort by the time."""

    text: str
    time: str
    crash_id: str
    #: Bytes on the disk when it was written, of a crash.
    size: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the name, None if it is not one of an entry."""
        match = _NAME.fullmatch(text)
        return match and cls(text, match["time"], match["crash_id"], int(match["size"] or 0))

    @classmethod
    def make(cls, crash_id: str, size: int | None = None) -> str:
        """Return the name of an entry that begins to exist now; ``size`` in bytes for a crash."""
        suffix = "" if size is None else f".{size}"
        return f"{datetime.now(UTC).strftime(_TIME)}-{crash_id}{suffix}"

    @property
    def since(self) -> datetime:
        """When the entry was made. Raises ``ValueError`` for a name that no collector gave."""
        # Not strptime(): it has a lock, see ``antenna.hub``.
        return datetime.fromisoformat(self.time).replace(tzinfo=UTC)


@dataclass(slots=True)
class Entry:
    """An entry that this process has claimed. ``release()`` it."""

    path: Path
    kind: Kind
    crash_id: str
    #: None for what cannot be opened, and for what only has the name of an entry, such as a FIFO.
    lock: Lock | None
    #: What was wrong when the entry was claimed, if anything.
    problem: EntryDamaged | OSError | None = None

    @classmethod
    def claim(cls, path: Path, kind: Kind, crash_id: str, locks: Locks) -> Self | None:
        """Lock an entry; None if somebody else has it, or it is gone.

        One that cannot be locked is nobody's: ``check`` says why. Raises ``OSError`` if no file can be opened at all.
        """
        try:
            lock = locks.take(path, kind.file_type)
        except WrongType as error:
            return cls(path, kind, crash_id, None, EntryDamaged(error.strerror))
        except OSError as error:
            if error.errno in _NOT_THE_ENTRY:
                raise
            return cls(path, kind, crash_id, None, error)
        return None if lock is None else cls(path, kind, crash_id, lock, _problem(path, kind, crash_id))

    def check(self) -> None:
        """Raise what was wrong when the entry was claimed: ``EntryDamaged``, or ``OSError`` of what may be mended."""
        if self.problem is not None:
            raise self.problem

    def load(self) -> SpooledCrash:
        """Open the crash of an entry of ``Kind.CRASH``, and verify it. Raises ``EntryDamaged``, ``OSError``."""
        self.check()
        return SpooledCrash(self.crash_id, self.path)

    def note_failure(self, error: str) -> int:
        """Write down, for people, why it could not be delivered; return how often that was so.

        What cannot be written down, because the disk is full or something else has the name, counts as once.
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
        """Let others claim it."""
        if self.lock is not None:
            self.lock.release()


def _problem(path: Path, kind: Kind, crash_id: str) -> EntryDamaged | OSError | None:
    """Return what is wrong with the id of an entry, if anything."""
    if not crash_ids.is_valid(crash_id):
        return EntryDamaged("its name has no valid crash id")
    if kind is Kind.CRASH:
        return None  # loading it tells more
    try:
        first_line = read_regular(path, _MOST_FAILURES).partition(b"\n")[0]
    except WrongType as error:
        return EntryDamaged(error.strerror)
    except OSError as error:
        return error
    # The name says all there is to know: one that was emptied can be published.
    return None if first_line in {b"", crash_id.encode("ascii")} else EntryDamaged("it has another id than its name")


def failures_path(path: Path, kind: Kind) -> Path:
    """Return the file that has the failures of an entry; that of an id has the id in its first line."""
    return path / "failures" if kind is Kind.CRASH else path


def read_failures(path: Path, kind: Kind) -> list[str]:
    """Return a line for each failure of the entry at ``path``. Raises ``OSError``."""
    try:
        content = read_regular(failures_path(path, kind), _MOST_FAILURES)
    except FileNotFoundError:
        if kind is Kind.CRASH and path.exists():
            return []
        raise
    lines = content.decode(errors="replace").splitlines()
    return lines if kind is Kind.CRASH else lines[1:]
