# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The spool: a durable queue on disk for what could not be saved or published at once.

Layout below ``CRASHMOVER_SPOOL_DIR`` (a person's guide is in the docs)::

    save/<time>-<crash id>.<bytes>/     a crash: raw_crash and dump.<name> files; to save, then to publish unless
                                        there is a file deferred
    publish/<time>-<crash id>           the id of a crash that is saved; to publish
    set_aside/                          entries that can never be delivered
    tmp/                                entries being written or taken apart

An entry appears complete and fsynced, by a rename. Whoever works on one holds an flock on it, which ends with the
process however that ends.
"""

import contextlib
import errno
import fcntl
import heapq
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

from antenna.buffers import Buffer
from antenna.config import ConfigManager, Option, bounded, parse_size
from antenna.crash_report import CrashReport, Dump
from antenna.durable import fsync_directory, make_directories, replace_file, write_file

_NAME = re.compile(r"(?P<time>\d{8}T\d{6}\.\d{6})-(?P<crash_id>[0-9a-f-]{36})(?:\.(?P<size>\d+))?")
_TIME = "%Y%m%dT%H%M%S.%f"

# A directory in tmp/ that nobody works on and that is older than this, in seconds, was left by a kill.
_STALE = 60.0


class Kind(Enum):
    """What is left to do with an entry; the value is its directory."""

    CRASH = "save"
    ID = "publish"


class SpoolFull(Exception):
    """There is no room for another crash."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """What waits in the spool. ``oldest`` is seconds since the epoch, or None."""

    entries: int = 0
    size: int = 0
    oldest: float | None = None


class SpooledCrash:
    """A crash of the spool, as a storage takes it. ``close()`` it."""

    def __init__(self, crash_id: str, directory: Path) -> None:
        """Open the files. Raises ``OSError``."""
        self.crash_id = crash_id
        self._raw_crash = (directory / "raw_crash").read_bytes()
        self.deferred = (directory / "deferred").exists()
        self.dumps: dict[str, Dump] = {}
        for path in sorted(directory.glob("dump.*")):
            name = path.name.removeprefix("dump.")
            self.dumps[name] = Dump(name, Buffer.of_file(path), "md5")

    @property
    def size(self) -> int:
        """Bytes of the dumps."""
        return sum(dump.size for dump in self.dumps.values())

    def encoded_raw_crash(self) -> bytes:
        """Return the raw crash as it was made when the crash came in."""
        return self._raw_crash

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
        """Open the crash of an entry of ``Kind.CRASH``. Raises ``OSError``."""
        return SpooledCrash(self.crash_id, self.path)

    def release(self) -> None:
        """Let others claim it."""
        os.close(self.descriptor)


class Spool:
    """The spool directory. Every method works on the disk: call them with ``run_blocking``.

    Several processes may share one directory. Raises ``OSError`` where the disk fails; nothing is half written then.
    """

    class Config:
        """Options."""

        spool_dir = Option(
            default="",
            doc="Directory on a disk that outlives the process, for crashes that cannot be saved or published at "
            "once. Not set: such crashes are answered with 503.",
        )
        spool_max_size = Option(
            default="10GiB",
            parser=bounded(parse_size, "1"),
            doc="Bytes of crashes in the spool. When it is full, crashes that cannot be saved are answered with 503.",
        )
        spool_min_free = Option(
            default="100MiB",
            parser=parse_size,
            doc="Bytes that the spool leaves free on its disk.",
        )

    def __init__(self, config: ConfigManager) -> None:
        """``config`` has the namespace ``CRASHMOVER``."""
        self.config = config.with_options(self)
        self.root = Path(self.config("spool_dir"))
        self.max_size: int = self.config("spool_max_size")
        self.min_free: int = self.config("spool_min_free")
        self._statistics = Statistics()
        self._added = 0

    def prepare(self) -> None:
        """Make the directories, and take away what kills have left in tmp/. Raises ``OSError``."""
        for name in ("save", "publish", "set_aside", "tmp"):
            make_directories(self.root / name)
        self.probe()
        for path in (self.root / "tmp").iterdir():
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _STALE and (descriptor := _lock(path)) is not None:
                    _remove_tree(path)
                    os.close(descriptor)
        self.scan()

    def probe(self) -> None:
        """Write a file and take it away again. Raises ``OSError``."""
        replace_file(self.root / "tmp" / f"probe-{os.getpid()}", [b"probe"])
        (self.root / "tmp" / f"probe-{os.getpid()}").unlink()

    def check_room(self, size: int) -> None:
        """Raise ``SpoolFull`` if ``size`` more bytes are too many."""
        if self._statistics.size + self._added + size > self.max_size:
            raise SpoolFull(f"the spool holds {self._statistics.size + self._added} bytes")
        disk = os.statvfs(self.root)
        free = disk.f_bavail * disk.f_frsize
        if free - size < self.min_free:
            raise SpoolFull(f"only {free} bytes are free on the disk")

    def add_crash(self, report: CrashReport) -> None:
        """Write a crash; returns when it is on the disk. Raises ``SpoolFull``, ``OSError``."""
        self.check_room(sum(dump.size for dump in report.dumps.values()))
        work = self.root / "tmp" / f"{report.crash_id}-{time.time_ns()}"
        work.mkdir()
        descriptor = _lock(work)
        try:
            size = _write_crash(report, work)
            target = self._new_path(Kind.CRASH, report.crash_id, size)
            try:
                work.rename(target)
                fsync_directory(target.parent)
            except OSError:
                # Not promised: it must not come back as a crash that nobody was told of.
                with contextlib.suppress(OSError):
                    target.rename(work)
                raise
        except BaseException:
            _remove_tree(work)
            raise
        finally:
            if descriptor is not None:
                os.close(descriptor)
        self._added += size

    def add_id(self, crash_id: str) -> None:
        """Write the id of a saved crash that has to be published; returns when it is on the disk."""
        replace_file(self._new_path(Kind.ID, crash_id), [f"{crash_id}\n".encode("ascii")])

    def oldest(self, kind: Kind, most: int) -> list[str]:
        """Return the names of up to ``most`` entries, the oldest first."""
        return heapq.nsmallest(most, self._names(kind))

    def claim(self, kind: Kind, name: str) -> Entry | None:
        """Claim an entry; ``None`` if somebody else has it, or it is gone."""
        match = _NAME.fullmatch(name)
        path = self.root / kind.value / name
        descriptor = _lock(path) if match else None
        if match is None or descriptor is None:
            return None
        return Entry(path, kind, match["crash_id"], descriptor)

    def remove(self, entry: Entry) -> None:
        """Take a delivered entry away. Out of sight first: a kill may come half-way."""
        work = self.root / "tmp" / entry.path.name
        entry.path.rename(work)
        _remove_tree(work)

    def saved(self, entry: Entry) -> None:
        """Turn a crash that is saved by now into an id that is left to publish."""
        self.add_id(entry.crash_id)
        self.remove(entry)

    def note_failure(self, entry: Entry, error: str) -> int:
        """Write down, for people, why a crash could not be delivered; return how often that was so."""
        path = entry.path / "failures" if entry.kind is Kind.CRASH else entry.path
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {error!r}\n")
        lines = path.read_text(encoding="utf-8").count("\n")
        return lines if entry.kind is Kind.CRASH else lines - 1

    def set_aside(self, entry: Entry) -> None:
        """Keep an entry that can never be delivered where nobody tries again."""
        target = self.root / "set_aside" / f"{entry.kind.value}-{entry.path.name}"
        entry.path.rename(target)
        fsync_directory(target.parent)
        fsync_directory(entry.path.parent)

    def scan(self) -> Statistics:
        """Count what waits."""
        entries = size = 0
        oldest: str | None = None
        for match in self._entries():
            entries += 1
            size += int(match["size"] or 0)
            oldest = min(oldest or match["time"], match["time"])
        stamp = datetime.strptime(oldest, _TIME).replace(tzinfo=UTC).timestamp() if oldest else None
        self._statistics = Statistics(entries, size, stamp)
        self._added = 0
        return self._statistics

    def _entries(self) -> Iterator[re.Match[str]]:
        for kind in Kind:
            for name in self._names(kind):
                if match := _NAME.fullmatch(name):
                    yield match

    def _names(self, kind: Kind) -> list[str]:
        names = os.listdir(self.root / kind.value)  # noqa: PTH208 - there may be 100,000: no Path for each of them
        return [name for name in names if not name.startswith(".")]

    def _new_path(self, kind: Kind, crash_id: str, size: int | None = None) -> Path:
        suffix = "" if size is None else f".{size}"
        return self.root / kind.value / f"{datetime.now(UTC).strftime(_TIME)}-{crash_id}{suffix}"


def _write_crash(report: CrashReport, directory: Path) -> int:
    """Write the files of a crash into a directory that nobody sees yet; return their size."""
    size = 0
    for name, dump in report.dumps.items():
        path = directory / f"dump.{name}"
        if not _link(dump.content, path):
            write_file(path, dump.pieces())
        size += dump.size
    if report.deferred:
        write_file(directory / "deferred", [])
    # Encoded last: the checksums in it come from the pass that wrote the dumps.
    raw_crash = report.encoded_raw_crash()
    write_file(directory / "raw_crash", [raw_crash])
    fsync_directory(directory)
    return size + len(raw_crash)


def _link(content: Buffer, path: Path) -> bool:
    """Give the temporary file of a dump a name, instead of copying it; say whether that worked."""
    if content.descriptor is None:
        return False
    try:
        # follow_symlinks: linkat(2) is to follow the symbolic link in /proc to the file.
        os.link(f"/proc/self/fd/{content.descriptor}", path, follow_symlinks=True)
    except OSError as error:
        # EXDEV: another file system. ENOENT: a file that had a name once; no /proc. EPERM: no hard links there.
        if error.errno in (errno.EXDEV, errno.ENOENT, errno.EPERM, errno.EOPNOTSUPP):
            return False
        raise
    os.fsync(content.descriptor)
    return True


def _lock(path: Path) -> int | None:
    """Open and lock ``path``; ``None`` if another process has it locked, or it is gone from there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _remove_tree(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
