# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""What is in the spool is complete, on the disk, and in one worker's hands at a time."""

import errno
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import google_crc32c
import pytest

from antenna.crash.report import CrashReport
from antenna.hub import run_blocking
from antenna.spool.entry import Entry, EntryDamaged, Kind, read_failures
from antenna.spool.spool import Spool, SpoolFull
from tests.support.crashes import OLD_ID, make_id, make_report
from tests.support.disk import Disk
from tests.support.programs import line_of, output_of, run_python
from tests.support.reports import MINIDUMP
from tests.support.spools import (
    CLAIMANT,
    REPORTS,
    add,
    assert_nothing_spooled,
    assert_spooled,
    assert_tidy,
    claim,
    content,
    descriptors,
    make_spool,
    names,
)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return make_spool(tmp_path / "spool")


class TestCrash:
    """A crash comes out of the spool as it went in."""

    @pytest.mark.parametrize("in_file", [False, True], ids=["in memory", "in temporary files"])
    @pytest.mark.parametrize("dumps", REPORTS.values(), ids=REPORTS)
    def test_is_spooled_as_a_whole(
        self, spool: Spool, tmp_path: Path, dumps: Mapping[str, bytes], in_file: bool
    ) -> None:
        with make_report(dumps, directory=tmp_path if in_file else None) as report:
            spool.add_crash(report)

            assert_spooled(spool, report)

    @pytest.mark.parametrize("deferred", [False, True])
    def test_is_still_to_be_published_or_not(self, spool: Spool, deferred: bool) -> None:
        with make_report(deferred=deferred) as report:
            spool.add_crash(report)

            assert_spooled(spool, report)

    def test_has_the_checksums_a_bucket_reports(self, spool: Spool) -> None:
        with make_report({MINIDUMP: b"MDMP"}) as report:
            spool.add_crash(report)
            entry = claim(spool)
            crash = entry.load()

            checksum = google_crc32c.value(b"MDMP").to_bytes(4, "big")
            assert crash.dumps[MINIDUMP].crc32c == report.dumps[MINIDUMP].crc32c == checksum

            crash.close()
            entry.release()

    def test_is_readable_by_a_person_with_the_tools_of_the_shell(self, spool: Spool) -> None:
        with make_report({MINIDUMP: b"MDMP", "memory_report": b"gz"}, deferred=True) as report:
            spool.add_crash(report)

            (directory,) = (spool.root / "save").iterdir()
            assert re.fullmatch(rf"\d{{8}}T\d{{6}}\.\d{{6}}-{report.crash_id}\.\d+", directory.name)
            files = {path.name: path.read_bytes() for path in directory.iterdir()}
            raw_crash = json.loads(files.pop("raw_crash"))
            assert raw_crash["uuid"] == report.crash_id
            assert files == {f"dump.{MINIDUMP}": b"MDMP", "dump.memory_report": b"gz", "deferred": b""}

    def test_is_there_again_after_a_restart(self, spool: Spool) -> None:
        with make_report() as report:
            spool.add_crash(report)

            assert_spooled(make_spool(spool.root), report)

    def test_is_gone_when_it_is_delivered(self, spool: Spool) -> None:
        with make_report() as report:
            spool.add_crash(report)
        entry = claim(spool)

        spool.remove(entry)
        entry.release()

        assert_nothing_spooled(spool)

    def test_is_an_id_to_publish_when_it_is_saved(self, spool: Spool) -> None:
        with make_report() as report:
            spool.add_crash(report)
        entry = claim(spool)

        spool.saved(entry)
        entry.release()

        assert_nothing_spooled(spool)
        assert claim(spool, Kind.ID).crash_id == report.crash_id

    def test_many_may_come_at_the_same_time(self, spool: Spool) -> None:
        reports = [make_report({MINIDUMP: os.urandom(10_000)}) for _ in range(100)]

        with ThreadPoolExecutor(10) as workers:
            list(workers.map(spool.add_crash, reports))

        assert {name[23:59] for name in names(spool)} == {report.crash_id for report in reports}
        assert_tidy(spool)


class TestId:
    """The id of a saved crash waits for being published."""

    def test_is_spooled(self, spool: Spool) -> None:
        crash_id = make_id()

        spool.add_id(crash_id)

        entry = claim(spool, Kind.ID)
        assert entry.crash_id == crash_id
        assert entry.path.read_text() == f"{crash_id}\n"
        assert_tidy(spool)

    def test_is_gone_when_it_is_published(self, spool: Spool) -> None:
        spool.add_id(make_id())
        entry = claim(spool, Kind.ID)

        spool.remove(entry)
        entry.release()

        assert names(spool, Kind.ID) == []
        assert_tidy(spool)

    def test_may_be_spooled_though_the_spool_is_full(self, tmp_path: Path) -> None:
        spool = make_spool(tmp_path / "spool", spool_max_size="1", spool_min_free="1000000GiB")

        spool.add_id(make_id())

        assert len(names(spool, Kind.ID)) == 1


class TestDumpInAFile:
    """A dump that lies in a temporary file on the same file system is moved, not copied."""

    def test_is_moved_on_the_same_file_system(self, spool: Spool, tmp_path: Path) -> None:
        with make_report(directory=tmp_path) as report:
            descriptor = report.dumps[MINIDUMP].content.descriptor
            assert descriptor is not None
            spool.add_crash(report)

            (path,) = spool.root.glob(f"save/*/dump.{MINIDUMP}")
            assert os.path.samestat(path.stat(), os.fstat(descriptor))

    def test_outlives_the_report(self, spool: Spool, tmp_path: Path) -> None:
        with make_report(directory=tmp_path) as report:
            spool.add_crash(report)
        crash = claim(spool).load()

        assert content(crash)[2] == {MINIDUMP: b"MDMP" * 100}

        crash.close()

    def test_is_copied_from_another_file_system(self, spool: Spool, other_file_system: Path) -> None:
        with make_report(directory=other_file_system) as report:
            spool.add_crash(report)

            assert_spooled(spool, report)

    def test_is_copied_if_it_once_had_a_name(
        self, spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delattr(os, "O_TMPFILE")  # systems that have no files without a name
        with make_report(directory=tmp_path) as report:
            spool.add_crash(report)

            assert_spooled(spool, report)

    @pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOENT, errno.EXDEV])
    def test_is_copied_where_it_cannot_be_linked(self, spool: Spool, disk: Disk, tmp_path: Path, code: int) -> None:
        with make_report(directory=tmp_path) as report:
            before = len(disk.calls)
            spool.add_crash(report)
            number = [call.name for call in disk.calls[before:]].index("link")
            spool.remove(claim(spool))

            disk.fail_at(len(disk.calls) + number, code)
            spool.add_crash(report)

            assert disk.calls[-1].name == "fsync"
            assert_spooled(spool, report)


@pytest.fixture
def other_file_system(tmp_path: Path) -> Path:
    directory = Path("/dev/shm")  # noqa: S108 - a file system in memory, on Linux
    if not directory.is_dir() or directory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system: /dev/shm is missing, or the temporary directory is there")
    return directory


class TestDisk:
    """An entry appears complete and fsynced, or not at all."""

    @pytest.mark.parametrize("in_file", [False, True], ids=["in memory", "in temporary files"])
    def test_everything_is_on_the_disk_before_it_appears(
        self, spool: Spool, disk: Disk, tmp_path: Path, in_file: bool
    ) -> None:
        with make_report(REPORTS["several dumps"], directory=tmp_path if in_file else None, deferred=True) as report:
            before = len(disk.calls)
            spool.add_crash(report)
        calls = disk.calls[before:]

        (appears,) = [number for number, call in enumerate(calls) if call.name == "rename"]
        work, entry = calls[appears].path, calls[appears].target
        assert entry is not None
        synced = {call.path for call in calls[:appears] if call.name == "fsync"}
        if in_file:  # they are synced by their descriptors, which know no name
            linked = {call.target for call in calls if call.name == "link"}
            assert len(linked) == len([path for path in synced if work not in {path, path.parent}]) == 3
            synced |= {path for path in linked if path}
        assert synced >= {work, *(work / path.name for path in entry.iterdir())}
        assert ("fsync", entry.parent) in [(call.name, call.path) for call in calls[appears:]]

    def test_id_is_on_the_disk_before_it_appears(self, spool: Spool, disk: Disk) -> None:
        spool.add_id(make_id())

        assert [call.name for call in disk.calls[-5:]] == ["open", "write", "fsync", "rename", "fsync"]
        assert disk.calls[-1].path == spool.root / "publish"

    @pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EROFS], ids=errno.errorcode.get)
    @pytest.mark.parametrize("goes_on", [True, False], ids=["once", "for good"])
    @pytest.mark.parametrize("in_file", [False, True], ids=["in memory", "in temporary files"])
    def test_that_fails_at_any_call_leaves_nothing_of_the_crash(
        self, spool: Spool, disk: Disk, tmp_path: Path, code: int, goes_on: bool, in_file: bool
    ) -> None:
        def make() -> CrashReport:
            return make_report(REPORTS["several dumps"], directory=tmp_path if in_file else None, deferred=True)

        with make() as report:
            start = len(disk.calls)
            spool.add_crash(report)
            calls = len(disk.calls) - start
            spool.remove(claim(spool))
        assert calls > 10

        for number in range(calls):
            with make() as report:
                (disk.fail_at if goes_on else disk.fail_from)(len(disk.calls) + number, code)

                with pytest.raises(OSError, match=os.strerror(code)):
                    spool.add_crash(report)

                disk.work()
                if goes_on or number < calls - 1:
                    assert_nothing_spooled(spool)
                else:
                    # The last fsync failed, and to rename it back, too: it is there as a whole, and will be delivered.
                    assert_spooled(spool, report)
                    spool.remove(claim(spool))
        with make() as report:
            spool.add_crash(report)
            assert_spooled(spool, report)

    @pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EROFS], ids=errno.errorcode.get)
    def test_that_fails_while_a_saved_crash_becomes_an_id_keeps_one_of_them(
        self, spool: Spool, disk: Disk, code: int
    ) -> None:
        with make_report() as report:
            for number in range(6):
                spool.add_crash(report)
                entry = claim(spool)
                disk.fail_at(len(disk.calls) + number, code)

                with pytest.raises(OSError, match=os.strerror(code)):
                    spool.saved(entry)

                disk.work()
                assert_spooled_crash_or_id(spool, report.crash_id)
                entry.release()
                for kind in Kind:
                    for name in names(spool, kind):
                        left = spool.claim(kind, name)
                        assert left
                        spool.remove(left)

    @pytest.mark.parametrize("where", ["save", "tmp"])
    def test_whose_directories_are_gone_is_an_error(self, spool: Spool, where: str) -> None:
        shutil.rmtree(spool.root / where)

        with make_report() as report, pytest.raises(FileNotFoundError):
            spool.add_crash(report)


def assert_spooled_crash_or_id(spool: Spool, crash_id: str) -> None:
    assert {name[23:59] for kind in Kind for name in names(spool, kind)} == {crash_id}


# Does something to a fresh spool for each call that this makes to the disk, and is killed at that call.
KILLED = """
import os, signal, sys
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from antenna.spool.entry import Kind
from tests.support.crashes import make_report
from tests.support.disk import Disk
from tests.support.spools import REPORTS, make_spool

root, what = Path(sys.argv[1]), sys.argv[2]
report = make_report(REPORTS["several dumps"])
print(report.crash_id)
for number in count():
    spool = make_spool(root / str(number))
    if what != "add":
        spool.add_crash(report)
        entry = spool.claim(Kind.CRASH, spool.oldest(Kind.CRASH, 1)[0])
    child = os.fork()
    if not child:
        with Disk() as disk:
            disk.do_at(number, lambda: os.kill(os.getpid(), signal.SIGKILL))
            spool.add_crash(report) if what == "add" else getattr(spool, what)(entry)
        os._exit(0)
    if what != "add":
        entry.release()
    if os.waitpid(child, 0)[1] == 0:
        break
"""


class TestKill:
    """A kill at any moment leaves complete entries only, and loses none."""

    def test_while_a_crash_is_added(self, tmp_path: Path) -> None:
        crash_id = output_of(KILLED, tmp_path, "add").strip()

        *killed, finished = sorted(tmp_path.iterdir(), key=lambda path: int(path.name))
        assert len(killed) > 10
        for directory in killed[:-1]:
            assert names(make_spool(directory)) == []
        # Killed at the fsync of the directory: it is there, though nobody was told.
        for directory in (killed[-1], finished):
            assert_complete(make_spool(directory), crash_id)

    @pytest.mark.parametrize(("what", "calls"), [("remove", 1), ("saved", 6), ("set_aside", 3)])
    def test_while_an_entry_leaves(self, tmp_path: Path, what: str, calls: int) -> None:
        crash_id = output_of(KILLED, tmp_path, what).strip()

        *killed, finished = sorted(tmp_path.iterdir(), key=lambda path: int(path.name))
        assert len(killed) == calls
        for directory in killed:
            spool = make_spool(directory)
            if names(spool):
                assert_complete(spool, crash_id)
            else:
                assert what == "set_aside"
                assert len(list(directory.glob("set_aside/save-*"))) == 1
        assert names(make_spool(finished)) == []


def assert_complete(spool: Spool, crash_id: str) -> None:
    crash = claim(spool).load()
    assert json.loads(crash.encoded_raw_crash())["uuid"] == crash_id
    assert content(crash)[2] == REPORTS["several dumps"]
    crash.close()


# Fills a small file system, of a mount namespace of its own.
SMALL_DISK = """
import json, os, subprocess, sys
from pathlib import Path
from types import SimpleNamespace
from tests.support.crashes import make_report
from tests.support.spools import assert_tidy, make_spool, names
from antenna.spool.entry import Kind
from tests.support.reports import MINIDUMP

disk = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
spool = make_spool(disk / "spool")
notes = "x" * 300_000  # more than is asked for in advance: that are the dumps

def fill():
    for count in range(100):
        with make_report({MINIDUMP: b"MDMP"}) as report:
            report.annotations["Notes"] = notes
            try:
                spool.add_crash(report)
            except OSError as error:
                return count, error.strerror

outcomes = [fill()]
assert_tidy(spool)
entry = spool.claim(Kind.CRASH, names(spool)[0])
crash = entry.load()
assert json.loads(crash.encoded_raw_crash())["Notes"] == notes
crash.close()
spool.remove(entry)
entry.release()
outcomes.append(fill())
subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
outcomes.append(fill())
subprocess.run(["mount", "-o", "remount,rw,size=2m", disk], check=True)
outcomes.append(fill())
print(json.dumps(outcomes))
"""


def test_full_and_read_only_disks_turn_crashes_away_and_keep_what_is_there(tmp_path: Path) -> None:
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"], check=False).returncode:
        pytest.skip("no namespaces for a small disk of our own: needs Linux with unshare(1), and permission to use it")

    result = subprocess.run(
        [*unshare, sys.executable, "-c", SMALL_DISK, tmp_path],
        cwd=Path(__file__).parents[2],
        check=True,
        stdout=subprocess.PIPE,
    )

    no_space, read_only = os.strerror(errno.ENOSPC), os.strerror(errno.EROFS)
    assert json.loads(result.stdout) == [[3, no_space], [1, no_space], [0, read_only], [3, no_space]]


class TestRoom:
    """The spool has a limit, and leaves room on its disk."""

    def test_size_is_that_of_all_files(self, spool: Spool, tmp_path: Path) -> None:
        for dumps in REPORTS.values():
            with make_report(dumps) as report:
                spool.add_crash(report)

        size = sum(path.stat().st_size for path in spool.root.rglob("*") if path.is_file())
        assert spool.scan().size == size > 3_000_000

    def test_full_spool_turns_crashes_away_until_one_is_delivered(self, tmp_path: Path) -> None:
        spool = make_spool(tmp_path / "spool", spool_max_size="250000")
        reports = [make_report({MINIDUMP: bytes(100_000)}) for _ in range(3)]
        spool.add_crash(reports[0])
        spool.add_crash(reports[1])

        with pytest.raises(SpoolFull, match=r"the spool holds 20\d{4} bytes"):
            spool.add_crash(reports[2])
        assert len(names(spool)) == 2
        assert_tidy(spool)

        entry = spool.claim(Kind.CRASH, names(spool)[0])
        assert entry
        spool.remove(entry)
        spool.scan()
        spool.add_crash(reports[2])

    def test_crashes_that_come_at_the_same_time_do_not_all_fit_into_the_same_room(self, tmp_path: Path) -> None:
        spool = make_spool(tmp_path / "spool", spool_max_size="950000")
        reports = [make_report({MINIDUMP: bytes(100_000)}) for _ in range(30)]

        def add(report: CrashReport) -> bool:
            try:
                spool.add_crash(report)
            except SpoolFull:
                return False
            return True

        with ThreadPoolExecutor(30) as workers:
            added = sum(workers.map(add, reports))

        # Nine fit in, and threads may count each other twice or not at all.
        assert 4 <= added <= 14
        assert len(names(spool)) == added

    def test_what_could_not_be_written_takes_no_room(self, tmp_path: Path, disk: Disk) -> None:
        spool = make_spool(tmp_path / "spool", spool_max_size="250000")
        with make_report({MINIDUMP: bytes(100_000)}) as report:
            for number in range(10):
                disk.fail_at(len(disk.calls) + number)
                with pytest.raises(OSError, match="Input/output error"):
                    spool.add_crash(report)
            disk.work()

            spool.add_crash(report)

    def test_limit_counts_what_other_workers_add(self, tmp_path: Path) -> None:
        spools = [make_spool(tmp_path / "spool", spool_max_size="250000") for _ in range(3)]
        reports = [make_report({MINIDUMP: bytes(100_000)}) for _ in range(3)]
        spools[0].add_crash(reports[0])
        spools[1].add_crash(reports[1])

        with pytest.raises(SpoolFull):
            spools[2].add_crash(reports[2])

    def test_room_is_left_on_the_disk(self, tmp_path: Path) -> None:
        free = shutil.disk_usage(tmp_path).free
        spool = make_spool(tmp_path / "spool", spool_min_free=str(free + 10**10))

        with make_report() as report, pytest.raises(SpoolFull, match="are free on the disk"):
            spool.add_crash(report)
        assert_nothing_spooled(spool)

    def test_room_is_left_to_the_byte(self, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
        free = spool.min_free + 1000
        monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=free, f_frsize=1))

        spool.check_room(1000)
        with pytest.raises(SpoolFull, match=f"only {free} bytes are free on the disk"):
            spool.check_room(1001)

    def test_health_check_finds_a_full_spool(self, tmp_path: Path) -> None:
        spool = make_spool(tmp_path / "spool", spool_max_size="1")
        spool.check_room(0)
        with pytest.raises(SpoolFull):
            spool.check_room(2)


class TestStatistics:
    """Operators see how much waits, and for how long."""

    def test_of_an_empty_spool(self, spool: Spool) -> None:
        statistics = spool.scan()

        assert (statistics.entries, statistics.size, statistics.oldest) == (0, 0, None)

    def test_count_crashes_and_ids_of_all_workers(self, spool: Spool) -> None:
        before = time.time()
        with make_report() as report:
            make_spool(spool.root).add_crash(report)
        between = time.time()
        spool.add_id(make_id())

        statistics = spool.scan()

        assert statistics.entries == 2
        assert statistics.oldest is not None
        assert before <= statistics.oldest <= between

    def test_do_not_count_what_is_set_aside(self, spool: Spool) -> None:
        spool.add_id(make_id())
        spool.set_aside(claim(spool, Kind.ID))

        assert spool.scan().entries == 0

    @pytest.mark.parametrize("name", ["README", ".nfs0001", f"00000000T000000.000000-{OLD_ID}.1", "20261122T1-x"])
    def test_bear_with_what_somebody_else_put_there(self, spool: Spool, name: str) -> None:
        (spool.root / "save" / name).mkdir()
        with make_report() as report:
            spool.add_crash(report)

        assert spool.scan().entries >= 1
        assert spool.oldest(Kind.CRASH, 1000)


class TestOrder:
    """The oldest entries come first."""

    def test_oldest_first(self, spool: Spool) -> None:
        reports = [make_report() for _ in range(20)]
        for report in reports:
            spool.add_crash(report)

        assert [name[23:59] for name in spool.oldest(Kind.CRASH, 7)] == [report.crash_id for report in reports[:7]]
        assert len(spool.oldest(Kind.CRASH, 100)) == 20

    def test_ids_and_crashes_are_kept_apart(self, spool: Spool) -> None:
        spool.add_id(make_id())

        assert names(spool, Kind.CRASH) == []
        assert len(names(spool, Kind.ID)) == 1


# Claims and takes what it can get, and says what that was.
TAKER = """
import sys
from antenna.spool.entry import Kind
from tests.support.spools import make_spool, names

spool = make_spool(sys.argv[1])
sys.stdin.readline()
for kind in Kind:
    while found := names(spool, kind):
        for name in found:
            entry = spool.claim(kind, name)
            if entry:
                print(name, flush=True)
                spool.remove(entry)
                entry.release()
"""


@pytest.mark.parametrize("kind", Kind)
class TestClaim:
    """An entry is in one worker's hands at a time, and in nobody's when that worker ends, however it does."""

    def test_is_exclusive(self, spool: Spool, kind: Kind) -> None:
        name = add(spool, kind)
        entry = spool.claim(kind, name)
        assert entry

        assert spool.claim(kind, name) is None
        entry.release()
        assert spool.claim(kind, name) is not None

    def test_is_exclusive_among_processes_and_ends_with_a_kill(self, spool: Spool, kind: Kind) -> None:
        name = add(spool, kind)
        with run_python(CLAIMANT, spool.root, kind.name, name) as other:
            assert line_of(other) == "True"

            assert spool.claim(kind, name) is None
            other.kill()
            other.wait()
            entry = spool.claim(kind, name)

        assert entry is not None
        assert output_of(CLAIMANT, spool.root, kind.name, name) == "False\n"

    def test_each_entry_goes_to_one_of_many_processes(self, spool: Spool, kind: Kind) -> None:
        added = [add(spool, kind) for _ in range(100)]
        takers = [run_python(TAKER, spool.root) for _ in range(4)]

        taken = []
        for taker in takers:
            assert taker.stdin
            taker.stdin.write("go\n")
            taker.stdin.flush()
        for taker in takers:
            output, _ = taker.communicate(timeout=60)
            assert taker.returncode == 0
            taken += output.split()

        assert sorted(taken) == added
        assert_tidy(spool)

    def test_of_what_is_gone_is_none(self, spool: Spool, kind: Kind) -> None:
        name = add(spool, kind)
        entry = spool.claim(kind, name)
        assert entry
        spool.remove(entry)

        assert spool.claim(kind, name) is None

    def test_of_what_was_taken_away_while_it_was_waited_for_is_none(
        self, spool: Spool, kind: Kind, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = add(spool, kind)
        flock = fcntl.flock

        def deliver_first(descriptor: int, operation: int) -> None:
            monkeypatch.undo()
            entry = spool.claim(kind, name)
            assert entry
            spool.remove(entry)
            entry.release()
            flock(descriptor, operation)

        monkeypatch.setattr("antenna.spool.spool.fcntl.flock", deliver_first)

        assert spool.claim(kind, name) is None

    def test_leaves_no_descriptor_open(self, spool: Spool, kind: Kind) -> None:
        name = add(spool, kind)
        entry = spool.claim(kind, name)
        assert entry
        before = descriptors()

        for _ in range(10):
            assert spool.claim(kind, name) is None
        assert descriptors() == before
        entry.release()
        assert descriptors() == before - 1


def test_name_that_is_no_entrys_is_not_claimed(spool: Spool) -> None:
    (spool.root / "save" / "README").mkdir()

    assert spool.claim(Kind.CRASH, "README") is None
    assert spool.claim(Kind.CRASH, "../tmp") is None


# Adds a crash and stops for good in the middle of it, with the work in tmp/ locked.
STUCK = """
import sys, time
from tests.support.crashes import make_report
from tests.support.disk import Disk
from tests.support.spools import make_spool

spool = make_spool(sys.argv[1])
with Disk() as disk:
    disk.do_at(3, lambda: (print("stuck", flush=True), time.sleep(60)))
    spool.add_crash(make_report())
"""


class TestSweep:
    """What a kill left in tmp/ is taken away, and what somebody works on is not."""

    @pytest.mark.parametrize(("age", "is_swept"), [(0, False), (30, False), (90, True), (10_000, True)])
    def test_takes_what_is_old(self, spool: Spool, age: float, is_swept: bool) -> None:
        work = spool.root / "tmp" / f"{make_id()}-1"
        work.mkdir()
        (work / "dump.upload_file_minidump").write_bytes(b"half")
        file = spool.root / "tmp" / ".tmp-half"
        file.write_bytes(b"half")
        set_age(work, age)
        set_age(file, age)

        make_spool(spool.root)

        assert work.exists() is file.exists() is not is_swept

    def test_leaves_what_another_process_works_on_until_that_is_killed(self, spool: Spool) -> None:
        with run_python(STUCK, spool.root) as other:
            assert line_of(other) == "stuck"
            (work,) = spool.root.glob("tmp/*")
            set_age(work, 1000)

            make_spool(spool.root)
            assert work.exists()

            other.kill()
            other.wait()
            make_spool(spool.root)
            assert_nothing_spooled(spool)

    def test_leaves_an_old_entry_that_is_being_taken_away(self, spool: Spool) -> None:
        add(spool, Kind.CRASH)
        entry = claim(spool)
        set_age(entry.path, 1000)
        work = spool.root / "tmp" / entry.path.name
        entry.path.rename(work)

        make_spool(spool.root)

        assert work.exists()


def set_age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


class TestFailures:
    """What cannot be delivered says why, and can be set aside and taken back."""

    @pytest.mark.parametrize("kind", Kind)
    def test_are_counted_for_good(self, spool: Spool, kind: Kind) -> None:
        add(spool, kind)
        entry = claim(spool, kind)

        assert [entry.note_failure("status 400") for _ in range(3)] == [1, 2, 3]
        entry.release()
        assert claim(make_spool(spool.root), kind).note_failure("status 400") == 4

    @pytest.mark.parametrize("kind", Kind)
    @pytest.mark.parametrize("error", ["", "status 400: {}", "two\nlines\r\n", "naïve \U0001f600 \x00 \udc80"])
    def test_are_one_line_each_with_time_and_reason(self, spool: Spool, kind: Kind, error: str) -> None:
        add(spool, kind)
        entry = claim(spool, kind)

        entry.note_failure(error)
        entry.note_failure("status 400")

        lines = read_failures(entry.path, kind)
        assert len(lines) == 2
        assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00 '", line) for line in lines)
        assert lines[1].endswith(" 'status 400'")

    @pytest.mark.parametrize("kind", Kind)
    def test_do_not_change_what_is_delivered(self, spool: Spool, kind: Kind) -> None:
        add(spool, kind)
        entry = claim(spool, kind)
        entry.note_failure("status 400")
        entry.release()

        again = claim(spool, kind)
        assert again.crash_id == entry.crash_id
        if kind is Kind.CRASH:
            crash = again.load()
            assert content(crash)[1:] == (b'["upload_file_minidump"]', {MINIDUMP: b"MDMP" * 100})
            crash.close()

    @pytest.mark.parametrize("kind", Kind)
    def test_entry_set_aside_is_kept_as_it_is_and_not_tried(self, spool: Spool, kind: Kind) -> None:
        name = add(spool, kind)
        entry = claim(spool, kind)
        entry.note_failure("status 400")
        files = contents(entry.path)

        spool.set_aside(entry)
        entry.release()

        assert names(spool, kind) == []
        assert contents(spool.root / "set_aside" / f"{kind.value}-{name}") == files
        assert_tidy(make_spool(spool.root))

    @pytest.mark.parametrize("kind", Kind)
    def test_entry_taken_back_is_as_new(self, spool: Spool, kind: Kind) -> None:
        before = contents(spool.root / kind.value / add(spool, kind))
        set_aside(spool, kind)

        (taken,) = spool.entries_set_aside()
        spool.take_back(*taken)

        assert list(spool.entries_set_aside()) == []
        assert contents(claim(spool, kind).path) == before
        assert_tidy(spool)

    @pytest.mark.parametrize("kind", Kind)
    def test_entry_is_not_lost_where_the_disk_fails_while_it_is_taken_back(
        self, spool: Spool, disk: Disk, kind: Kind
    ) -> None:
        for number in range(3):
            name = add(spool, kind)
            set_aside(spool, kind)
            disk.fail_at(len(disk.calls) + number)

            with pytest.raises(OSError, match="Input/output error"):
                spool.take_back(*next(spool.entries_set_aside()))

            disk.work()
            waiting = {waiting_name[23:59] for waiting_name in names(spool, kind)}
            kept = {parsed.crash_id for _, parsed, _ in spool.entries_set_aside()}
            assert name[23:59] in waiting | kept
            shutil.rmtree(spool.root)
            spool.prepare()

    def test_what_somebody_else_put_aside_is_left_there(self, spool: Spool) -> None:
        (spool.root / "set_aside" / "README").touch()
        (spool.root / "set_aside" / "save-notes").mkdir()

        assert list(spool.entries_set_aside()) == []


def set_aside(spool: Spool, kind: Kind) -> None:
    """Set the one entry aside that there is, after a failure."""
    entry = claim(spool, kind)
    entry.note_failure("status 400")
    spool.set_aside(entry)
    entry.release()


def contents(path: Path) -> dict[str, bytes]:
    if path.is_file():
        return {"": path.read_bytes()}
    return {file.name: file.read_bytes() for file in path.iterdir()}


class TestBrokenEntry:
    """An entry that somebody has damaged is known for what it is, and nothing is left open."""

    @pytest.mark.parametrize(
        "damage",
        [
            lambda entry: (entry / "raw_crash").unlink(),
            lambda entry: (entry / "raw_crash").write_bytes(b""),
            lambda entry: (entry / "raw_crash").write_bytes(b'{"metadata": {"dump_chec'),
            lambda entry: (entry / "raw_crash").write_bytes(b"{}"),
            lambda entry: (entry / "raw_crash").write_bytes(b"[]"),
            lambda entry: (entry / "raw_crash").write_bytes(b"\xff"),
            lambda entry: (entry / "dump.memory_report").unlink(),
            lambda entry: (entry / "dump.another").touch(),
            shutil.rmtree,
        ],
        ids=["no raw crash", "empty", "half", "no metadata", "no object", "no JSON", "no dump", "new dump", "gone"],
    )
    def test_is_no_crash(self, spool: Spool, damage: Callable[[Path], None]) -> None:
        with make_report(REPORTS["several dumps"]) as report:
            spool.add_crash(report)
        entry = claim(spool)
        damage(entry.path)

        assert_raises_and_closes(EntryDamaged, entry)

    def test_that_cannot_be_read_now_may_be_whole(self, spool: Spool) -> None:
        with make_report(REPORTS["several dumps"]) as report:
            spool.add_crash(report)
        entry = claim(spool)
        last = entry.path / "dump.upload_file_minidump_browser"
        last.unlink()
        last.symlink_to(last.name)

        assert_raises_and_closes(OSError, entry)


def assert_raises_and_closes(error: type[Exception], entry: Entry) -> None:
    run_blocking(int)  # gevent opens descriptors of its own the first time
    before = descriptors()
    with pytest.raises(error):
        run_blocking(entry.load)
    assert descriptors() == before


class TestPrepare:
    """A spool that cannot be written is found at start, and by the health check."""

    def test_makes_the_directories(self, tmp_path: Path) -> None:
        spool = make_spool(tmp_path / "a" / "b")

        assert sorted(path.name for path in spool.root.iterdir()) == ["publish", "save", "set_aside", "tmp"]

    @pytest.mark.parametrize("at", range(2))
    def test_finds_a_disk_that_fails(self, spool: Spool, disk: Disk, at: int) -> None:
        disk.fail_at(len(disk.calls) + at)

        with pytest.raises(OSError, match="Input/output error"):
            spool.prepare()

    def test_probe_leaves_nothing(self, spool: Spool) -> None:
        spool.probe()

        assert_tidy(spool)

    def test_probes_may_run_at_the_same_time(self, spool: Spool) -> None:
        barrier = threading.Barrier(8)

        def probe() -> None:
            barrier.wait()
            for _ in range(50):
                spool.probe()

        with ThreadPoolExecutor(8) as workers:
            for probing in [workers.submit(probe) for _ in range(8)]:
                probing.result()
