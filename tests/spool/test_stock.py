# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Operators see what is in the spool."""

import time

import pytest

from antenna.spool import Kind, Spool
from tests.support.crashes import OLD_ID, make_id, make_report
from tests.support.spools import (
    claim,
    make_spool,
)


class TestStatistics:
    """Operators see how much waits, and for how long."""

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
