# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A backend that is down is left alone, one that is back is used again, and both are said once."""

import logging
import time

import pytest
from markus.testing import MetricsMock

from antenna.backend import NoAnswer
from antenna.crashmover.breaker import CircuitBreaker

PROBE_AFTER = 0.1


@pytest.fixture
def breaker(monkeypatch: pytest.MonkeyPatch) -> CircuitBreaker:
    monkeypatch.setattr("antenna.crashmover.breaker._PROBE_AFTER", PROBE_AFTER)
    return CircuitBreaker("storage")


# What becomes of attempts: + works, - fails. And is the backend down then?
HISTORIES = {
    "": False,
    "+": False,
    "-": False,
    "----": False,
    "-----": True,
    "------": True,
    "----+----": False,
    "+-----": True,
    "-----+": False,
    "-----+-": False,
    "-----+----": False,
    "-----+-----": True,
    "-+-+-+-+-+-+-+": False,
}


def play(breaker: CircuitBreaker, history: str) -> None:
    for outcome in history:
        if outcome == "+":
            breaker.succeeded()
        else:
            breaker.failed("status 503")


@pytest.mark.parametrize(("history", "is_down"), HISTORIES.items())
def test_backend_is_down_after_five_failures_in_a_row(breaker: CircuitBreaker, history: str, is_down: bool) -> None:
    play(breaker, history)

    assert breaker.is_open is is_down
    assert breaker.may_try() is not is_down


def test_backend_that_is_up_may_always_be_tried(breaker: CircuitBreaker) -> None:
    assert all(breaker.may_try() for _ in range(100))


def test_backend_that_is_down_is_probed_by_one_crash_now_and_then(breaker: CircuitBreaker) -> None:
    breaker.trip("refused")

    tries = []
    end = time.monotonic() + 4.5 * PROBE_AFTER
    while time.monotonic() < end:
        tries.append(breaker.may_try())
        time.sleep(0.001)

    assert sum(tries) in {3, 4}


def test_no_crash_probes_while_the_delivery_does(breaker: CircuitBreaker) -> None:
    breaker.trip("refused")
    end = time.monotonic() + 3 * PROBE_AFTER

    while time.monotonic() < end:
        breaker.failed("still refused")
        assert not breaker.may_try()
        time.sleep(PROBE_AFTER / 4)


def test_a_probe_that_works_ends_it_for_all(breaker: CircuitBreaker) -> None:
    breaker.trip("refused")
    breaker.succeeded()

    assert all(breaker.may_try() for _ in range(100))


def hanging(breaker: CircuitBreaker) -> CircuitBreaker:
    breaker.began(0.01)
    time.sleep(0.02)
    return breaker


def test_backend_that_hangs_is_left_alone(breaker: CircuitBreaker) -> None:
    hanging(breaker)

    assert breaker.hangs
    assert breaker.is_doubtful
    assert not breaker.is_open


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "answered"])
def test_backend_that_gives_an_answer_does_not_hang(breaker: CircuitBreaker, outcome: str) -> None:
    hanging(breaker)

    getattr(breaker, outcome)(*(["status 503"] if outcome == "failed" else []))

    assert not breaker.is_doubtful


def test_backend_that_gives_nobody_an_answer_in_time_is_down(breaker: CircuitBreaker) -> None:
    hanging(breaker).failed(NoAnswer("no answer within 5.0 s"))

    assert breaker.is_open


def test_backend_that_gives_one_of_many_no_answer_is_not_down(breaker: CircuitBreaker) -> None:
    breaker.began(0.01)
    breaker.succeeded()
    time.sleep(0.02)
    breaker.failed(NoAnswer("no answer within 5.0 s"))

    assert not breaker.is_open


def test_backend_that_is_slow_and_answers_somebody_does_not_hang(breaker: CircuitBreaker) -> None:
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        breaker.began(0.1)
        time.sleep(0.005)
        breaker.succeeded()
        breaker.began(0.1)
        assert not breaker.hangs


def test_backend_hangs_when_the_first_answer_is_overdue(breaker: CircuitBreaker) -> None:
    breaker.began(10.0)
    hanging(breaker)
    breaker.began(10.0)

    assert breaker.hangs


def test_one_line_in_the_log_for_a_change_not_for_a_crash(
    breaker: CircuitBreaker, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        play(breaker, "+" * 50 + "-" * 50 + "+" * 50)

    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("ERROR", "storage is down: status 503"),
        ("WARNING", "storage is back"),
    ]


def test_a_hang_is_logged_once_a_minute(breaker: CircuitBreaker, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(10):
        breaker.warn_of_hang()

    assert [record.message for record in caplog.records] == ["storage gives no answer: crashes wait in the spool"]


def test_state_is_a_metric_of_the_backend(breaker: CircuitBreaker, metricsmock: MetricsMock) -> None:
    breaker.report()
    play(breaker, "-----")
    breaker.report()
    play(breaker, "+")

    records = metricsmock.filter_records("gauge", "crashmover.breaker_state", tags=["backend:storage"])
    assert [record.value for record in records] == [0, 1, 1, 0]
