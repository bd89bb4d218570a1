# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The spool directory: what happens to entries.

Layout below ``CRASHMOVER_SPOOL_DIR`` (a person's guide is in the docs)::

    save/<time>-<crash id>.<bytes>/     a crash: raw_crash and dump.<name> files; to save, then to publish unless
                                        there is a file deferred
    publish/<time>-<crash id>           the id of a crash that is saved; to publish
    set_aside/                          entries that can never be delivered
    tmp/                                entries being written or taken apart
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
from antenna.spool.room import Room
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
from antenna.spool.upkeep import clean_up, make_spool_directories, probe, prove, remove_tree


class Spool:
    """The spool directory. Every method works on the disk: call them with ``run_blocking``.

    Several processes may share one directory. Raises ``OSError`` where the disk fails; nothing is half written then.
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
        self._room = Room(self.root, self.max_size)
        self._locks = Locks()

    @property
    def statistics(self) -> Statistics:
        """What the last count has found in the spool."""
        return self._room.statistics

    def prepare(self) -> list[str]:
        """Make the spool ready, and prove that it can be written by doing what is done to a crash and to an id.

        Return what durability its file system lacks, for people. Raises ``OSError``.
        """
        make_spool_directories(self.root)
        lacking = prove(self.root, self._locks)
        self.clean_up_and_count()
        return lacking

    def clean_up_and_count(self) -> Statistics:
        """Do what is to be done now and then: remove what kills have left, count what is there. Raises ``OSError``."""
        make_spool_directories(self.root)
        clean_up(self.root, self._locks)
        return self._room.count()

    def probe(self) -> None:
        """Write a file and remove it. Raises ``OSError``."""
        probe(self.root)

    def room_left(self) -> int:
        """Return the bytes that are left for crashes. Raises ``OSError``."""
        return self._room.left()

    def check_room(self, size: int) -> None:
        """Raise ``SpoolFull`` if there is no room for ``size`` more bytes."""
        self._room.check(size)

    def add_crash(self, report: CrashReport) -> None:
        """Write a crash; returns when it is on the disk. Raises ``SpoolFull``, ``OutOfProportion``, ``OSError``."""
        work = self._new_work(report.crash_id)
        self._room.reserve(work.name, expected_size(report), report.payload_size)
        try:
            work.mkdir()
            lock = self._locks.take(work, stat.S_IFDIR)
            try:
                size = write_crash(report, work)
                # Again, now that it is known what the crash takes: JSON may be six times as long as what came in.
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
        """Write the id of a saved crash that is to be published; returns when it is on the disk. Raises ``OSError``."""
        self.add_claimed_id(crash_id).release()

    def add_claimed_id(self, crash_id: str) -> Entry:
        """Write an id as ``add_id`` does, and claim the entry before others can."""
        work = self._new_work(crash_id)
        target = self._new_path(Kind.ID, crash_id)
        lock = None
        try:
            write_file(work, [f"{crash_id}\n".encode("ascii")])
            lock = self._locks.take(work, stat.S_IFREG)
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
        """Return the names of up to ``most`` entries, the oldest first. Raises ``OSError``."""
        names = visible_names(self.root / kind.value)
        oldest = heapq.nsmallest(most, names)
        if all(map(EntryName.parse, oldest)):
            return oldest
        # Something else lies among them. However much that is, it must not stand in front of the entries.
        return heapq.nsmallest(most, filter(EntryName.parse, names))

    def claim(self, kind: Kind, name: str) -> Entry | None:
        """Claim an entry; ``None`` if somebody else has it, if it is gone, or if that is no name of an entry.

        ``Entry.check`` says what is wrong with one that cannot be opened, or is something else, such as a FIFO.
        Raises ``OSError`` if no file can be opened at all.
        """
        parsed = EntryName.parse(name)
        if parsed is None:
            return None
        return Entry.claim(self.root / kind.value / name, kind, parsed.crash_id, self._locks)

    def remove(self, entry: Entry) -> None:
        """Remove a delivered entry. Out of sight first: a kill may come half-way. Raises ``OSError``."""
        work = self.root / "tmp" / entry.path.name
        entry.path.rename(work)
        remove_tree(work)

    def saved(self, entry: Entry) -> None:
        """Turn a crash that is saved by now into an id that is left to publish. Raises ``OSError``."""
        self.add_id(entry.crash_id)
        self.remove(entry)

    def set_aside(self, entry: Entry) -> None:
        """Keep an entry that can never be delivered where nobody tries again. Raises ``OSError``."""
        target = self.root / SET_ASIDE / f"{entry.kind.value}-{entry.path.name}"
        entry.path.rename(target)
        fsync_directory(target.parent)
        fsync_directory(entry.path.parent)

    def entries_set_aside(self) -> Iterator[SetAside]:
        """Yield what was set aside, the oldest of each kind first. Raises ``OSError``."""
        return entries_set_aside(self.root)

    def count_set_aside(self) -> int:
        """Count what was set aside, and neither restored, removed nor acknowledged since. Raises ``OSError``."""
        return count_set_aside(self.root)

    def foreign_things(self) -> Iterator[Path]:
        """Yield what lies among the entries and has no name of an entry. Raises ``OSError``."""
        return foreign_things(self.root)

    def restore(self, entry: SetAside) -> None:
        """Let an entry that was set aside be delivered again, its failures forgotten. Raises ``OSError``."""
        path = entry.path
        acknowledgement_of(path).unlink(missing_ok=True)
        if entry.kind is Kind.ID:
            self.add_id(entry.name.crash_id)
            self._delete(path)
            return
        if stat.S_ISDIR(path.lstat().st_mode):  # and not a link that leads elsewhere
            failures_path(path, entry.kind).unlink(missing_ok=True)
        target = self.root / entry.kind.value / entry.name.text
        path.rename(target)
        fsync_directory(target.parent)
        fsync_directory(path.parent)

    def acknowledge(self, entry: SetAside) -> None:
        """Take note that somebody knows of an entry that was set aside. Raises ``OSError``."""
        with contextlib.suppress(FileExistsError):
            write_file(acknowledgement_of(entry.path), [])

    def delete(self, entry: SetAside) -> None:
        """Delete an entry that was set aside, for good. Raises ``OSError``."""
        acknowledgement_of(entry.path).unlink(missing_ok=True)
        self._delete(entry.path)

    def _delete(self, path: Path) -> None:
        work = path.rename(self.root / "tmp" / path.name)
        remove_tree(work)
