# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Operators see what the spool contains."""

import os
import time
from collections.abc import Callable

import gevent
import pytest

from antenna.hub import run_blocking
from antenna.spool import Kind, Spool
from antenna.spool.entry import EntryName
from antenna.spool.stock import SetAside
from tests.support.crashes import OLD_ID, make_id, make_report
from tests.support.odd_things import ODD_THINGS, make_odd_thing
from tests.support.spools import (
    add,
    assert_tidy,
    claim,
    make_spool,
)


class TestStatistics:
    """Operators see how much waits in the spool, and for how long."""

    def test_of_an_empty_spool(self, spool: Spool) -> None:
        statistics = spool.clean_up_and_count()

        assert (statistics.entries, statistics.size, statistics.oldest) == (0, 0, None)

    def test_count_crashes_and_ids_of_all_workers(self, spool: Spool) -> None:
        before = time.time()
        with make_report() as report:
            make_spool(spool.root).add_crash(report)
        between = time.time()
        spool.add_id(make_id())

        statistics = spool.clean_up_and_count()

        assert statistics.entries == 2
        assert statistics.oldest is not None
        assert before <= statistics.oldest <= between

    def test_do_not_count_what_is_set_aside(self, spool: Spool) -> None:
        spool.add_id(make_id())
        spool.set_aside(claim(spool, Kind.ID))

        assert spool.clean_up_and_count().entries == 0

    @pytest.mark.parametrize("name", ["README", ".nfs0001", f"00000000T000000.000000-{OLD_ID}.1", "20261122T1-x"])
    def test_bear_with_what_somebody_else_put_there(self, spool: Spool, name: str) -> None:
        (spool.root / "save" / name).mkdir()
        with make_report() as report:
            spool.add_crash(report)

        assert spool.clean_up_and_count().entries >= 1
        assert spool.oldest(Kind.CRASH, 1000)

    @pytest.mark.parametrize("directory", ["save", "publish", "set_aside"])
    @pytest.mark.parametrize(
        ("thing", "name"),
        [(thing, b"README") for thing in ODD_THINGS]
        + [
            ("file", name)
            for name in (b"README", b"lost+found", b"\xff\xfe", b"\x1b[2J", b"20261122T1-x", b"save-notes")
        ],
    )
    def test_count_and_name_what_does_not_belong_there(
        self, spool: Spool, directory: str, thing: str, name: bytes
    ) -> None:
        path = spool.root / directory / os.fsdecode(name)
        make_odd_thing(path, thing)

        statistics = spool.clean_up_and_count()

        assert (statistics.entries, statistics.set_aside, statistics.foreign) == (0, 0, 1)
        assert list(spool.foreign_things()) == [path]

    @pytest.mark.parametrize("directory", ["save", "publish", "set_aside"])
    def test_do_not_look_at_names_that_begin_with_a_dot(self, spool: Spool, directory: str) -> None:
        (spool.root / directory / ".nfs000000000001").touch()

        assert spool.clean_up_and_count().foreign == 0


@pytest.mark.parametrize("kind", Kind)
class TestSetAside:
    """An entry that was set aside counts until somebody has restored, removed or acknowledged it."""

    @pytest.mark.parametrize("action", [Spool.restore, Spool.delete, Spool.acknowledge])
    @pytest.mark.parametrize("acknowledged_before", [False, True])
    def test_counts_until_then(
        self, spool: Spool, kind: Kind, action: Callable[[Spool, SetAside], None], acknowledged_before: bool
    ) -> None:
        (aside,) = put_aside(spool, kind)
        assert spool.clean_up_and_count().set_aside == spool.count_set_aside() == 1
        if acknowledged_before:
            spool.acknowledge(aside)

        action(spool, aside)

        assert spool.clean_up_and_count().set_aside == spool.count_set_aside() == 0
        assert spool.clean_up_and_count().foreign == 0
        assert_tidy(spool)

    def test_counts_again_when_it_is_set_aside_again(self, spool: Spool, kind: Kind) -> None:
        (aside,) = put_aside(spool, kind)
        spool.acknowledge(aside)
        assert next(spool.entries_set_aside()).is_acknowledged

        spool.restore(aside)
        entry = claim(spool, kind)
        spool.set_aside(entry)
        entry.release()

        assert spool.count_set_aside() == 1

    def test_is_kept_while_it_is_acknowledged(self, spool: Spool, kind: Kind) -> None:
        (aside,) = put_aside(spool, kind)
        spool.acknowledge(aside)
        spool.acknowledge(aside)

        assert [entry.path for entry in spool.entries_set_aside()] == [aside.path]

    def test_is_gone_when_it_is_removed(self, spool: Spool, kind: Kind) -> None:
        (aside,) = put_aside(spool, kind)

        spool.delete(aside)

        assert list((spool.root / "set_aside").iterdir()) == []
        with pytest.raises(FileNotFoundError):
            spool.delete(aside)

    def test_may_be_anything(self, spool: Spool, kind: Kind) -> None:
        name = EntryName.make(make_id())
        for number, thing in enumerate(ODD_THINGS):
            make_odd_thing(spool.root / "set_aside" / f"{kind.value}-{name}.{number}", thing)
        asides = list(spool.entries_set_aside())
        assert len(asides) == len(ODD_THINGS)

        with gevent.Timeout(10):
            for aside in asides:
                run_blocking(spool.acknowledge, aside)
                run_blocking(spool.restore, aside)

        assert list((spool.root / "set_aside").iterdir()) == []
        assert spool.clean_up_and_count().entries == len(ODD_THINGS)


def put_aside(spool: Spool, kind: Kind) -> list[SetAside]:
    """Set an entry aside. Return all entries that were set aside."""
    add(spool, kind)
    entry = claim(spool, kind)
    entry.note_failure("status 400")
    spool.set_aside(entry)
    entry.release()
    return list(spool.entries_set_aside())
