# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The spool has a limit, and leaves room on its disk. The last room is for ordinary reports."""

import errno
import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest

from antenna.crash.report import CrashReport
from antenna.spool import Kind, OutOfProportion, Spool, SpoolFull
from antenna.spool.crash_files import expected_size
from tests.support.captures import load_capture, load_captures
from tests.support.crashes import make_report
from tests.support.disk import Disk
from tests.support.reports import MINIDUMP
from tests.support.spools import REPORTS, assert_nothing_spooled, assert_tidy, make_spool, names

BLOCK = 4096
MIB = 1024 * 1024

# Bytes that a crash with a dump of 100,000 bytes takes: the blocks of the dump, the raw crash and the directory.
TAKES = 25 * BLOCK + BLOCK + BLOCK


def make_large_report(**changes: int) -> CrashReport:
    """Return a report with a dump of 100,000 bytes."""
    report = make_report({MINIDUMP: random.randbytes(100_000)})
    for name, value in changes.items():
        setattr(report, name, value)
    return report


def size_on_disk(spool: Spool) -> int:
    paths = [path for kind in Kind for path in (spool.root / kind.value).rglob("*")]
    return sum(path.stat().st_blocks * 512 for path in paths)


class TestSize:
    """The spool counts the bytes that its files take on the disk."""

    def test_is_that_of_all_files_and_directories(self, spool: Spool) -> None:
        for dumps in REPORTS.values():
            with make_report(dumps) as report:
                spool.add_crash(report)

        assert spool.clean_up_and_count().size == size_on_disk(spool) > 3_000_000

    @pytest.mark.parametrize("on_another_file_system", [False, True], ids=["linked", "copied"])
    def test_holes_take_none(self, tmp_path: Path, other_file_system: Path, on_another_file_system: bool) -> None:
        spool = make_spool(tmp_path / "spool", spool_max_size="1MiB")
        directory = other_file_system if on_another_file_system else tmp_path
        zeros = bytes(10 * MIB)
        for _ in range(3):
            with make_report({MINIDUMP: zeros}, directory=directory) as report:
                report.payload_size = 50_000
                spool.add_crash(report)

        assert spool.clean_up_and_count().size == size_on_disk(spool) < MIB
        assert {path.stat().st_size for path in spool.root.glob("save/*/dump.*")} == {10 * MIB}

    def test_of_a_large_entry_is_measured_whatever_its_name_says(self, spool: Spool) -> None:
        with make_large_report() as report:
            spool.add_crash(report)
        (name,) = names(spool)
        entry = spool.root / "save" / name
        entry.rename(entry.with_suffix(f".{10**17}"))  # it had many holes, and an older collector counted them

        assert spool.clean_up_and_count().size == TAKES
        with make_large_report() as report:
            spool.add_crash(report)


class TestLimit:
    """A full spool refuses crashes, and keeps those that it has."""

    def test_full_spool_turns_crashes_away_until_one_is_delivered(self, tmp_path: Path) -> None:
        spool = make_spool(tmp_path / "spool", spool_max_size="250000")
        reports = [make_large_report() for _ in range(3)]
        spool.add_crash(reports[0])
        spool.add_crash(reports[1])

        with pytest.raises(SpoolFull, match=f"the spool holds {2 * TAKES} bytes") as raised:
            spool.add_crash(reports[2])
        assert raised.value.size == TAKES
        assert len(names(spool)) == 2
        assert_tidy(spool)

        entry = spool.claim(Kind.CRASH, names(spool)[0])
        assert entry
        spool.remove(entry)
        spool.clean_up_and_count()
        spool.add_crash(reports[2])

    def test_crashes_that_come_at_the_same_time_do_not_all_fit_into_the_same_room(self, tmp_path: Path) -> None:
        spool = make_spool(tmp_path / "spool", spool_max_size="1000000")
        reports = [make_large_report() for _ in range(30)]

        def add(report: CrashReport) -> bool:
            try:
                spool.add_crash(report)
            except SpoolFull:
                return False
            return True

        with ThreadPoolExecutor(30) as workers:
            added = sum(workers.map(add, reports))

        # Nine crashes have room, and threads may count one another's crash twice or not at all.
        assert 4 <= added <= 14
        assert len(names(spool)) == added

    def test_what_could_not_be_written_takes_no_room(self, tmp_path: Path, disk: Disk) -> None:
        spool = make_spool(tmp_path / "spool", spool_max_size="250000")
        with make_large_report() as report:
            for number in range(10):
                disk.fail_at(len(disk.calls) + number)
                with pytest.raises(OSError, match="Input/output error"):
                    spool.add_crash(report)
            disk.work()

            spool.add_crash(report)

    def test_limit_counts_what_other_workers_add(self, tmp_path: Path) -> None:
        spools = [make_spool(tmp_path / "spool", spool_max_size="250000") for _ in range(3)]
        spools[0].add_crash(make_large_report())
        spools[1].add_crash(make_large_report())

        with pytest.raises(SpoolFull):
            spools[2].add_crash(make_large_report())

    def test_health_check_finds_a_full_spool(self, tmp_path: Path) -> None:
        spool = make_spool(tmp_path / "spool", spool_max_size="1")
        spool.check_room(0)
        with pytest.raises(SpoolFull):
            spool.check_room(2)


@contextmanager
def disk_of(monkeypatch: pytest.MonkeyPatch, *, total: int, free: int) -> Iterator[None]:
    """Make the disk have these numbers of bytes."""
    with monkeypatch.context() as patch:
        patch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_blocks=total, f_bavail=free, f_frsize=1))
        yield


class TestDisk:
    """The spool leaves 100 MiB of its disk free, or 5 % of a small one."""

    @pytest.mark.parametrize(
        ("total", "left"), [(10**12, 100 * MIB), (100 * MIB, 5 * MIB), (20, 1)], ids=["large", "small", "tiny"]
    )
    def test_room_is_left_to_the_byte(
        self, spool: Spool, monkeypatch: pytest.MonkeyPatch, total: int, left: int
    ) -> None:
        with disk_of(monkeypatch, total=total, free=left + 1000):
            spool.check_room(1000)
            with pytest.raises(SpoolFull, match=f"only {left + 1000} bytes are free on the disk"):
                spool.check_room(1001)

    def test_crash_is_turned_away(self, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
        with (
            disk_of(monkeypatch, total=10**12, free=100 * MIB),
            make_report() as report,
            pytest.raises(SpoolFull, match="are free on the disk"),
        ):
            spool.add_crash(report)
        assert_nothing_spooled(spool)

    @pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP])
    def test_file_system_that_has_no_size_is_used(
        self, spool: Spool, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        def refuse(_: object) -> NoReturn:
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "statvfs", refuse)
        with make_report() as report:
            spool.add_crash(report)

        assert len(names(spool)) == 1
        assert spool.room_left() > 10**9

    def test_room_that_is_left_is_that_of_the_disk(self, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
        with disk_of(monkeypatch, total=10**12, free=100 * MIB + 5000):
            assert spool.room_left() == 5000

    def test_file_system_that_does_not_know_its_size_is_used(
        self, spool: Spool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with disk_of(monkeypatch, total=0, free=0), make_report() as report:
            spool.add_crash(report)

        assert len(names(spool)) == 1


class TestProportion:
    """While room is short, a report that takes far more room than its client has sent is refused first."""

    @pytest.fixture
    def half_full(self, tmp_path: Path) -> Spool:
        """Return a spool with room for five crashes, three of which are there."""
        spool = make_spool(tmp_path / "spool", spool_max_size=str(5 * TAKES))
        for _ in range(3):
            spool.add_crash(make_large_report())
        return spool

    def test_is_no_matter_while_there_is_room(self, tmp_path: Path) -> None:
        spool = make_spool(tmp_path / "spool", spool_max_size=str(5 * TAKES))

        for _ in range(2):
            spool.add_crash(make_large_report(payload_size=100))

        assert len(names(spool)) == 2

    def test_is_one_that_counts_when_room_is_short(self, half_full: Spool) -> None:
        with pytest.raises(OutOfProportion):
            half_full.add_crash(make_large_report(payload_size=100))

        half_full.add_crash(make_large_report())
        half_full.add_crash(make_large_report(payload_size=10_000))
        assert len(names(half_full)) == 5
        assert_tidy(half_full)

    def test_counts_when_it_is_the_disk_that_is_short(self, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
        with disk_of(monkeypatch, total=10**12, free=100 * MIB + TAKES + TAKES // 2):
            with pytest.raises(OutOfProportion):
                spool.add_crash(make_large_report(payload_size=100))
            spool.add_crash(make_large_report())

    def test_counts_what_json_comes_to(self, half_full: Spool) -> None:
        report = make_report({}, deferred=True)
        report.annotations["Notes"] = "\x00" * 15_000  # six characters each, in JSON
        report.annotations_size, report.payload_size = 15_100, 300

        with pytest.raises(OutOfProportion):
            half_full.add_crash(report)

        assert len(names(half_full)) == 3
        assert_tidy(half_full)

    def test_small_reports_are_in_proportion(self, half_full: Spool) -> None:
        with make_report({MINIDUMP: b"MDMP"}) as report:
            report.payload_size = 200
            half_full.add_crash(report)

        assert len(names(half_full)) == 4

    @pytest.mark.parametrize("name", [capture.name for capture in load_captures() if capture.payload_size])
    def test_what_reporters_send_is_in_proportion(
        self, spool: Spool, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        capture = load_capture(name)
        dumps = {dump.name: random.randbytes(dump.size) for dump in capture.dumps.values()}
        with make_report(dumps) as report:
            report.payload_size = capture.payload_size
            report.annotations_size = capture.decompressed_size - sum(map(len, dumps.values()))
            with disk_of(monkeypatch, total=10**12, free=100 * MIB + expected_size(report) + BLOCK):
                spool.add_crash(report)

    def test_ten_megabytes_on_the_wire_do_not_fill_ten_gigabytes(
        self, spool: Spool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wire, size = 200_000, 191 * MIB
        accepted = 0
        with disk_of(monkeypatch, total=10**12, free=10**12):
            for number in range(50):
                try:
                    spool._room.reserve(str(number), size, wire)  # noqa: SLF001 - 10 GiB are too many to write
                except OutOfProportion:
                    continue
                accepted += 1

            assert accepted * size <= 5 * 1024 * MIB
            spool.check_room(5 * 1024 * MIB)
