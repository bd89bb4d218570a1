# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The entries of the spool are delivered soon, once, and the oldest first.

An entry that fails does not stop the others.
"""

import errno
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import gevent.event
import pytest
from markus.testing import MetricsMock

from antenna.backend import BackendDenied, BackendError, CrashRefused, Deadline
from antenna.config import build_config
from antenna.crashmover.attempts import Attempts
from antenna.crashmover.breaker import State
from antenna.crashmover.delivery import Delivery
from antenna.crashmover.delivery_loop import DeliveryLoop
from antenna.crashmover.verdicts import Pace
from antenna.ext.crashpublish_base import CrashPublishBase
from antenna.ext.crashstorage_base import NoOpCrashStorage
from antenna.spool import Entry, EntryDamaged, Kind, Spool
from antenna.spool.entry import read_failures
from tests.support.crashes import make_id, make_report
from tests.support.disk import Disk
from tests.support.spools import assert_tidy, make_spool, names

# The length of most pauses in these tests, in seconds.
PAUSE = 0.01
PACE = Pace(rate=10_000.0, first_round=PAUSE, longest_round=4 * PAUSE, first_retry=PAUSE, idle=0.1)
ALL_SHORT = replace(PACE, longest_retry=PAUSE)

# Seconds that publishing may take at first.
TIMEOUT = 10.0

Behaviour = Callable[[], object]


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return make_spool(tmp_path / "spool")


def raising(error: Exception) -> Behaviour:
    def behave() -> None:
        raise error

    return behave


DOWN = raising(BackendError("status 503"))
REFUSES = raising(CrashRefused("status 400"))


class Backend(CrashPublishBase):
    """Takes ids, or fails as a test says."""

    def __init__(self) -> None:
        self.attempts = Attempts(
            "publish", timeout=TIMEOUT, max_attempts=1, longest_pause=PAUSE, spool_takes=lambda: True
        )
        self.breaker = self.attempts.breaker
        self.behaviour: Behaviour | None = None
        """The function that is called for each attempt. It fails by raising."""
        self.behaviours: dict[str, Behaviour] = {}
        """Functions that are called instead for the crashes with these ids."""
        self.taken: list[str] = []
        self.calls: Counter[str] = Counter()
        self.time_factors: dict[str, list[int]] = {}
        self.in_hand = self.most_in_hand = 0
        self.health_checks = 0

    def publish_crash(self, crash_id: str, deadline: Deadline) -> None:
        self.calls[crash_id] += 1
        self.time_factors.setdefault(crash_id, []).append(round(deadline.left() / TIMEOUT))
        self.in_hand += 1
        self.most_in_hand = max(self.most_in_hand, self.in_hand)
        try:
            behave = self.behaviour or self.behaviours.get(crash_id)
            if behave:
                behave()
        finally:
            self.in_hand -= 1
        self.taken.append(crash_id)

    def check_health(self) -> None:
        self.health_checks += 1
        if self.behaviour is not None:
            self.behaviour()


@pytest.fixture
def backend() -> Backend:
    return Backend()


def make_loop(
    spool: Spool,
    backend: Backend,
    kind: Kind = Kind.ID,
    pace: Pace = PACE,
) -> DeliveryLoop:
    """Return a loop; crashes are saved in a storage that works."""
    saving = Attempts("save", timeout=TIMEOUT, max_attempts=1, longest_pause=PAUSE, spool_takes=lambda: True)
    storage = NoOpCrashStorage(build_config({}))
    delivery = Delivery(spool, storage, backend, saving=saving, publishing=backend.attempts)
    breaker = backend.breaker if kind is Kind.ID else saving.breaker
    return DeliveryLoop(spool, kind, delivery, breaker, backend.check_health, pace=pace)


def add(spool: Spool, count: int = 1) -> list[str]:
    """Add ids; return them."""
    crash_ids = [make_id() for _ in range(count)]
    for crash_id in crash_ids:
        spool.add_id(crash_id)
    return crash_ids


def deliver_for(loop: DeliveryLoop, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
    """Deliver round after round, for some seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        loop.deliver_round()
        gevent.sleep(PAUSE / 2)


def set_aside(spool: Spool) -> list[str]:
    """Return the ids that were set aside."""
    return [path.name[-36:] for path in (spool.root / "set_aside").iterdir()]


def assert_delivered(spool: Spool, backend: Backend, crash_ids: list[str]) -> None:
    """Check that these were taken once each, and that nothing of them is left in the spool."""
    assert Counter(backend.taken) == Counter(crash_ids)
    waiting = {name[23:59] for name in names(spool, Kind.ID)}
    assert not waiting & set(crash_ids)
    assert_tidy(spool)


def assert_kept(spool: Spool, crash_ids: list[str]) -> None:
    """Check that these wait in the spool, without a failure of their own."""
    assert [name[23:59] for name in names(spool, Kind.ID)] == crash_ids
    assert [read_failures(path, Kind.ID) for path in (spool.root / "publish").iterdir()] == [[]] * len(crash_ids)
    assert set_aside(spool) == []


class TestBackendThatWorks:
    """All entries are delivered."""

    def test_gets_all_once(self, spool: Spool, backend: Backend, metricsmock: MetricsMock) -> None:
        crash_ids = add(spool, 50)

        assert make_loop(spool, backend).deliver_round() == 50

        assert_delivered(spool, backend, crash_ids)
        assert len(metricsmock.filter_records("incr", "crashmover.delivered")) == 50

    def test_gets_the_oldest_first(self, spool: Spool, backend: Backend) -> None:
        crash_ids = add(spool, 30)

        make_loop(spool, backend).deliver_round()

        assert list(backend.calls) == crash_ids

    def test_gets_nothing_of_an_empty_spool(self, spool: Spool, backend: Backend) -> None:
        assert make_loop(spool, backend).deliver_round() == 0

    def test_gets_many_at_a_time_but_not_too_many(self, spool: Spool, backend: Backend) -> None:
        add(spool, 40)
        many = gevent.event.Event()

        def wait_for_many() -> None:
            if backend.in_hand >= 10:
                many.set()
            many.wait(10)
            gevent.sleep(0.02)

        backend.behaviour = wait_for_many

        make_loop(spool, backend, pace=replace(PACE, idle=10.0)).deliver_round()

        assert 10 <= backend.most_in_hand <= 16

    @pytest.mark.parametrize("rate", [100.0, 200.0])
    def test_gets_no_more_in_a_second_than_was_said(self, spool: Spool, backend: Backend, rate: float) -> None:
        add(spool, 20)
        started = time.monotonic()

        make_loop(spool, backend, pace=replace(PACE, rate=rate)).deliver_round()

        assert time.monotonic() - started >= 19 / rate

    def test_gets_from_two_workers_twice_as_many(self, spool: Spool, backend: Backend) -> None:
        crash_ids = add(spool, 60)
        started = time.monotonic()

        gevent.joinall(
            [gevent.spawn(make_loop(spool, backend, pace=replace(PACE, rate=40.0)).deliver_round) for _ in range(2)]
        )

        assert time.monotonic() - started < 1.3
        assert_delivered(spool, backend, crash_ids)

    def test_does_not_get_what_another_worker_has_in_hand(self, spool: Spool, backend: Backend) -> None:
        crash_ids = add(spool, 3)
        others = spool.claim(Kind.ID, names(spool, Kind.ID)[1])
        assert others
        loop = make_loop(spool, backend)

        loop.deliver_round()
        assert backend.taken == [crash_ids[0], crash_ids[2]]

        others.release()
        loop.deliver_round()
        assert_delivered(spool, backend, crash_ids)

    def test_leaves_an_id_if_only_that_is_still_to_do(
        self, spool: Spool, backend: Backend, metricsmock: MetricsMock
    ) -> None:
        with make_report() as report:
            spool.add_crash(report)
        backend.behaviour = DOWN

        make_loop(spool, backend, Kind.CRASH).deliver_round()

        assert names(spool, Kind.CRASH) == []
        assert_kept(spool, [report.crash_id])
        metricsmock.assert_incr_once("crashmover.delivered", tags=["kind:crash"])
        metricsmock.assert_incr_once("crashmover.spooled", tags=["kind:id"])

        backend.behaviour = None
        make_loop(spool, backend, Kind.ID).deliver_round()
        metricsmock.assert_incr_once("crashmover.delivered", tags=["kind:id"])

    def test_is_not_troubled_again_when_it_is_the_spool_that_fails(
        self, spool: Spool, backend: Backend, disk: Disk
    ) -> None:
        crash_ids = add(spool, 1)
        loop = make_loop(spool, backend)

        disk.fail_from(len(disk.calls), errno.EROFS)
        deliver_for(loop, 20 * PAUSE)
        assert backend.taken == crash_ids
        assert len(names(spool, Kind.ID)) == 1

        disk.work()
        deliver_for(loop, 2, until=lambda: not names(spool, Kind.ID))
        assert_delivered(spool, backend, crash_ids)
        assert set_aside(spool) == []


class TestBackendThatIsDown:
    """It is tried now and then, and no entry is to blame."""

    @pytest.mark.parametrize(
        "behaviour",
        [DOWN, raising(BackendDenied("status 403")), REFUSES, raising(ZeroDivisionError())],
        ids=["away", "denied", "refuses all", "drives us mad"],
    )
    def test_keeps_all_and_blames_none_however_long_it_takes(
        self, spool: Spool, backend: Backend, behaviour: Behaviour
    ) -> None:
        crash_ids = add(spool, 10)
        loop = make_loop(spool, backend)
        backend.behaviour = behaviour

        deliver_for(loop, 10, until=lambda: sum(backend.calls.values()) > 15)

        assert sum(backend.calls.values()) > 15
        assert_kept(spool, crash_ids)

        backend.behaviour = None
        deliver_for(loop, 2, until=lambda: len(backend.taken) == 10)
        assert_delivered(spool, backend, crash_ids)

    def test_that_is_back_gets_all_at_once(self, spool: Spool, backend: Backend) -> None:
        crash_ids = add(spool, 30)
        loop = make_loop(spool, backend)
        backend.behaviour = DOWN
        deliver_for(loop, 10, until=lambda: sum(backend.calls.values()) > 15)
        backend.behaviour = None
        gevent.sleep(4 * PAUSE)

        loop.deliver_round()

        assert_delivered(spool, backend, crash_ids)

    def test_is_tried_although_older_entries_only_wait_for_the_spool(
        self, spool: Spool, backend: Backend, disk: Disk
    ) -> None:
        crash_ids = add(spool, 20)
        loop = make_loop(spool, backend, pace=replace(PACE, longest_retry=4 * PAUSE))
        disk.fail_from(len(disk.calls), errno.EROFS)
        deliver_for(loop, 2, until=lambda: len(backend.taken) == 20)
        disk.work()
        crash_ids += add(spool, 10)
        backend.breaker.trip("refused")
        gevent.sleep(4 * PAUSE)

        loop.deliver_round()

        assert backend.breaker.state is not State.DOWN
        assert_delivered(spool, backend, crash_ids)

    def test_is_tried_although_older_entries_are_damaged(self, spool: Spool, backend: Backend) -> None:
        damaged = add(spool, 20)
        backend.behaviours = dict.fromkeys(damaged, raising(EntryDamaged("no raw crash")))
        crash_ids = add(spool, 10)
        backend.breaker.trip("refused")

        make_loop(spool, backend).deliver_round()

        assert backend.breaker.state is not State.DOWN
        assert sorted(set_aside(spool)) == sorted(damaged)
        assert_delivered(spool, backend, crash_ids)

    def test_is_tried_by_one_entry_at_a_time(self, spool: Spool, backend: Backend) -> None:
        add(spool, 20)
        loop = make_loop(spool, backend)
        backend.breaker.trip("refused")
        backend.behaviour = DOWN

        loop.deliver_round()

        assert backend.most_in_hand == 1
        assert sum(backend.calls.values()) == 1

    def test_is_left_alone_when_it_goes_down_in_between(self, spool: Spool, backend: Backend) -> None:
        add(spool, 100)

        def go_down() -> None:
            if len(backend.taken) >= 10:
                DOWN()

        backend.behaviour = go_down

        make_loop(spool, backend).deliver_round()

        assert backend.breaker.state is State.DOWN
        assert sum(backend.calls.values()) < 40

    def test_is_tried_by_different_entries(self, spool: Spool, backend: Backend) -> None:
        crash_ids = add(spool, 5)
        backend.behaviour = DOWN

        deliver_for(make_loop(spool, backend), 10, until=lambda: len(backend.calls) == 5)

        assert backend.calls.keys() == set(crash_ids)

    def test_is_given_no_more_time_than_usual(self, spool: Spool, backend: Backend) -> None:
        (crash_id,) = add(spool)
        backend.breaker.trip("refused")
        backend.behaviour = DOWN

        deliver_for(make_loop(spool, backend), 10, until=lambda: backend.calls[crash_id] > 3)

        assert len(backend.time_factors[crash_id]) > 3
        assert set(backend.time_factors[crash_id]) == {1}

    def test_and_hangs_holds_up_nothing_when_others_find_it_back(self, spool: Spool, backend: Backend) -> None:
        hanging, waiting = add(spool, 2)
        backend.behaviours[hanging] = lambda: gevent.sleep(10)
        backend.breaker.trip("no answer")
        gevent.spawn_later(0.1, backend.breaker.succeeded)
        started = time.monotonic()

        make_loop(spool, backend).deliver_round()

        assert backend.taken == [waiting]
        assert time.monotonic() - started < 2

    def test_in_part_sets_nothing_aside(self, spool: Spool, backend: Backend) -> None:
        crash_ids = add(spool, 20)
        attempts = iter(range(10_000))

        def fail_mostly() -> None:
            if next(attempts) % 5:
                DOWN()

        backend.behaviour = fail_mostly

        deliver_for(make_loop(spool, backend, pace=ALL_SHORT), 20, until=lambda: len(backend.taken) == 20)

        assert_delivered(spool, backend, crash_ids)
        assert set_aside(spool) == []


class TestEntryThatFails:
    """An entry that fails through its own fault has a number of chances, and does not delay the other entries."""

    def test_is_set_aside_when_it_is_refused_again_and_again(
        self, spool: Spool, backend: Backend, metricsmock: MetricsMock, caplog: pytest.LogCaptureFixture
    ) -> None:
        refused, *others = add(spool, 10)
        backend.behaviours[refused] = REFUSES
        loop = make_loop(spool, backend)

        loop.deliver_round()
        assert_delivered(spool, backend, others)
        assert set_aside(spool) == []

        deliver_for(loop, 5, until=lambda: set_aside(spool) == [refused])
        assert set_aside(spool) == [refused]
        assert backend.calls[refused] == 5
        (path,) = (spool.root / "set_aside").iterdir()
        assert ["CrashRefused" in line for line in read_failures(path, Kind.ID)] == [True] * 5
        metricsmock.assert_incr_once("crashmover.set_aside")
        assert [
            record.message.partition("-")[2][:36] for record in caplog.records if record.levelno == logging.ERROR
        ] == [refused]
        assert backend.breaker.state is not State.DOWN

    def test_is_tried_less_and_less_often(self, spool: Spool, backend: Backend) -> None:
        (refused,) = add(spool)
        times: list[float] = []

        def refuse() -> None:
            times.append(time.monotonic())
            REFUSES()

        backend.behaviours[refused] = refuse

        deliver_for(
            make_loop(spool, backend, pace=replace(PACE, first_retry=0.02)),
            5,
            until=lambda: set_aside(spool) == [refused],
        )

        pauses = [after - before for before, after in pairwise(times)]
        assert all(pause >= least for pause, least in zip(pauses, [0.02, 0.04, 0.08, 0.16], strict=True))

    def test_is_not_to_blame_if_the_backend_refuses_everything(self, spool: Spool, backend: Backend) -> None:
        crash_ids = add(spool)
        backend.behaviour = REFUSES

        deliver_for(make_loop(spool, backend), 10, until=lambda: backend.health_checks > 3)

        assert backend.health_checks > 3
        assert_kept(spool, crash_ids)

    def test_is_tried_for_ever_if_it_never_gets_an_answer_though_others_do(
        self, spool: Spool, backend: Backend
    ) -> None:
        (slow,) = add(spool)
        backend.behaviours[slow] = DOWN
        loop = make_loop(spool, backend, pace=ALL_SHORT)
        others = []

        while backend.calls[slow] <= 20:
            others += add(spool)
            deliver_for(loop, 2 * PAUSE)

        assert backend.calls[slow] > 20
        assert_delivered(spool, backend, others)
        assert_kept(spool, [slow])

    def test_is_not_to_blame_without_an_answer_while_there_are_no_others(self, spool: Spool, backend: Backend) -> None:
        crash_ids = add(spool)
        backend.behaviours[crash_ids[0]] = DOWN

        deliver_for(make_loop(spool, backend, pace=ALL_SHORT), 10, until=lambda: backend.calls[crash_ids[0]] > 10)

        assert_kept(spool, crash_ids)

    def test_gets_more_time_at_each_attempt_up_to_a_limit(self, spool: Spool, backend: Backend) -> None:
        (slow,) = add(spool)
        backend.behaviours[slow] = DOWN
        loop = make_loop(spool, backend, pace=ALL_SHORT)

        for _ in range(12):
            add(spool)
            deliver_for(loop, 3 * PAUSE)

        assert backend.time_factors[slow][:8] == [1, 2, 4, 8, 16, 32, 32, 32]

    def test_and_takes_its_time_does_not_hold_up_those_that_come_later(self, spool: Spool, backend: Backend) -> None:
        (slow,) = add(spool)
        backend.behaviours[slow] = lambda: gevent.sleep(10)
        loop = make_loop(spool, backend, pace=replace(PACE, idle=0.05))
        loop.deliver_round()
        later = add(spool, 5)
        started = time.monotonic()

        loop.deliver_round()

        assert_delivered(spool, backend, later)
        assert time.monotonic() - started < 5
        assert backend.calls[slow] == 1

    def test_does_not_hold_up_others_when_there_are_more_than_it_looks_at_at_once(
        self, spool: Spool, backend: Backend
    ) -> None:
        refused = add(spool, 20)
        others = add(spool, 20)
        backend.behaviours = dict.fromkeys(refused, REFUSES)
        loop = make_loop(spool, backend, pace=replace(PACE, batch=5, first_retry=100.0))

        for _ in range(10):
            loop.deliver_round()

        assert_delivered(spool, backend, others)

    @pytest.mark.parametrize(
        ("error", "is_set_aside"),
        [
            (EntryDamaged("raw_crash: FileNotFoundError"), True),
            (OSError(errno.EIO, "Input/output error"), False),
            (OSError(errno.EMFILE, "Too many open files"), False),
        ],
    )
    def test_is_set_aside_at_once_if_it_is_damaged_and_not_if_it_only_cannot_be_read(
        self, spool: Spool, backend: Backend, error: Exception, is_set_aside: bool
    ) -> None:
        broken, *others = add(spool, 3)
        backend.behaviours[broken] = raising(error)
        loop = make_loop(spool, backend, pace=ALL_SHORT)

        # It is set aside after the fifth failure for any other reason.
        deliver_for(loop, 10, until=lambda: len(backend.taken) == 2 and (is_set_aside or backend.calls[broken] > 6))

        assert_delivered(spool, backend, others)
        assert set_aside(spool) == [broken] * is_set_aside
        assert backend.breaker.state is not State.DOWN

    def test_whose_failure_cannot_be_written_down_stays(
        self, spool: Spool, backend: Backend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (refused,) = add(spool)
        backend.behaviours[refused] = REFUSES

        def fail(_entry: Entry, _error: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(Entry, "note_failure", fail)

        deliver_for(make_loop(spool, backend, pace=ALL_SHORT), 10, until=lambda: backend.calls[refused] > 6)

        assert_kept(spool, [refused])

    def test_is_forgotten_when_another_worker_has_delivered_it(self, spool: Spool, backend: Backend) -> None:
        add(spool, 20)
        backend.behaviour = DOWN
        loop = make_loop(spool, backend, pace=replace(PACE, first_retry=100.0))
        deliver_for(loop, 10 * PAUSE)
        others = Backend()
        make_loop(spool, others).deliver_round()

        loop.deliver_round()

        assert len(others.taken) == 20
        assert len(loop._verdicts) == 0  # noqa: SLF001 - nothing else shows that memory is given back


@contextmanager
def running(loop: DeliveryLoop) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        yield thread
    finally:
        loop.stop()
        thread.join(10)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


class TestRun:
    """The loop runs until it is stopped, even if it meets errors."""

    def test_delivers_what_comes_until_it_is_stopped(self, spool: Spool, backend: Backend) -> None:
        first = add(spool, 3)
        with running(make_loop(spool, backend)) as thread:
            wait_for(lambda: len(backend.taken) == 3)
            second = add(spool, 3)
            wait_for(lambda: len(backend.taken) == 6)
        assert not thread.is_alive()
        add(spool)

        assert_delivered(spool, backend, first + second)

    def test_delivers_soon_after_the_backend_is_back(self, spool: Spool, backend: Backend) -> None:
        crash_ids = add(spool, 20)
        backend.behaviour = DOWN
        with running(make_loop(spool, backend)):
            wait_for(lambda: backend.breaker.state is State.DOWN and sum(backend.calls.values()) > 10)
            backend.behaviour = None
            started = time.monotonic()
            wait_for(lambda: len(backend.taken) == 20)

            assert time.monotonic() - started < 5

        assert_delivered(spool, backend, crash_ids)

    def test_finishes_what_is_in_hand_and_begins_nothing_new_when_it_is_stopped(
        self, spool: Spool, backend: Backend
    ) -> None:
        add(spool, 50)
        backend.behaviour = lambda: gevent.sleep(0.3)
        loop = make_loop(spool, backend, pace=replace(PACE, rate=100.0))
        with running(loop) as thread:
            wait_for(lambda: backend.in_hand > 3)
            loop.stop()
            thread.join(10)

            assert not thread.is_alive()
            assert 3 < len(backend.taken) < 20
            assert len(names(spool, Kind.ID)) == 50 - len(backend.taken)

    def test_bears_with_a_spool_that_is_away(
        self, spool: Spool, backend: Backend, caplog: pytest.LogCaptureFixture
    ) -> None:
        crash_ids = add(spool, 3)
        (spool.root / "publish").rename(spool.root / "elsewhere")
        with running(make_loop(spool, backend)) as thread:
            wait_for(lambda: any("the spool cannot be read" in message for message in caplog.messages))
            (spool.root / "elsewhere").rename(spool.root / "publish")
            wait_for(lambda: len(backend.taken) == 3)

            assert thread.is_alive()

        assert_delivered(spool, backend, crash_ids)

    def test_bears_with_a_bug(
        self, spool: Spool, backend: Backend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        add(spool, 3)
        oldest = spool.oldest
        calls = iter(range(100))

        def fail_first(kind: Kind, most: int) -> list[str]:
            if next(calls) == 0:
                raise RuntimeError("a bug")
            return oldest(kind, most)

        monkeypatch.setattr(spool, "oldest", fail_first)

        with running(make_loop(spool, backend)):
            wait_for(lambda: len(backend.taken) == 3)

        (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert (record.levelname, record.message) == ("ERROR", "the spool cannot be delivered")
        assert record.exc_info is not None
        assert str(record.exc_info[1]) == "a bug"
