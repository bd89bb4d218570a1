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
import fcntl
import heapq
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from antenna.config import ConfigManager, Option, bounded, parse_size
from antenna.crash.report import CrashReport
from antenna.files import fsync_directory, make_directories, write_file
from antenna.spool.entry import Entry, EntryName, Kind, failures_path, write_crash

# What lies in tmp/, nobody works on, and is older than this, in seconds, was left by a kill.
_STALE = 60.0

# The spool is counted anew before more than one part in so many of its room is taken, but not more often than after
# so many times the time that a count takes.
_SHARE = 16
_COUNT_PAUSE = 10


class SpoolFull(Exception):
    """There is no room for another crash."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """What waits in the spool. ``oldest`` is seconds since the epoch, or None."""

    entries: int = 0
    size: int = 0
    oldest: float | None = None


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
        # Bytes that this process has added since the spool was last counted, and that it is about to add. Threads may
        # lose an update of each other: these are estimates, until the next count.
        self._added = 0
        self._adding = 0
        self._counted = 0.0
        self._count_took = 0.0

    def prepare(self) -> None:
        """Prove that the spool can be written, and make it ready. Raises ``OSError``."""
        self._make_directories()
        self.probe()
        self.tend()

    def tend(self) -> Statistics:
        """Do what is to be done now and then: take away what kills have left, count what waits. Raises ``OSError``."""
        self._make_directories()
        for path in (self.root / "tmp").iterdir():
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _STALE and (descriptor := _lock(path)) is not None:
                    _remove_tree(path)
                    os.close(descriptor)
        return self.scan()

    def _make_directories(self) -> None:
        for name in ("save", "publish", "set_aside", "tmp"):
            make_directories(self.root / name)

    def probe(self) -> None:
        """Write a file and take it away again. Raises ``OSError``."""
        with tempfile.NamedTemporaryFile(prefix="probe-", dir=self.root / "tmp") as file:
            file.write(b"probe")
            file.flush()
            os.fsync(file.fileno())

    def check_room(self, size: int) -> None:
        """Raise ``SpoolFull`` if ``size`` more bytes are too many."""
        added = self._added + self._adding + size
        # Other workers add and deliver, too: the less room is left, the more often it is measured.
        if added * _SHARE > self.max_size - self._statistics.size and self._may_count():
            self.scan()
        added = self._added + self._adding + size
        if self._statistics.size + added > self.max_size:
            raise SpoolFull(f"the spool holds {self._statistics.size + added - size} bytes")
        disk = os.statvfs(self.root)
        free = disk.f_bavail * disk.f_frsize
        if free - size < self.min_free:
            raise SpoolFull(f"only {free} bytes are free on the disk")

    def _may_count(self) -> bool:
        return time.monotonic() - self._counted > _COUNT_PAUSE * self._count_took

    def add_crash(self, report: CrashReport) -> None:
        """Write a crash; returns when it is on the disk. Raises ``SpoolFull``, ``OSError``."""
        expected = report.size
        self.check_room(expected)
        self._adding += expected
        try:
            work = self._new_work(report.crash_id)
            work.mkdir()
            descriptor = _lock(work)
            try:
                size = write_crash(report, work)
                self._put(work, self._new_path(Kind.CRASH, report.crash_id, size))
            except BaseException:
                _remove_tree(work)
                raise
            finally:
                if descriptor is not None:
                    os.close(descriptor)
            self._added += size
        finally:
            self._adding -= expected

    def add_id(self, crash_id: str) -> None:
        """Write the id of a saved crash that is to be published; returns when it is on the disk. Raises ``OSError``."""
        self.add_claimed_id(crash_id).release()

    def add_claimed_id(self, crash_id: str) -> Entry:
        """Write an id as ``add_id`` does, and claim the entry before others can."""
        work = self._new_work(crash_id)
        target = self._new_path(Kind.ID, crash_id)
        descriptor = None
        try:
            write_file(work, [f"{crash_id}\n".encode("ascii")])
            descriptor = os.open(work, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._put(work, target)
        except BaseException:
            if descriptor is not None:
                os.close(descriptor)
            _remove_tree(work)
            raise
        return Entry(target, Kind.ID, crash_id, descriptor)

    def _new_work(self, crash_id: str) -> Path:
        return self.root / "tmp" / f"{crash_id}-{time.time_ns()}"

    def _put(self, work: Path, target: Path) -> None:
        """Let an entry appear. Raises ``OSError``."""
        work.rename(target)
        try:
            fsync_directory(target.parent)
        except OSError:
            # Not promised: it must not come back as a crash that nobody was told of.
            with contextlib.suppress(OSError):
                target.rename(work)
            raise

    def oldest(self, kind: Kind, most: int) -> list[str]:
        """Return the names of up to ``most`` entries, the oldest first."""
        return heapq.nsmallest(most, self._names(kind))

    def claim(self, kind: Kind, name: str) -> Entry | None:
        """Claim an entry; ``None`` if somebody else has it, or it is gone."""
        parsed = EntryName.parse(name)
        path = self.root / kind.value / name
        descriptor = _lock(path) if parsed else None
        if parsed is None or descriptor is None:
            return None
        return Entry(path, kind, parsed.crash_id, descriptor)

    def remove(self, entry: Entry) -> None:
        """Take a delivered entry away. Out of sight first: a kill may come half-way."""
        work = self.root / "tmp" / entry.path.name
        entry.path.rename(work)
        _remove_tree(work)

    def saved(self, entry: Entry) -> None:
        """Turn a crash that is saved by now into an id that is left to publish."""
        self.add_id(entry.crash_id)
        self.remove(entry)

    def set_aside(self, entry: Entry) -> None:
        """Keep an entry that can never be delivered where nobody tries again."""
        target = self.root / "set_aside" / f"{entry.kind.value}-{entry.path.name}"
        entry.path.rename(target)
        fsync_directory(target.parent)
        fsync_directory(entry.path.parent)

    def entries_set_aside(self) -> Iterator[tuple[Kind, EntryName, Path]]:
        """Yield what was set aside, the oldest of each kind first. Raises ``OSError``."""
        for path in sorted((self.root / "set_aside").iterdir()):
            for kind in Kind:
                name = EntryName.parse(path.name.removeprefix(f"{kind.value}-"))
                if name is not None:
                    yield kind, name, path

    def take_back(self, kind: Kind, name: EntryName, path: Path) -> None:
        """Let an entry that was set aside be delivered again, its failures forgotten. Raises ``OSError``."""
        if kind is Kind.ID:
            self.add_id(name.crash_id)
            path.unlink()
            return
        failures_path(path, kind).unlink(missing_ok=True)
        target = self.root / kind.value / name.text
        path.rename(target)
        fsync_directory(target.parent)
        fsync_directory(path.parent)

    def scan(self) -> Statistics:
        """Count what waits. Raises ``OSError``."""
        start = time.monotonic()
        entries = size = 0
        oldest: EntryName | None = None
        for name in self._entries():
            entries += 1
            size += name.size
            oldest = name if oldest is None or name.time < oldest.time else oldest
        since = None
        with contextlib.suppress(ValueError):  # a name that a person gave
            since = oldest.since.timestamp() if oldest else None
        self._statistics = Statistics(entries, size, since)
        self._added = 0
        self._counted = time.monotonic()
        self._count_took = self._counted - start
        return self._statistics

    def _entries(self) -> Iterator[EntryName]:
        for kind in Kind:
            yield from filter(None, map(EntryName.parse, self._names(kind)))

    def _names(self, kind: Kind) -> list[str]:
        names = os.listdir(self.root / kind.value)  # noqa: PTH208 - there may be 100,000: no Path for each of them
        return [name for name in names if not name.startswith(".")]

    def _new_path(self, kind: Kind, crash_id: str, size: int | None = None) -> Path:
        return self.root / kind.value / EntryName.make(crash_id, size)


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
