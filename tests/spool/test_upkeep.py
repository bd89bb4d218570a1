# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A start checks that the spool can be written to, and removes what kills have left."""

import errno
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import gevent
import pytest

from antenna.config import build_config
from antenna.hub import run_blocking
from antenna.spool import Kind, Spool
from tests.support.crashes import make_id, make_report
from tests.support.disk import Disk
from tests.support.odd_things import ODD_THINGS, make_odd_thing
from tests.support.programs import line_of, run_python
from tests.support.refusals import refusing
from tests.support.reports import MINIDUMP
from tests.support.spools import (
    add,
    assert_nothing_spooled,
    assert_spooled,
    assert_tidy,
    claim,
    make_spool,
)

# A program that adds a crash and stops for ever half-way, while its files in tmp/ are locked.
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
    """Files that a kill left in tmp/ are removed. Files that a process works on are not."""

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

    @pytest.mark.parametrize("thing", [*ODD_THINGS, "device"])
    def test_takes_odd_things(self, spool: Spool, thing: str) -> None:
        path = spool.root / "tmp" / "odd"
        make_odd_thing(path, thing)
        then = time.time() - 100
        os.utime(path, (then, then), follow_symlinks=False)

        with gevent.Timeout(10):
            run_blocking(spool.clean_up_and_count)

        assert_tidy(spool)

    @pytest.mark.parametrize(("age", "is_swept"), [(90, False), (3000, False), (4000, True)])
    def test_is_careful_without_flock(self, spool: Spool, age: float, is_swept: bool) -> None:
        work = spool.root / "tmp" / f"{make_id()}-1"
        work.mkdir()
        set_age(work, age)

        with refusing(spool.root, {"flock": errno.ENOSYS}):
            spool.clean_up_and_count()

        assert work.exists() is not is_swept


def set_age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


class TestPrepare:
    """A spool that cannot be written is found at start, and by the health check."""

    def test_makes_the_directories(self, tmp_path: Path) -> None:
        spool = make_spool(tmp_path / "a" / "b")

        assert sorted(path.name for path in spool.root.iterdir()) == ["publish", "save", "set_aside", "tmp"]

    def test_does_what_is_done_to_entries(self, spool: Spool, disk: Disk) -> None:
        before = len(disk.calls)
        assert spool.prepare() == []

        calls = disk.calls[before:]
        assert {call.name for call in calls} == {"mkdir", "open", "write", "fsync", "rename"}
        renamed = {call.target.parent.name for call in calls if call.name == "rename" and call.target}
        assert renamed == {"save", "publish", "set_aside", "tmp"}
        assert_tidy(spool)

    @pytest.mark.parametrize("at", range(15))
    def test_finds_a_disk_that_fails(self, spool: Spool, disk: Disk, at: int) -> None:
        disk.fail_at(len(disk.calls) + at)

        with pytest.raises(OSError, match="Input/output error"):
            spool.prepare()

        disk.work()
        for directory in ("save", "publish", "set_aside"):
            for left in (spool.root / directory).iterdir():
                set_age(left, 100)
        spool.prepare()
        assert_tidy(spool)

    def test_finds_a_file_system_on_which_nothing_can_be_locked(
        self, spool: Spool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os.path, "samestat", lambda *_: False)

        with pytest.raises(OSError, match="no directory can be locked"):
            spool.prepare()

    @pytest.mark.parametrize("directory", ["save", "publish", "set_aside"])
    def test_finds_a_directory_on_another_disk(self, spool: Spool, other_file_system: Path, directory: str) -> None:
        (spool.root / directory).rmdir()
        with TemporaryDirectory(dir=other_file_system) as elsewhere:
            (spool.root / directory).symlink_to(elsewhere)

            with pytest.raises(OSError, match="Invalid cross-device link"):
                spool.prepare()

    @pytest.mark.parametrize("directory", ["save", "publish", "set_aside", "tmp"])
    def test_finds_a_file_where_a_directory_should_be(self, spool: Spool, directory: str) -> None:
        (spool.root / directory).rmdir()
        (spool.root / directory).touch()

        with pytest.raises(OSError, match=directory):
            spool.prepare()

    @pytest.mark.parametrize("code", [errno.ENOSYS, errno.EINVAL, errno.EBADF, errno.EPERM, errno.EOPNOTSUPP])
    @pytest.mark.parametrize(
        ("call", "lacking"),
        [
            ("directory-fsync", "no fsync of directories"),
            ("flock", "no flock"),
            ("chmod", None),
            ("link", None),
            ("nameless-file", None),
            ("grow", None),
            ("rename-over", None),
        ],
    )
    def test_says_what_the_file_system_lacks_and_uses_it(
        self, tmp_path: Path, code: int, call: str, lacking: str | None
    ) -> None:
        with refusing(tmp_path, {call: code}):
            spool = Spool(build_config({"SPOOL_DIR": str(tmp_path / "spool")}))
            said = spool.prepare()
            with make_report({MINIDUMP: b"MDMP" * 1000}, directory=tmp_path) as report:
                spool.add_crash(report)
                assert_spooled(spool, report)
            entry = claim(spool)
            spool.saved(entry)
            entry.release()
            assert claim(spool, Kind.ID).crash_id == report.crash_id

        assert [line.partition(":")[0] for line in said] == ([lacking] if lacking else [])

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
