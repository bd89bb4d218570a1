# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Only one worker at a time can claim an entry."""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from antenna.hub import run_blocking
from antenna.spool import EntryDamaged, Kind, Spool
from antenna.spool.entry import EntryName
from tests.support.crashes import make_id
from tests.support.odd_things import ODD_THINGS, make_odd_thing
from tests.support.programs import line_of, run_python, say
from tests.support.refusals import refusing
from tests.support.spools import (
    CLAIMANT,
    add,
    assert_tidy,
    descriptors,
    names,
)

# A program that claims and removes the entries that it can get, and prints which they were.
TAKER = """
import sys
from antenna.spool import Kind
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
    """Only one worker at a time can claim an entry. When that worker ends in any way, the entry is free."""

    def test_is_exclusive(self, spool: Spool, kind: Kind) -> None:
        name = add(spool, kind)
        entry = spool.claim(kind, name)
        assert entry

        assert spool.claim(kind, name) is None
        entry.release()
        assert spool.claim(kind, name) is not None

    def test_is_exclusive_among_processes_and_ends_with_a_kill(self, spool: Spool, kind: Kind) -> None:
        name = add(spool, kind)
        entry = spool.claim(kind, name)
        assert entry is not None
        with run_python(CLAIMANT, spool.root, kind.name, name) as other:
            assert line_of(other) == "False"
            entry.release()
            say(other, "try again")
            assert line_of(other) == "True"

            assert spool.claim(kind, name) is None
            other.kill()
            other.wait()
            assert spool.claim(kind, name) is not None

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

        monkeypatch.setattr("fcntl.flock", deliver_first)

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


def test_each_entry_goes_to_one_of_two_processes(spool: Spool) -> None:
    added = [add(spool, kind) for kind in Kind for _ in range(60)]
    takers = [run_python(TAKER, spool.root) for _ in range(2)]

    taken = []
    for taker in takers:
        say(taker, "go")
    for taker in takers:
        output, _ = taker.communicate(timeout=60)
        assert taker.returncode == 0
        taken += output.split()

    assert sorted(taken) == sorted(added)
    assert_tidy(spool)


def test_name_that_is_no_entrys_is_not_claimed(spool: Spool) -> None:
    (spool.root / "save" / "README").mkdir()

    assert spool.claim(Kind.CRASH, "README") is None
    assert spool.claim(Kind.CRASH, "../tmp") is None


class TestOddThings:
    """If a FIFO, a socket or the like has the name of an entry, that is recognised, and no worker blocks."""

    @pytest.mark.parametrize("kind", Kind)
    @pytest.mark.parametrize("thing", [*ODD_THINGS, "file", "device"])
    def test_are_claimed_and_set_aside(self, spool: Spool, kind: Kind, thing: str) -> None:
        if thing == ("directory" if kind is Kind.CRASH else "file"):
            return
        name = EntryName.make(make_id(), 100 if kind is Kind.CRASH else None)
        make_odd_thing(spool.root / kind.value / name, thing)
        run_blocking(int)  # gevent opens descriptors of its own the first time
        before = descriptors()

        with gevent.Timeout(10):
            entry = run_blocking(spool.claim, kind, name)
            assert entry
            with pytest.raises(EntryDamaged, match=r"is a .*, and should be a (directory|file)"):
                run_blocking(entry.load if kind is Kind.CRASH else entry.check)
            assert run_blocking(entry.note_failure, "damaged") == 1
            run_blocking(spool.set_aside, entry)
            entry.release()

        assert descriptors() == before
        assert names(spool, kind) == []
        assert [aside.name.text for aside in spool.entries_set_aside()] == [name]

    @pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ENXIO, errno.ESTALE])
    def test_that_cannot_be_opened_are_left_and_say_why(
        self, spool: Spool, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        name, other = add(spool, Kind.CRASH), add(spool, Kind.CRASH)
        real = os.open

        def fail(path: Path, *args: int) -> int:
            if Path(path).name == name:
                raise OSError(code, os.strerror(code))
            return real(path, *args)

        monkeypatch.setattr(os, "open", fail)

        entry = spool.claim(Kind.CRASH, name)
        assert entry
        with pytest.raises(OSError, match=os.strerror(code)):
            entry.load()
        assert spool.claim(Kind.CRASH, other)

    def test_want_of_descriptors_is_not_the_entrys_fault(self, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
        name = add(spool, Kind.CRASH)

        def fail(*_: object) -> int:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        monkeypatch.setattr(os, "open", fail)

        with pytest.raises(OSError, match="Too many open files"):
            spool.claim(Kind.CRASH, name)


REFUSED_CODES = [errno.ENOSYS, errno.EINVAL, errno.EBADF, errno.EPERM, errno.EOPNOTSUPP, errno.ENOLCK]


@pytest.mark.parametrize("code", REFUSED_CODES, ids=errno.errorcode.get)
@pytest.mark.parametrize("kind", Kind)
class TestWithoutFlock:
    """On a file system without flock, an entry can be claimed once in each process."""

    @pytest.fixture(autouse=True)
    def _refuse(self, tmp_path: Path, code: int) -> Iterator[None]:
        with refusing(tmp_path, {"flock": code}):
            yield

    def test_entry_is_claimed_once(self, spool: Spool, kind: Kind) -> None:
        name = add(spool, kind)
        entry = spool.claim(kind, name)
        assert entry

        assert spool.claim(kind, name) is None
        entry.release()
        assert spool.claim(kind, name) is not None

    def test_claimed_id_is_not_claimed_again(self, spool: Spool, kind: Kind) -> None:
        entry = spool.add_claimed_id(make_id())

        assert spool.claim(Kind.ID, entry.path.name) is None
        entry.release()
        assert spool.claim(Kind.ID, entry.path.name) is not None

    def test_entry_leaves_nothing_behind(self, spool: Spool, kind: Kind) -> None:
        before = descriptors()
        name = add(spool, kind)
        entry = spool.claim(kind, name)
        assert entry
        spool.remove(entry)
        entry.release()

        assert spool.claim(kind, name) is None
        assert descriptors() == before
        assert_tidy(spool)


@pytest.mark.parametrize("kind", Kind)
def test_nfs_locks_files_that_are_open_for_writing_only(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    real = fcntl.flock

    def flock(descriptor: int, operation: int) -> None:
        is_directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        if not is_directory and fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)

    entry = spool.claim(kind, add(spool, kind))
    assert entry
    assert entry.lock
    assert entry.lock.is_shared
