# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""An entry of the spool: its name and its files."""

import errno
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Self

from antenna.crash.buffer import Content, StoredFile
from antenna.crash.report import CrashReport, Dump
from antenna.files import fsync_directory, write_file

_NAME = re.compile(r"(?P<time>\d{8}T\d{6}\.\d{6})-(?P<crash_id>[0-9a-f-]{36})(?:\.(?P<size>\d+))?")
_TIME = "%Y%m%dT%H%M%S.%f"


class Kind(Enum):
    """What is left to do with an entry; the value is its directory."""

    CRASH = "save"
    ID = "publish"


class EntryDamaged(Exception):
    """What lies in the spool is not a whole crash: it can never be delivered."""


@dataclass(frozen=True, slots=True)
class EntryName:
    """What the name of an entry says. Names sort by the time."""

    text: str
    time: str
    crash_id: str
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


class SpooledCrash:
    """A crash of the spool, as a storage takes it. ``close()`` it."""

    def __init__(self, crash_id: str, directory: Path) -> None:
        """Open the files. Raises ``EntryDamaged``, ``OSError``."""
        self.crash_id = crash_id
        try:
            self._raw_crash = (directory / "raw_crash").read_bytes()
            names = set(json.loads(self._raw_crash)["metadata"]["dump_checksums"])
        except (FileNotFoundError, NotADirectoryError, ValueError, LookupError, TypeError) as error:
            raise EntryDamaged(f"raw_crash: {type(error).__name__}: {error}") from error
        self.deferred = (directory / "deferred").exists()
        paths = {path.name.removeprefix("dump."): path for path in directory.glob("dump.*")}
        if names != paths.keys():
            raise EntryDamaged(f"the dumps are {sorted(names)}, and there are {sorted(paths)}")
        self.dumps: dict[str, Dump] = {}
        try:
            for name in sorted(names):
                self.dumps[name] = Dump(name, StoredFile(paths[name]), "md5")
        except OSError:
            for dump in self.dumps.values():
                # Not dump.content.close(), which is for greenlets: this runs in a native thread.
                if dump.content.descriptor is not None:
                    os.close(dump.content.descriptor)
            raise

    @property
    def size(self) -> int:
        """Bytes of the dumps."""
        return sum(dump.size for dump in self.dumps.values())

    def encoded_raw_crash(self) -> bytes:
        """Return the raw crash as it was made when the crash came in."""
        return self._raw_crash

    def raw_crash_pieces(self) -> Iterable[bytes]:
        """Return the same as a storage takes it."""
        return (self._raw_crash,)

    def encoded_dump_names(self) -> bytes:
        """Return the sorted list of dump names: JSON."""
        return json.dumps(sorted(self.dumps)).encode("ascii")

    def close(self) -> None:
        """Close the files."""
        for dump in self.dumps.values():
            dump.content.close()


@dataclass(slots=True)
class Entry:
    """An entry that this process has claimed. ``release()`` it."""

    path: Path
    kind: Kind
    crash_id: str
    descriptor: int

    def load(self) -> SpooledCrash:
        """Open the crash of an entry of ``Kind.CRASH``. Raises ``EntryDamaged``, ``OSError``."""
        return SpooledCrash(self.crash_id, self.path)

    def note_failure(self, error: str) -> int:
        """Write down, for people, why it could not be delivered; return how often that was so. Raises ``OSError``."""
        with failures_path(self.path, self.kind).open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {error!a}\n")
        return len(read_failures(self.path, self.kind))

    def release(self) -> None:
        """Let others claim it."""
        os.close(self.descriptor)


def failures_path(path: Path, kind: Kind) -> Path:
    """Return the file that has the failures of an entry; that of an id has the id in its first line."""
    return path / "failures" if kind is Kind.CRASH else path


def read_failures(path: Path, kind: Kind) -> list[str]:
    """Return a line for each failure of the entry at ``path``. Raises ``OSError``."""
    try:
        lines = failures_path(path, kind).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        if kind is Kind.CRASH and path.exists():
            return []
        raise
    return lines if kind is Kind.CRASH else lines[1:]


def write_crash(report: CrashReport, directory: Path) -> int:
    """Write the files of a crash into a directory that nobody sees yet; return their size. Raises ``OSError``."""
    size = 0
    for name, dump in report.dumps.items():
        path = directory / f"dump.{name}"
        if not _link(dump.content, path):
            write_file(path, dump.pieces())
        size += dump.size
    if report.deferred:
        write_file(directory / "deferred", [])
    # Encoded last: the checksums in it come from the pass that wrote the dumps.
    raw_crash = directory / "raw_crash"
    write_file(raw_crash, report.raw_crash_pieces())
    fsync_directory(directory)
    return size + raw_crash.stat().st_size


def _link(content: Content, path: Path) -> bool:
    """Give the temporary file of a dump a name, instead of copying it; say whether that worked."""
    if content.descriptor is None:
        return False
    # With a directory, Python calls linkat(2), which can follow the symbolic link in /proc; without one, link(2), which
    # does not. The name is absolute, so it does not matter which directory.
    root = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.link(f"/proc/self/fd/{content.descriptor}", path, src_dir_fd=root, follow_symlinks=True)
    except OSError as error:
        # EXDEV: another file system. ENOENT: a file that had a name once; no /proc. EPERM: no hard links there.
        if error.errno in (errno.EXDEV, errno.ENOENT, errno.EPERM, errno.EOPNOTSUPP):
            return False
        raise
    finally:
        os.close(root)
    os.fsync(content.descriptor)
    return True
