# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The sums of all workers are in one table. They do not fall when a worker ends, and the table does not grow."""

import os
from pathlib import Path

import pytest

from antenna.ops.instance import Instance, Row, Worker
from antenna.ops.series import CELLS
from antenna.ops.shared_table import shared_table


def worker_of(master: Instance) -> tuple[Instance, Row]:
    """A new worker of the instance, with the table as its own process sees it, and its row."""
    worker, row = Instance(workers=1), master.admit()
    worker.join(master, row)
    return worker, row


def count(instance: Instance, name: str, *values: str) -> None:
    series = instance.series.find(name, values, 1)
    assert series is not None
    instance.series.cells[series.start] += 1


def total(instance: Instance, name: str, *values: str) -> float:
    series = instance.series.find(name, values, 1)
    assert series is not None
    return instance.sums()[series.start]


def test_any_worker_knows_what_all_have_counted() -> None:
    master = shared_table({})
    workers = [worker_of(master)[0] for _ in range(3)]
    for number, worker in enumerate(workers):
        count(worker, "requests", "accepted")
        count(worker, f"of_{number}")

    for worker in workers:
        assert total(worker, "requests", "accepted") == 3
        assert [total(worker, f"of_{number}") for number in range(3)] == [1, 1, 1]


def test_what_was_counted_before_a_worker_joined_counts() -> None:
    master = shared_table({})
    worker = Instance(workers=1)
    count(worker, "rules_loaded", "good")
    count(worker, "requests", "lost")
    first, _ = worker_of(master)
    count(first, "requests", "lost")

    worker.join(master, master.admit())

    assert total(first, "requests", "lost") == 2
    assert total(first, "rules_loaded", "good") == 1


def test_sums_outlive_their_workers_and_take_no_more_room() -> None:
    master = shared_table({})
    for _ in range(100):
        worker, row = worker_of(master)
        count(worker, "requests", "accepted")
        other, other_row = worker_of(master)
        count(other, "requests", "accepted")
        master.dismiss(row, "killed")
        master.dismiss(other_row, "stopped")

    last, _ = worker_of(master)
    assert total(last, "requests", "accepted") == 200
    assert [series.name for series in last.series.known()] == ["requests"]
    assert sum(any(place[:10]) for place in master.series.places) == 2, "two places for two workers at a time"


def test_master_that_replaces_another_goes_on_with_its_sums() -> None:
    environ: dict[str, str] = {}
    first, first_row = worker_of(shared_table(environ))
    count(first, "requests", "accepted")
    second, second_row = worker_of(shared_table(environ))
    count(second, "requests", "accepted")

    assert total(first, "requests", "accepted") == total(second, "requests", "accepted") == 2
    assert len(list(first.workers())) == 2
    assert first_row is not second_row
    assert [first.is_speaker, second.is_speaker] == [True, False]


def test_row_of_a_worker_whose_master_was_killed_is_given_to_another() -> None:
    master = shared_table({})
    row = master.admit()
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    row[Worker.PID] = child
    assert master.rows.index(master.admit()) != master.rows.index(row), "its master may be about to take note"
    row[Worker.BEAT] -= 600

    assert master.rows.index(master.admit()) == master.rows.index(row)


def test_workers_that_add_series_at_once_do_not_harm_each_other() -> None:
    master = shared_table({})
    children = []
    for number in range(4):
        row = master.admit()
        if not (child := os.fork()):
            worker = Instance(workers=1)
            worker.join(master, row)
            for turn in range(50):
                count(worker, "rule", f"own-{number}-{turn}")
                count(worker, "rule", f"common-{turn}")
            os._exit(0)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4

    reader, _ = worker_of(master)
    assert len(reader.series.known()) == 4 * 50 + 50
    assert {total(reader, "rule", f"common-{turn}") for turn in range(50)} == {4}
    assert {total(reader, "rule", f"own-{number}-{turn}") for number in range(4) for turn in range(50)} == {1}


def test_where_there_is_no_file_workers_share_the_series_that_the_master_knows() -> None:
    """Without a file there is no lock, so none of them adds a series."""
    master = Instance()
    count(master, "requests", "accepted")
    row = master.admit()
    if not (child := os.fork()):
        worker = Instance(workers=1)
        worker.join(master, row)
        count(worker, "requests", "accepted")
        os._exit(0 if worker.series.find("rule", ("new",), 1) is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    assert total(master, "requests", "accepted") == 2


@pytest.mark.parametrize("width", [1, 18])
def test_table_that_is_full_takes_no_more_and_goes_on(width: int) -> None:
    table = Instance(workers=1).series
    found = [table.find("rule", (f"name-{number}",), width) for number in range(CELLS // width + 5)]

    assert [series is None for series in found] == [False] * (CELLS // width) + [True] * 5
    assert table.find("rule", ("name-0",), width) == found[0]


def test_directory_that_is_full_takes_no_more() -> None:
    table = Instance(workers=1).series
    found = [table.find("rule", (f"{number}" + "x" * 95,), 1) for number in range(CELLS)]

    assert found[0] is not None
    assert found[-1] is None


@pytest.mark.parametrize("value", ["", "a\tb", "a\nb", "é\u2028", "\udc80", "x" * 5000])
def test_any_value_of_a_tag_leaves_the_table_whole(value: str) -> None:
    table = Instance(workers=1).series
    table.find("rule", (value,), 1)

    assert table.find("other", ("value",), 1) is not None
    assert [series.name for series in table.known()][-1] == "other"


def test_gauge_that_nobody_sets_any_more_is_no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Instance(workers=1).series
    series = table.find("spool_size", (), 2)
    assert series is not None
    assert table.gauge(series) is None
    table.set_gauge(series, 0.0)
    assert table.gauge(series) == 0.0
    monkeypatch.setattr("antenna.ops.series.STALE", 0.0)
    assert table.gauge(series) is None


def test_table_takes_memory_for_what_is_written_only() -> None:
    before = _resident()
    master = shared_table({})
    for _ in range(8):
        count(worker_of(master)[0], "requests", "accepted")

    assert _resident() - before < 4 * 1024 * 1024


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
