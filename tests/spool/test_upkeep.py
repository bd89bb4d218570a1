# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A spool is proved at start, and what kills have left goes."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from antenna.spool import Kind, Spool
from tests.support.crashes import make_id
from tests.support.disk import Disk
from tests.support.programs import line_of, run_python
from tests.support.spools import (
    add,
    assert_nothing_spooled,
    assert_tidy,
    claim,
    make_spool,
)

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
