# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""An operation with a time limit ends in time, at whatever point it hangs."""

import time

import gevent
import gevent.event
import pytest

from antenna.backend import BackendDenied, BackendError, CrashRefused, Deadline, TimeLimit


def test_deadline_runs_down_to_nothing() -> None:
    deadline = Deadline(0.05)

    assert 0 < deadline.left() <= 0.05
    time.sleep(0.06)
    assert deadline.left() == 0.0


def test_all_steps_share_one_deadline() -> None:
    deadline = Deadline(0.2)
    started = time.monotonic()

    for _ in range(10):
        with pytest.raises(BackendError), TimeLimit(deadline.left()):
            gevent.event.Event().wait()

    assert time.monotonic() - started < 1.5


def test_block_that_hangs_is_left_in_time() -> None:
    started = time.monotonic()

    with pytest.raises(BackendError, match=r"no answer within 0\.1 s"), TimeLimit(0.1):
        gevent.event.Event().wait()

    assert 0.09 < time.monotonic() - started < 5


def test_block_that_drips_is_left_in_time() -> None:
    def drip() -> None:
        while True:
            gevent.sleep(0.01)

    with pytest.raises(BackendError, match="no answer"), TimeLimit(0.1):
        drip()


@pytest.mark.parametrize("seconds", [0, -1])
def test_block_is_not_begun_when_the_time_is_over(seconds: float) -> None:
    begun = False

    with pytest.raises(BackendError, match="out of time"), TimeLimit(seconds):
        begun = True

    assert not begun


def test_block_that_ends_in_time_hears_nothing_of_the_limit_later() -> None:
    with TimeLimit(0.05):
        gevent.sleep(0)

    gevent.sleep(0.1)


@pytest.mark.parametrize("error", [ValueError("odd"), CrashRefused("no"), gevent.Timeout(), KeyboardInterrupt()])
def test_other_errors_pass(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised, TimeLimit(1):
        raise error

    assert raised.value is error


def test_limits_nest_and_the_one_that_is_over_first_counts() -> None:
    started = time.monotonic()

    with pytest.raises(BackendError, match=r"0\.1 s"), TimeLimit(10), TimeLimit(0.1):
        gevent.event.Event().wait()
    with pytest.raises(BackendError, match=r"0\.1 s"), TimeLimit(0.1), TimeLimit(10):
        gevent.event.Event().wait()

    assert time.monotonic() - started < 1


def test_backend_that_denies_counts_as_one_that_is_away() -> None:
    assert issubclass(BackendDenied, BackendError)
    assert not issubclass(CrashRefused, BackendError)
