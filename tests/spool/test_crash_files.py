# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A crash of the spool has all its files. If somebody damages them, that is found out."""

import errno
import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

import gevent
import google_crc32c
import pytest

from antenna.crash.report import Dump
from antenna.hub import run_blocking
from antenna.spool import Entry, EntryDamaged, Spool
from tests.support.crashes import make_buffer, make_report
from tests.support.disk import Disk
from tests.support.odd_things import ODD_THINGS, make_odd_thing
from tests.support.reports import MINIDUMP
from tests.support.spools import (
    REPORTS,
    assert_spooled,
    claim,
    content,
    descriptors,
)


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


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def blow_up(path: Path) -> None:
    os.truncate(path, 10**13)  # a hole, which takes nothing on the disk


def replace(path: Path, kind: str) -> None:
    path.unlink()
    make_odd_thing(path, kind)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "cut": cut,
    "a bit flipped": flip_a_bit,
    "emptied": empty,
    "too long": grow,
    "as large as no disk": blow_up,
    "not there": Path.unlink,
    **{kind: partial(replace, kind=kind) for kind in (*ODD_THINGS, "device")},
}


class TestDamage:
    """An entry that was damaged on the disk is recognised as damaged, and no descriptor stays open."""

    @pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
    @pytest.mark.parametrize("file", [f"dump.{MINIDUMP}", "dump.memory_report"])
    def test_of_a_dump(self, spool: Spool, file: str, damage: Callable[[Path], None]) -> None:
        with make_report(REPORTS["several dumps"]) as report:
            spool.add_crash(report)
        entry = claim(spool)
        damage(entry.path / file)

        assert_raises_and_closes(EntryDamaged, entry, match=file.removeprefix("dump."))

    @pytest.mark.parametrize("damage", [DAMAGES[name] for name in DAMAGES if name not in {"a bit flipped", "too long"}])
    def test_of_the_raw_crash(self, spool: Spool, damage: Callable[[Path], None]) -> None:
        with make_report() as report:
            spool.add_crash(report)
        entry = claim(spool)
        damage(entry.path / "raw_crash")

        assert_raises_and_closes(EntryDamaged, entry, match="raw_crash")

    @pytest.mark.parametrize(
        "damage",
        [
            lambda entry: (entry / "dump.another").touch(),
            lambda entry: (entry / "dump.another").mkdir(),
            lambda entry: (entry / os.fsdecode(b"dump.\xff")).touch(),
            shutil.rmtree,
        ],
        ids=["new dump", "new directory", "name that is not UTF-8", "gone"],
    )
    def test_of_the_directory(self, spool: Spool, damage: Callable[[Path], None]) -> None:
        with make_report(REPORTS["several dumps"]) as report:
            spool.add_crash(report)
        entry = claim(spool)
        damage(entry.path)

        assert_raises_and_closes(EntryDamaged, entry)

    def test_is_none_if_the_disk_fails(self, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
        with make_report(REPORTS["several dumps"]) as report:
            spool.add_crash(report)
        entry = claim(spool)

        def fail(*_: object) -> NoReturn:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr("antenna.crash.buffer.read_pieces", fail)

        assert_raises_and_closes(OSError, entry, match="Input/output error")


class TestChecksum:
    """The bytes of a dump are those that were spooled.

    Their checksum may be of any hash that the collector has ever used.
    """

    @pytest.mark.parametrize("algorithm", sorted(hashlib.algorithms_guaranteed - {"shake_128", "shake_256"}))
    def test_may_be_of_any_algorithm(self, spool: Spool, algorithm: str) -> None:
        with make_report() as report:
            report.dumps = {
                name: Dump(name, make_buffer(content), algorithm)
                for name, content in (("minidump", b"MDMP" * 1000), ("empty", b""))
            }
            report.payload_size = 4000
            spool.add_crash(report)

            assert_spooled(spool, report)
            flip_a_bit(next(spool.root.glob("save/*/dump.minidump")))

        assert_raises_and_closes(EntryDamaged, claim(spool), match="minidump: its 4000 bytes do not have the checksum")

    @pytest.mark.parametrize("checksum", ["", "d41d8cd98f00b204", "x" * 32, "\u0661" * 32, "0" * 1_000_000])
    def test_that_is_none(self, spool: Spool, checksum: str) -> None:
        with make_report() as report:
            spool.add_crash(report)
        path = next(spool.root.glob("save/*/raw_crash"))
        raw_crash = json.loads(path.read_text())
        raw_crash["metadata"]["dump_checksums"][MINIDUMP] = checksum
        path.write_text(json.dumps(raw_crash))

        assert_raises_and_closes(EntryDamaged, claim(spool), match="checksum")

    def test_is_not_computed_twice(self, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
        with make_report({MINIDUMP: random.randbytes(1_000_000)}) as report:
            spool.add_crash(report)
        crash = claim(spool).load()
        monkeypatch.setattr(hashlib, "new", pytest.fail)
        monkeypatch.setattr(google_crc32c, "Checksum", pytest.fail)

        dump = crash.dumps[MINIDUMP]
        assert sum(map(len, dump.pieces())) == 1_000_000
        assert dump.checksum == report.dumps[MINIDUMP].checksum
        assert dump.crc32c == report.dumps[MINIDUMP].crc32c
        crash.close()

    def test_others_go_on_meanwhile(self, spool: Spool) -> None:
        with make_report({MINIDUMP: random.randbytes(30_000_000)}) as report:
            spool.add_crash(report)
        entry = claim(spool)
        loading = gevent.spawn(run_blocking, entry.load)
        turns = 0
        while not loading.ready():
            gevent.sleep(0.001)
            turns += 1

        assert turns > 5
        loading.get().close()


def assert_raises_and_closes(error: type[Exception], entry: Entry, match: str | None = None) -> None:
    run_blocking(int)  # gevent opens descriptors of its own the first time
    before = descriptors()
    with gevent.Timeout(10), pytest.raises(error, match=match):
        run_blocking(entry.load)
    assert descriptors() == before
