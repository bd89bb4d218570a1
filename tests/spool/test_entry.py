# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""An entry that cannot be delivered records why, and can be set aside and restored."""

import re
import shutil
from pathlib import Path

import pytest

from antenna.spool import Kind, Spool
from antenna.spool.entry import read_failures
from tests.support.disk import Disk
from tests.support.reports import MINIDUMP
from tests.support.spools import (
    add,
    assert_tidy,
    claim,
    content,
    make_spool,
    names,
)


class TestFailures:
    """An entry that cannot be delivered records why, and can be set aside and restored."""

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
    def test_entry_restored_is_as_new(self, spool: Spool, kind: Kind) -> None:
        before = contents(spool.root / kind.value / add(spool, kind))
        set_aside(spool, kind)

        (taken,) = spool.entries_set_aside()
        spool.restore(taken)

        assert list(spool.entries_set_aside()) == []
        assert contents(claim(spool, kind).path) == before
        assert_tidy(spool)

    @pytest.mark.parametrize("kind", Kind)
    def test_entry_is_not_lost_where_the_disk_fails_while_it_is_restored(
        self, spool: Spool, disk: Disk, kind: Kind
    ) -> None:
        for number in range(3):
            name = add(spool, kind)
            set_aside(spool, kind)
            disk.fail_at(len(disk.calls) + number)

            with pytest.raises(OSError, match="Input/output error"):
                spool.restore(next(spool.entries_set_aside()))

            disk.work()
            waiting = {waiting_name[23:59] for waiting_name in names(spool, kind)}
            kept = {kept.name.crash_id for kept in spool.entries_set_aside()}
            assert name[23:59] in waiting | kept
            shutil.rmtree(spool.root)
            spool.prepare()

    def test_what_somebody_else_put_aside_is_left_there(self, spool: Spool) -> None:
        (spool.root / "set_aside" / "README").touch()
        (spool.root / "set_aside" / "save-notes").mkdir()

        assert list(spool.entries_set_aside()) == []


def set_aside(spool: Spool, kind: Kind) -> None:
    """Set the only entry aside, after a failure."""
    entry = claim(spool, kind)
    entry.note_failure("status 400")
    spool.set_aside(entry)
    entry.release()


def contents(path: Path) -> dict[str, bytes]:
    if path.is_file():
        return {"": path.read_bytes()}
    return {file.name: file.read_bytes() for file in path.iterdir()}
