# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A crash is tried until it works, as often and for as long as the caller says."""

import time
from collections.abc import Callable
from itertools import pairwise

import gevent
import gevent.event
import pytest
from markus.testing import MetricsMock

from antenna.backend import BackendDenied, BackendError, CrashRefused, Deadline, TimeLimit
from antenna.crash.buffer import TemporaryFilesFailed
from antenna.crashmover.attempts import AttemptOutcome, Attempts
from antenna.crashmover.breaker import State

CRASH_ID = "de1bb258-cbbf-4589-a673-34f800160918"


class Backend:
    """Works, or fails as often as it is told."""

    def __init__(self, failures: int = 0, error: Exception | None = None) -> None:
        self.calls = 0
        self._failures = failures
        self._error = error or BackendError("status 503")

    def __call__(self, deadline: Deadline) -> None:
        self.calls += 1
        if self.calls <= self._failures:
            raise self._error


def hang(deadline: Deadline) -> None:
    with TimeLimit(deadline.left()):
        gevent.sleep(100)


def make_attempts(
    *,
    timeout: float = 5.0,
    max_attempts: int = 20,
    longest_pause: float = 0.01,
    has_spool: bool = True,
    spool_takes: bool = True,
) -> Attempts:
    return Attempts(
        "save",
        timeout=timeout,
        max_attempts=max_attempts,
        longest_pause=longest_pause,
        spool_takes=(lambda: spool_takes) if has_spool else None,
    )


@pytest.mark.parametrize(
    ("failures", "max_attempts", "calls", "outcome"),
    [
        (0, 20, 1, AttemptOutcome.DONE),
        (0, 1, 1, AttemptOutcome.DONE),
        (1, 20, 2, AttemptOutcome.DONE),
        (3, 4, 4, AttemptOutcome.DONE),
        (4, 4, 4, AttemptOutcome.FAILED),
        (1, 1, 1, AttemptOutcome.FAILED),
    ],
)
def test_tries_until_it_works_or_the_attempts_are_used_up(
    metricsmock: MetricsMock, failures: int, max_attempts: int, calls: int, outcome: AttemptOutcome
) -> None:
    backend = Backend(failures)

    assert make_attempts(max_attempts=max_attempts).run(CRASH_ID, backend) is outcome

    assert backend.calls == calls
    retries = metricsmock.filter_records("incr", "crashmover.retry_count")
    assert [record.tags for record in retries] == [["operation:save", f"count:{count}"] for count in range(1, calls)]
    assert len(metricsmock.filter_records("incr", "crashmover.crash_save_failed")) == (
        outcome is not AttemptOutcome.DONE
    )


def test_without_a_spool_a_backend_that_is_down_is_tried_as_long_as_the_time_allows() -> None:
    attempts = make_attempts(has_spool=False)
    attempts.breaker.trip("refused")
    backend = Backend(failures=10)

    assert attempts.run(CRASH_ID, backend) is AttemptOutcome.DONE

    assert backend.calls == 11


def test_with_a_spool_a_backend_that_is_down_is_left_alone(metricsmock: MetricsMock) -> None:
    attempts = make_attempts()
    attempts.breaker.trip("refused")
    backend = Backend()
    started = time.monotonic()

    assert attempts.run(CRASH_ID, backend) is AttemptOutcome.NOT_TRIED

    assert backend.calls == 0
    assert time.monotonic() - started < 1
    metricsmock.assert_not_incr("crashmover.crash_save_failed")
    metricsmock.assert_not_timing("breakpad_resource.crash_save.time")


def test_with_a_spool_a_crash_gives_up_when_others_find_the_backend_down() -> None:
    attempts = make_attempts(longest_pause=100)
    backend = Backend(failures=100)
    started = time.monotonic()

    crashes = [gevent.spawn(attempts.run, CRASH_ID, backend) for _ in range(5)]
    gevent.joinall(crashes)

    assert {crash.get() for crash in crashes} == {AttemptOutcome.FAILED}
    assert time.monotonic() - started < 3
    assert backend.calls <= 10


def test_with_a_spool_a_backend_that_hangs_is_sent_no_more_until_it_answers() -> None:
    attempts = make_attempts()
    answer = gevent.event.Event()

    def wait_for_answer(_: Deadline) -> None:
        answer.wait()

    first = gevent.spawn(attempts.run, CRASH_ID, wait_for_answer, 0.05)
    gevent.sleep(0.1)
    backend = Backend()

    assert {attempts.run(CRASH_ID, backend) for _ in range(10)} == {AttemptOutcome.NOT_TRIED}
    assert backend.calls == 0

    answer.set()
    assert first.get() is AttemptOutcome.DONE
    assert attempts.run(CRASH_ID, backend) is AttemptOutcome.DONE


def test_with_a_spool_that_takes_nothing_a_backend_that_is_slow_gets_its_chance() -> None:
    attempts = make_attempts(spool_takes=False)

    crashes = [gevent.spawn(attempts.run, CRASH_ID, lambda _: gevent.sleep(0.2), 0.05) for _ in range(2)]
    gevent.sleep(0.1)

    assert attempts.run(CRASH_ID, Backend()) is AttemptOutcome.DONE
    assert {crash.get() for crash in crashes} == {AttemptOutcome.DONE}


def test_a_greenlet_that_is_killed_leaves_no_doubt() -> None:
    attempts = make_attempts()
    attempt = gevent.spawn(attempts.run, CRASH_ID, lambda _: gevent.sleep(10), 0.01)
    gevent.sleep(0.05)
    attempt.kill()

    assert attempts.run(CRASH_ID, Backend()) is AttemptOutcome.DONE


@pytest.mark.parametrize(("overdue", "others_go_on"), [(0.1, True), (1.0, False)])
def test_answers_that_may_have_arrived_are_waited_for_at_first_only(overdue: float, others_go_on: bool) -> None:
    attempts = make_attempts()
    others: list[bool] = []

    with attempts.breaker.attempt(-overdue):
        gevent.spawn(others.append, True)

        assert attempts.run(CRASH_ID, Backend()) is AttemptOutcome.NOT_TRIED
        assert bool(others) == others_go_on


@pytest.mark.parametrize("has_spool", [True, False])
def test_hanging_backend_costs_the_time_in_all_not_for_each_attempt(has_spool: bool) -> None:
    started = time.monotonic()

    assert make_attempts(timeout=0.3, has_spool=has_spool).run(CRASH_ID, hang) is AttemptOutcome.FAILED

    assert 0.2 < time.monotonic() - started < 3


def test_no_pause_goes_beyond_the_time() -> None:
    started = time.monotonic()

    attempts = make_attempts(timeout=0.3, longest_pause=10, has_spool=False)
    assert attempts.run(CRASH_ID, Backend(failures=100)) is AttemptOutcome.FAILED

    assert time.monotonic() - started < 0.6


def test_pauses_grow_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("antenna.crashmover.attempts.gevent.sleep", pauses.append)
    attempts = make_attempts(timeout=100, longest_pause=0.3)
    failures = iter([True] * 4 + [False])

    def fail_four_times(_: Deadline) -> None:
        if next(failures):
            raise BackendError("status 503")

    assert attempts.run(CRASH_ID, fail_four_times) is AttemptOutcome.DONE

    longest = [0.1, 0.2, 0.3, 0.3]
    assert len(pauses) == len(longest)
    assert all(most / 2 <= pause <= most for pause, most in zip(pauses, longest, strict=True))
    assert len({pause / most for pause, most in zip(pauses, longest, strict=True)}) == len(longest)


@pytest.mark.parametrize(
    ("max_attempts", "longest_pause", "timeout", "outage", "works"),
    [
        (5, 0.1, 10, 0.35, True),
        (5, 0.1, 10, 1.0, False),
        (3, 0.15, 10, 0.25, True),
        (20, 0.1, 1.0, 0.4, True),
        (2, 0.3, 10, 0.2, True),
        (1, 0.3, 10, 0.1, False),
    ],
)
def test_without_a_spool_few_attempts_outlast_an_outage(
    max_attempts: int, longest_pause: float, timeout: float, outage: float, works: bool
) -> None:
    attempts = make_attempts(has_spool=False, max_attempts=max_attempts, longest_pause=longest_pause, timeout=timeout)
    end = time.monotonic() + outage
    calls = []

    def be_away(_: Deadline) -> None:
        calls.append(time.monotonic())
        if calls[-1] < end:
            raise BackendError("refused")

    assert attempts.run(CRASH_ID, be_away) is (AttemptOutcome.DONE if works else AttemptOutcome.FAILED)
    assert len(calls) <= max_attempts
    assert all(after - before < longest_pause + 0.1 for before, after in pairwise(calls))


def test_without_a_spool_the_first_pauses_are_short_if_there_are_attempts_to_spare() -> None:
    attempts = make_attempts(has_spool=False, max_attempts=20, longest_pause=2, timeout=30)
    started = time.monotonic()

    assert attempts.run(CRASH_ID, Backend(failures=2)) is AttemptOutcome.DONE

    assert time.monotonic() - started < 2


def test_refused_crash_is_not_tried_again(metricsmock: MetricsMock) -> None:
    backend = Backend(failures=100, error=CrashRefused("status 400"))
    attempts = make_attempts()

    for _ in range(10):
        assert attempts.run(CRASH_ID, backend) is AttemptOutcome.FAILED

    assert backend.calls == 10
    assert attempts.breaker.state is State.UP, "the backend is there, it is the crash that it refuses"
    assert len(metricsmock.filter_records("incr", "crashmover.crash_save_failed")) == 10


@pytest.mark.parametrize("has_spool", [True, False])
def test_temporary_file_that_cannot_be_read_is_no_failure_of_the_backend(*, has_spool: bool) -> None:
    backend = Backend(100, TemporaryFilesFailed("temporary files in /tmp: Input/output error"))
    attempts = make_attempts(has_spool=has_spool)

    for _ in range(20):
        with pytest.raises(TemporaryFilesFailed):
            attempts.run(CRASH_ID, backend)
    assert backend.calls == 20
    assert attempts.breaker.state is State.UP


def test_denial_counts_against_the_backend() -> None:
    attempts = make_attempts()

    assert attempts.run(CRASH_ID, Backend(failures=100, error=BackendDenied("status 403"))) is AttemptOutcome.FAILED

    assert attempts.breaker.state is State.DOWN


def test_error_that_is_no_backends_passes_without_a_spool() -> None:
    attempts = make_attempts(has_spool=False)

    with pytest.raises(ZeroDivisionError):
        attempts.run(CRASH_ID, Backend(failures=1, error=ZeroDivisionError()))


def test_error_that_is_no_backends_counts_as_a_failure_with_a_spool(caplog: pytest.LogCaptureFixture) -> None:
    attempts = make_attempts()

    assert attempts.run(CRASH_ID, Backend(failures=1, error=ZeroDivisionError())) is AttemptOutcome.FAILED

    (record,) = caplog.records
    assert record.exc_info


@pytest.mark.parametrize(
    ("backend", "levels"),
    [
        (Backend(), []),
        (Backend(failures=2), ["WARNING", "WARNING"]),
        (Backend(failures=3), ["WARNING", "WARNING", "ERROR"]),
        (Backend(failures=1, error=CrashRefused("status 400")), ["ERROR"]),
    ],
)
def test_log_says_which_crash_failed_and_why(
    caplog: pytest.LogCaptureFixture, backend: Callable[[Deadline], None], levels: list[str]
) -> None:
    make_attempts(max_attempts=3).run(CRASH_ID, backend)

    assert [record.levelname for record in caplog.records] == levels
    assert all(f"{CRASH_ID}: save" in message for message in caplog.messages)
    assert "status" not in caplog.text, "the message of a backend that is not ours may quote anything"
