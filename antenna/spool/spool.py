# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The spool directory: how entries are added, claimed, removed, set aside and restored.

Layout below ``CRASHMOVER_SPOOL_DIR`` (``docs/durability.rst`` is the operator's guide to it)::

    save/<time>-<crash id>.<bytes>/     a crash to save, and then to publish unless it has a file ``deferred``;
                                        its files are raw_crash and dump.<name>
    publish/<time>-<crash id>           the id of a crash that is saved, to publish
    set_aside/                          entries that can never be delivered
    tmp/                                entries that are being written or removed
"""

import contextlib
import heapq
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from antenna.config import ConfigManager, Option, bounded, parse_size
from antenna.crash import CrashReport
from antenna.files import fsync_directory, write_file
from antenna.spool.crash_files import expected_size, write_crash
from antenna.spool.entry import Entry, EntryName, Kind, failures_path
from antenna.spool.locks import Locks
from antenna.spool.room import SpoolRoom
from antenna.spool.stock import (
    SET_ASIDE,
    SetAside,
    Statistics,
    acknowledgement_of,
    count_set_aside,
    entries_set_aside,
    foreign_things,
    visible_names,
)
from antenna.spool.upkeep import clean_up, make_spool_directories, probe, remove_tree, verify


class Spool:
    """The spool directory. Each method works on the disk, so call it with ``run_blocking``.

    Several processes may share one directory. If the disk fails, a method raises ``OSError`` and leaves nothing half
    done.
    """

    class Config:
        """Options."""

        spool_dir = Option(
            default="",
            doc="Directory for crashes that cannot be saved or published at once, on a disk that stays when the "
            "process ends. If it is not set, a crash that cannot be saved is answered with 503.",
        )
        spool_max_size = Option(
            default="10GiB",
            parser=bounded(parse_size, "1"),
            doc="Room on the disk that crashes in the spool may take. If the spool is full, a crash that cannot be "
            "saved is answered with 503.",
        )

    def __init__(self, config: ConfigManager) -> None:
        """``config`` has the namespace ``CRASHMOVER``."""
        self.config = config.with_options(self)
        self.root = Path(self.config("spool_dir"))
        self.max_size: int = self.config("spool_max_size")
        self._room = SpoolRoom(self.root, self.max_size)
        self._locks = Locks()

    @property
    def statistics(self) -> Statistics:
        """The result of the last count."""
        return self._room.statistics

    def prepare(self) -> list[str]:
        """Make the spool ready, and check that it works by writing, renaming and removing test entries.

        Returns sentences about the durability that its file system lacks. Raises ``OSError``.
        """
        make_spool_directories(self.root)
        lacking = verify(self.root, self._locks)
        self.clean_up_and_count()
        return lacking

    def clean_up_and_count(self) -> Statistics:
        """Remove what killed processes have left, and count the entries. Call this from time to time.

        Raises ``OSError``.
        """
        make_spool_directories(self.root)
        clean_up(self.root, self._locks)
        return self._room.count()

    def probe(self) -> None:
        """Check that the spool can be written, by writing a file and removing it. Raises ``OSError``."""
        probe(self.root)

    def room_left(self) -> int:
        """Return the bytes that are left for crashes. Raises ``OSError``."""
        return self._room.left()

    def check_room(self, size: int) -> None:
        """Raise ``SpoolFull`` if there is no room for ``size`` more bytes."""
        self._room.check(size)

    def add_crash(self, report: CrashReport) -> None:
        """Write a crash. When this returns, it is on the disk.

        Raises ``SpoolFull``, ``OutOfProportion`` and ``OSError``.
        """
        work = self._new_work(report.crash_id)
        self._room.reserve(work.name, expected_size(report), report.payload_size)
        try:
            work.mkdir()
            lock = self._locks.acquire(work, stat.S_IFDIR)
            try:
                size = write_crash(report, work)
                # The room is checked again with the real size: JSON may take six times as many bytes as came in.
                self._room.settle(work.name, size, report.payload_size)
                self._put(work, self._new_path(Kind.CRASH, report.crash_id, size))
            except BaseException:
                remove_tree(work)
                raise
            finally:
                if lock is not None:
                    lock.release()
            self._room.add(size)
        finally:
            self._room.release(work.name)

    def add_id(self, crash_id: str) -> None:
        """Write the id of a saved crash, to be published. When this returns, it is on the disk. Raises ``OSError``."""
        self.add_claimed_id(crash_id).release()

    def add_claimed_id(self, crash_id: str) -> Entry:
        """Write an id as ``add_id`` does, and claim the entry before another worker can. Raises ``OSError``."""
        work = self._new_work(crash_id)
        target = self._new_path(Kind.ID, crash_id)
        lock = None
        try:
            write_file(work, [f"{crash_id}\n".encode("ascii")])
            lock = self._locks.acquire(work, stat.S_IFREG)
            self._put(work, target)
        except BaseException:
            if lock is not None:
                lock.release()
            remove_tree(work)
            raise
        return Entry(target, Kind.ID, crash_id, lock)

    def _new_work(self, crash_id: str) -> Path:
        return self.root / "tmp" / f"{crash_id}-{time.time_ns()}"

    def _new_path(self, kind: Kind, crash_id: str, size: int | None = None) -> Path:
        return self.root / kind.value / EntryName.make(crash_id, size)

    def _put(self, work: Path, target: Path) -> None:
        """Make a written entry appear among the others. Raises ``OSError``."""
        work.rename(target)
        try:
            fsync_directory(target.parent)
        except OSError:
            # The client will not be promised this crash, so it must not be delivered later.
            with contextlib.suppress(OSError):
                target.rename(work)
            raise

    def oldest(self, kind: Kind, most: int) -> list[str]:
        """Return the names of up to ``most`` entries, the oldest first. Raises ``OSError``."""
        names = visible_names(self.root / kind.value)
        oldest = heapq.nsmallest(most, names)
        if all(map(EntryName.parse, oldest)):
            return oldest
        # Files of other kinds lie among the entries. However many they are, the entries behind them must be found.
        return heapq.nsmallest(most, filter(EntryName.parse, names))

    def claim(self, kind: Kind, name: str) -> Entry | None:
        """Claim an entry. Returns None if another worker has it, if it is gone, or if ``name`` is not that of an entry.

        If the entry cannot be opened, or is something else such as a FIFO, its ``check`` says so. Raises ``OSError`` if
        this process can open no file at all.
        """
        parsed = EntryName.parse(name)
        if parsed is None:
            return None
        return Entry.claim(self.root / kind.value / name, kind, parsed.crash_id, self._locks)

    def remove(self, entry: Entry) -> None:
        """Remove a delivered entry. A rename takes it out of sight first, since a kill may come half-way.

        Raises ``OSError``.
        """
        work = self.root / "tmp" / entry.path.name
        entry.path.rename(work)
        remove_tree(work)

    def saved(self, entry: Entry) -> None:
        """Replace the entry of a crash, which has been saved, by an entry of its id, which is to be published.

        Raises ``OSError``.
        """
        self.add_id(entry.crash_id)
        self.remove(entry)

    def set_aside(self, entry: Entry) -> None:
        """Move an entry that can never be delivered to where no delivery tries it again. Raises ``OSError``."""
        target = self.root / SET_ASIDE / f"{entry.kind.value}-{entry.path.name}"
        entry.path.rename(target)
        fsync_directory(target.parent)
        fsync_directory(entry.path.parent)

    def entries_set_aside(self) -> Iterator[SetAside]:
        """Yield the entries that were set aside, the oldest of each kind first. Raises ``OSError``."""
        return entries_set_aside(self.root)

    def count_set_aside(self) -> int:
        """Return how many entries were set aside that nobody has restored, removed or acknowledged.

        Raises ``OSError``.
        """
        return count_set_aside(self.root)

    def foreign_things(self) -> Iterator[Path]:
        """Yield the paths among the entries that do not have the name of an entry. Raises ``OSError``."""
        return foreign_things(self.root)

    def restore(self, entry: SetAside) -> None:
        """Put an entry that was set aside back among those to deliver, and delete its failures. Raises ``OSError``."""
        path = entry.path
        acknowledgement_of(path).unlink(missing_ok=True)
        if entry.kind is Kind.ID:
            self.add_id(entry.name.crash_id)
            self._delete(path)
            return
        if stat.S_ISDIR(path.lstat().st_mode):  # a symbolic link could lead out of the spool
            failures_path(path, entry.kind).unlink(missing_ok=True)
        target = self.root / entry.kind.value / entry.name.text
        path.rename(target)
        fsync_directory(target.parent)
        fsync_directory(path.parent)

    def acknowledge(self, entry: SetAside) -> None:
        """Record that somebody knows of an entry that was set aside. It is counted no more. Raises ``OSError``."""
        with contextlib.suppress(FileExistsError):
            write_file(acknowledgement_of(entry.path), [])

    def delete(self, entry: SetAside) -> None:
        """Delete an entry that was set aside. It cannot be restored. Raises ``OSError``."""
        acknowledgement_of(entry.path).unlink(missing_ok=True)
        self._delete(entry.path)

    def _delete(self, path: Path) -> None:
        work = path.rename(self.root / "tmp" / path.name)
        remove_tree(work)
