# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A backend that is down is not tried for a while. Each change of its state is logged once."""

import logging
import time

import pytest
from markus.testing import MetricsMock

from antenna.backend import BackendError, CrashRefused, NoAnswer
from antenna.crashmover.breaker import CircuitBreaker, State
from antenna.ops.instance import Instance

PROBE_AFTER = 0.1


@pytest.fixture
def breaker(monkeypatch: pytest.MonkeyPatch) -> CircuitBreaker:
    monkeypatch.setattr("antenna.crashmover.breaker._TRY_AFTER", PROBE_AFTER)
    return CircuitBreaker("storage")


AWAY = NoAnswer("no answer within 5.0 s")

# Results of attempts (+ for success, - for failure), and whether the backend is down after them.
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


def admits(breaker: CircuitBreaker) -> bool:
    """Whether a crash that could go to the spool tries the backend."""
    return breaker.admits(spool_takes=True)


def silence(breaker: CircuitBreaker) -> None:
    """Make the answer to an attempt overdue. Call this inside ``breaker.attempt(0.01)``."""
    time.sleep(0.02)
    assert breaker.state is State.SILENT


@pytest.mark.parametrize(("history", "is_down"), HISTORIES.items())
def test_backend_is_down_after_five_failures_in_a_row(breaker: CircuitBreaker, history: str, is_down: bool) -> None:
    play(breaker, history)

    assert breaker.state is (State.DOWN if is_down else State.UP)
    assert admits(breaker) is not is_down


def test_backend_that_is_up_may_always_be_tried(breaker: CircuitBreaker) -> None:
    assert all(admits(breaker) for _ in range(100))


def test_backend_that_is_down_is_probed_by_one_crash_now_and_then(breaker: CircuitBreaker) -> None:
    breaker.trip("refused")

    tries = []
    end = time.monotonic() + 4.5 * PROBE_AFTER
    while time.monotonic() < end:
        tries.append(admits(breaker))
        time.sleep(0.001)

    assert sum(tries) in {3, 4}


def test_no_crash_probes_while_another_does(breaker: CircuitBreaker) -> None:
    breaker.trip("refused")

    with breaker.attempt(1.0):
        time.sleep(2 * PROBE_AFTER)
        assert not admits(breaker)
        assert not breaker.admits(spool_takes=False)


def test_no_crash_probes_while_the_delivery_does(breaker: CircuitBreaker) -> None:
    breaker.trip("refused")
    end = time.monotonic() + 3 * PROBE_AFTER

    while time.monotonic() < end:
        breaker.failed("still refused")
        assert not admits(breaker)
        time.sleep(PROBE_AFTER / 4)


def test_a_probe_that_works_ends_it_for_all(breaker: CircuitBreaker) -> None:
    breaker.trip("refused")
    breaker.succeeded()

    assert all(admits(breaker) for _ in range(100))


@pytest.mark.parametrize("is_down", [True, False], ids=["down", "silent"])
def test_crash_tries_in_every_state_when_the_spool_takes_nothing(breaker: CircuitBreaker, is_down: bool) -> None:
    with breaker.attempt(0.01):
        silence(breaker)
        if is_down:
            breaker.trip("refused")

        assert not admits(breaker)
        assert breaker.admits(spool_takes=False)


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (None, State.UP),
        (ConnectionError(), State.UP),
        (CrashRefused("status 400"), State.UP),
        (KeyboardInterrupt(), State.UP),
        (AWAY, State.DOWN),
    ],
    ids=repr,
)
def test_silence_ends_with_any_answer_and_is_proved_by_a_time_out(
    breaker: CircuitBreaker, error: BaseException | None, state: State
) -> None:
    def attempt() -> None:
        with breaker.attempt(0.01):
            silence(breaker)
            if error is not None:
                raise error

    if error is None:
        attempt()
    else:
        with pytest.raises(type(error)):
            attempt()

    assert breaker.state is state


def test_backend_that_gives_one_of_many_no_answer_is_not_down(breaker: CircuitBreaker) -> None:
    def wait_in_vain() -> None:
        with breaker.attempt(0.01):
            breaker.succeeded()
            time.sleep(0.02)
            raise AWAY

    with pytest.raises(NoAnswer):
        wait_in_vain()

    assert breaker.state is State.UP


def test_backend_that_is_slow_and_answers_somebody_is_not_silent(breaker: CircuitBreaker) -> None:
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        with breaker.attempt(0.1):
            time.sleep(0.005)
            breaker.succeeded()
        with breaker.attempt(0.1):
            assert breaker.state is State.UP


def test_backend_is_silent_when_the_first_answer_is_overdue(breaker: CircuitBreaker) -> None:
    with breaker.attempt(10.0), breaker.attempt(0.01), breaker.attempt(10.0):
        silence(breaker)


def test_one_line_in_the_log_for_a_change_not_for_a_crash(
    breaker: CircuitBreaker, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        play(breaker, "+" * 50 + "-" * 50 + "+" * 50)

    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("ERROR", "storage is down: status 503"),
        ("WARNING", "storage is back"),
    ]


def test_silence_is_logged_once_a_minute(breaker: CircuitBreaker, caplog: pytest.LogCaptureFixture) -> None:
    with breaker.attempt(0.01):
        silence(breaker)
        assert not any(admits(breaker) for _ in range(10))

    assert [record.message for record in caplog.records] == ["storage gives no answer: crashes wait in the spool"]


def test_change_of_state_is_told_once_for_all_workers(caplog: pytest.LogCaptureFixture) -> None:
    instance = Instance(workers=1)
    breakers = [CircuitBreaker("storage", instance) for _ in range(3)]
    for breaker in breakers:
        play(breaker, "-----")
    assert {breaker.state for breaker in breakers} == {State.DOWN}

    play(breakers[0], "+")

    assert {breaker.state for breaker in breakers} == {State.UP}, "one has found out for all"
    assert [message.partition(":")[0] for message in caplog.messages] == ["storage is down", "storage is back"]
    play(breakers[1], "-")
    assert breakers[1].state is State.DOWN, "once is enough where it has just been down"


def test_failures_are_counted_by_their_class(breaker: CircuitBreaker, metricsmock: MetricsMock) -> None:
    for error in (NoAnswer("no answer"), BackendError("status 403: no"), ConnectionRefusedError(111, "refused")):
        breaker.failed(error)

    records = metricsmock.filter_records("incr", "crashmover.backend_errors")
    assert [record.tags for record in records] == [
        ["backend:storage", f"class:{name}"] for name in ("timeout", "denied", "refused")
    ]
