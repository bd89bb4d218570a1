# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Workers share what each of them has found out, and one of them reports it."""

import os
import time

import pytest

from antenna.ops.instance import CONDITIONS, ENDINGS, Instance, Worker


@pytest.fixture
def workers() -> list[Instance]:
    """Three workers of one instance, each as its own process sees it."""
    master = Instance()
    instances = []
    for _ in range(3):
        instance = Instance(workers=1)
        instance.join(master, master.admit())
        instances.append(instance)
    return instances


def test_what_one_notes_all_know(workers: list[Instance]) -> None:
    first, second, third = workers

    assert first.changes("storage_down", holds=True)
    assert not second.changes("storage_down", holds=True), "it is no news any more"
    assert third.since("storage_down") == pytest.approx(time.time(), abs=5)
    assert third.changes("storage_down", holds=False)
    assert not first.changes("storage_down", holds=False)
    assert first.since("storage_down") == 0


def test_conditions_do_not_get_mixed_up(workers: list[Instance]) -> None:
    for condition in CONDITIONS:
        assert workers[0].changes(condition, holds=True), condition
    for condition in CONDITIONS:
        assert workers[1].changes(condition, holds=False), condition


def test_episode_is_over_when_it_is_not_noted_again(workers: list[Instance]) -> None:
    assert not workers[0].is_quiet("losing", 0), "it has not begun"
    workers[0].changes("losing", holds=True)
    assert not workers[1].is_quiet("losing", 0.1)
    time.sleep(0.06)
    workers[0].changes("losing", holds=True)
    time.sleep(0.06)
    assert not workers[1].is_quiet("losing", 0.1)
    time.sleep(0.06)
    assert workers[1].is_quiet("losing", 0.1)


def test_backend_that_is_back_for_one_is_back_for_all(workers: list[Instance]) -> None:
    before = time.monotonic()
    assert workers[1].back_at("storage") == 0
    workers[0].came_back("storage")

    assert workers[1].back_at("storage") >= before
    assert workers[1].back_at("publish") == 0


def test_first_that_is_alive_speaks(workers: list[Instance]) -> None:
    assert [worker.is_speaker for worker in workers] == [True, False, False]

    # The worker hangs: it has given no sign of life for a minute.
    workers[0].row[Worker.BEAT] -= 60
    assert [worker.is_speaker for worker in workers] == [False, True, False]
    workers[0].beat()
    assert [worker.is_speaker for worker in workers] == [True, False, False]


def test_row_of_a_worker_that_has_ended_is_given_to_another() -> None:
    master = Instance(workers=2)
    rows = [master.admit(), master.admit()]
    rows[0][Worker.CONNECTIONS] = 7
    master.dismiss(rows[0], "killed")

    again = master.admit()

    assert again[Worker.CONNECTIONS] == 0
    again[Worker.CONNECTIONS] = 1
    assert rows[0][Worker.CONNECTIONS] == 1
    assert master.admit()[Worker.PID] == 0, "there is a row even where there are more workers than rows"


def test_starts_and_endings_are_told_once(workers: list[Instance]) -> None:
    assert workers[0].untold_starts() == 3
    assert workers[1].untold_starts() == 0
    for ending in ENDINGS:
        workers[0].dismiss(workers[0].row, ending)

    assert workers[1].untold_endings() == dict.fromkeys(ENDINGS, 1)
    assert workers[2].untold_endings() == {}


def test_outcome_of_a_check_is_news_once(workers: list[Instance]) -> None:
    is_news, since = workers[0].check_ended("spool", 0)
    assert not is_news, "at first all is well"
    is_news, failed_since = workers[0].check_ended("spool", 40)
    assert is_news
    assert failed_since >= since
    assert workers[1].check_ended("spool", 40) == (False, failed_since)
    assert workers[1].check_ended("storage", 0)[0] is False


def test_table_is_shared_with_processes_that_are_forked() -> None:
    master = Instance()
    row = master.admit()
    child = os.fork()
    if not child:
        instance = Instance(workers=1)
        instance.join(master, row)
        instance.changes("losing", holds=True)
        os._exit(0)
    os.waitpid(child, 0)

    assert row[Worker.PID] == child
    assert master.since("losing") > 0
