# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""One worker starts alone. The other workers follow when it serves."""

import os
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from gunicorn.errors import HaltServer

from antenna.backend import Problem
from antenna.server.first_start import FirstStart

NOBODY = 2**22 + 1  # larger than any process id of Linux


class Arbiter(SimpleNamespace):
    """The methods of gunicorn's arbiter that are needed, with four workers."""

    def __init__(self) -> None:
        super().__init__(num_workers=4, started=[], LISTENERS=["a socket"])
        self.ends: Iterator[Exception | None] = iter([])

    def manage_workers(self) -> None:
        self.started.append(self.num_workers)

    def reap_workers(self) -> None:
        for error in self.ends:
            if error is not None:
                raise error


def test_others_start_when_one_report_serving() -> None:
    first_start, arbiter = FirstStart(), Arbiter()
    first_start.let_one_go_first(arbiter)

    arbiter.manage_workers()
    arbiter.manage_workers()
    first_start.report_serving([], NOBODY)
    arbiter.manage_workers()
    arbiter.num_workers = 6  # an operator wants more
    arbiter.manage_workers()

    assert arbiter.started == [1, 1, 4, 6]


def test_what_one_process_found_out_others_know() -> None:
    first_start = FirstStart()
    problems = [Problem("storage", "status 403", is_denied=True), Problem("publish", "naïve \n", is_denied=False)]

    child = os.fork()
    if child == 0:
        first_start.report_serving(problems, NOBODY)
        os._exit(0)
    os.waitpid(child, 0)

    assert first_start.problems() == problems


def test_nobody_knows_anything_before() -> None:
    assert FirstStart().problems() is None


def test_server_halts_once_however_many_workers_do_not_start() -> None:
    arbiter = Arbiter()
    FirstStart().let_one_go_first(arbiter)
    arbiter.ends = iter([HaltServer("the first", 3), None, HaltServer("the second", 3), HaltServer("the third", 3)])

    with pytest.raises(HaltServer, match="the first"):
        arbiter.reap_workers()
    arbiter.reap_workers()

    assert list(arbiter.ends) == []


def test_worker_that_does_not_start_is_no_halt_of_a_server_that_stops() -> None:
    arbiter = Arbiter()
    FirstStart().let_one_go_first(arbiter)
    arbiter.LISTENERS = []
    arbiter.ends = iter([HaltServer("the only one", 3)])

    arbiter.reap_workers()

    assert list(arbiter.ends) == []
