# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The entries of the spool are complete and durable, and stay until they are delivered."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
import pytest

from antenna.crash.report import CrashReport
from antenna.spool import Kind, Spool
from tests.support.crashes import make_id, make_report
from tests.support.disk import Disk
from tests.support.programs import output_of
from tests.support.reports import MINIDUMP
from tests.support.spools import (
    REPORTS,
    assert_nothing_spooled,
    assert_spooled,
    assert_tidy,
    claim,
    content,
    make_spool,
    names,
)


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
    """The id of a saved crash waits until it is published."""

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
        spool = make_spool(tmp_path / "spool", spool_max_size="1")

        spool.add_id(make_id())

        assert len(names(spool, Kind.ID)) == 1


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

    @pytest.mark.parametrize(
        ("code", "goes_on", "in_file"),
        [
            pytest.param(errno.EIO, True, False, id="EIO once, in memory"),
            pytest.param(errno.EIO, True, True, id="EIO once, in temporary files"),
            pytest.param(errno.ENOSPC, False, False, id="ENOSPC for good, in memory"),
            pytest.param(errno.ENOSPC, False, True, id="ENOSPC for good, in temporary files"),
            pytest.param(errno.EROFS, False, False, id="EROFS for good, in memory"),
        ],
    )
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
                    # The last fsync failed, and so did renaming the entry back. So the entry is complete and will be
                    # delivered.
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


# A program that repeats operations, each on a new spool for each call to the disk that it makes. It is killed at that
# call.
KILLED = """
import os, signal, sys
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from antenna.spool import Kind
from tests.support.crashes import make_report
from tests.support.disk import Disk
from tests.support.spools import REPORTS, make_spool

root = Path(sys.argv[1])
report = make_report(REPORTS["several dumps"])
print(report.crash_id)
for what in sys.argv[2:]:
    (root / what).mkdir()
    for number in count():
        spool = make_spool(root / what / str(number))
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


@dataclass
class Kills:
    """The spools of processes that were killed at one call after the other, below the name of what they did."""

    crash_id: str
    root: Path

    def spools_after(self, what: str) -> list[Path]:
        """The directories of the spools; the last one is that of a process that was not killed."""
        return sorted((self.root / what).iterdir(), key=lambda path: int(path.name))


@pytest.fixture(scope="module")
def kills(tmp_path_factory: pytest.TempPathFactory) -> Kills:
    root = tmp_path_factory.mktemp("kills")
    return Kills(output_of(KILLED, root, "add", "remove", "saved", "set_aside").strip(), root)


class TestKill:
    """A kill at any moment leaves only complete entries, and loses none of them."""

    def test_while_a_crash_is_added(self, kills: Kills) -> None:
        *killed, finished = kills.spools_after("add")
        assert len(killed) > 10
        for directory in killed[:-1]:
            assert names(make_spool(directory)) == []
        # After a kill at the fsync of the directory the entry is there, though the client got no answer.
        for directory in (killed[-1], finished):
            assert_complete(make_spool(directory), kills.crash_id)

    @pytest.mark.parametrize(("what", "calls"), [("remove", 1), ("saved", 6), ("set_aside", 3)])
    def test_while_an_entry_leaves(self, kills: Kills, what: str, calls: int) -> None:
        *killed, finished = kills.spools_after(what)
        assert len(killed) == calls
        for directory in killed:
            spool = make_spool(directory)
            if names(spool):
                assert_complete(spool, kills.crash_id)
            else:
                assert what == "set_aside"
                assert len(list(directory.glob("set_aside/save-*"))) == 1
        assert names(make_spool(finished)) == []


def assert_complete(spool: Spool, crash_id: str) -> None:
    crash = claim(spool).load()
    assert json.loads(crash.encoded_raw_crash())["uuid"] == crash_id
    assert content(crash)[2] == REPORTS["several dumps"]
    crash.close()


# A program that fills a small file system in a mount namespace of its own.
SMALL_DISK = """
import json, os, subprocess, sys
from pathlib import Path
from types import SimpleNamespace
from tests.support.crashes import make_report
from tests.support.spools import assert_tidy, make_spool, names
from antenna.spool import Kind
from tests.support.reports import MINIDUMP

disk = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
spool = make_spool(disk / "spool")
notes = "x" * 300_000  # more than is asked for in advance: that are the dumps

def fill():
    for count in range(100):
        with make_report({MINIDUMP: b"MDMP"}) as report:
            report.annotations["Notes"] = notes
            report.payload_size = len(notes)
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


class TestOrder:
    """The oldest entries come first."""

    def test_oldest_first(self, spool: Spool) -> None:
        reports = [make_report() for _ in range(20)]
        for report in reports:
            spool.add_crash(report)

        assert [name[23:59] for name in spool.oldest(Kind.CRASH, 7)] == [report.crash_id for report in reports[:7]]
        assert len(spool.oldest(Kind.CRASH, 100)) == 20

    @pytest.mark.parametrize("name", ["README", "00000000T000000.000000-{}", "20160918T1", os.fsdecode(b"\xff")])
    def test_what_is_no_entry_does_not_stand_in_front(self, spool: Spool, name: str) -> None:
        for number in range(20):
            (spool.root / "save" / f"{name}{number}").touch()
        with make_report() as report:
            spool.add_crash(report)

        assert [entry[23:59] for entry in spool.oldest(Kind.CRASH, 5)] == [report.crash_id]

    def test_ids_and_crashes_are_kept_apart(self, spool: Spool) -> None:
        spool.add_id(make_id())

        assert names(spool, Kind.CRASH) == []
        assert len(names(spool, Kind.ID)) == 1
