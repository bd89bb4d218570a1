# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A crash of the spool ends where one that was saved at once does: in the same objects, and published."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from markus.testing import MetricsMock

from antenna.crashmover.background import BackgroundDelivery
from antenna.crashmover.breaker import State
from antenna.spool import Kind, Spool
from tests.support.crashes import make_id, make_report
from tests.support.deliveries import (
    TIMEOUT,
    Publisher,
    Storage,
    delivering,
    is_empty,
    make_attempts,
    objects,
    objects_of,
    wait_for,
)
from tests.support.programs import run_python
from tests.support.reports import MINIDUMP
from tests.support.spools import REPORTS, assert_tidy, make_spool, names


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return make_spool(tmp_path / "spool")


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path / "crashes")


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path / "queue")


@pytest.mark.parametrize("dumps", REPORTS.values(), ids=REPORTS)
def test_crash_is_saved_as_if_it_had_been_saved_at_once(
    spool: Spool, storage: Storage, publisher: Publisher, dumps: dict[str, bytes]
) -> None:
    with make_report(dumps) as report:
        spool.add_crash(report)
        with delivering(spool, storage, publisher):
            wait_for(lambda: is_empty(spool))

        assert objects(storage) == objects_of(report)
    assert publisher.published() == [report.crash_id]
    assert_tidy(spool)


def test_deferred_crash_is_saved_and_not_published(spool: Spool, storage: Storage, publisher: Publisher) -> None:
    with make_report(deferred=True) as report:
        spool.add_crash(report)
        with delivering(spool, storage, publisher):
            wait_for(lambda: is_empty(spool))

        assert objects(storage) == objects_of(report)
    assert publisher.published() == []


def test_id_is_published(spool: Spool, storage: Storage, publisher: Publisher) -> None:
    crash_id = make_id()
    spool.add_id(crash_id)

    with delivering(spool, storage, publisher):
        wait_for(lambda: is_empty(spool))

    assert publisher.published() == [crash_id]
    assert objects(storage) == {}


def test_crash_waits_for_the_storage_only_and_its_id_for_the_publisher_only(
    spool: Spool, storage: Storage, publisher: Publisher
) -> None:
    storage.is_away = publisher.is_away = True
    with make_report() as report:
        spool.add_crash(report)
    with delivering(spool, storage, publisher):
        wait_for(lambda: len(storage.deadlines) > 1)
        assert len(names(spool, Kind.CRASH)) == 1

        storage.is_away = False
        wait_for(lambda: len(names(spool, Kind.ID)) == 1)
        wait_for(lambda: names(spool, Kind.CRASH) == [])
        assert publisher.published() == []

        publisher.is_away = False
        wait_for(lambda: is_empty(spool))

    assert publisher.published() == [report.crash_id]


def test_one_backend_that_is_away_holds_up_nothing_of_the_other(
    spool: Spool, storage: Storage, publisher: Publisher
) -> None:
    storage.is_away = True
    with make_report() as report:
        spool.add_crash(report)
    crash_id = make_id()
    spool.add_id(crash_id)

    with delivering(spool, storage, publisher):
        wait_for(lambda: publisher.published() == [crash_id])

    assert len(names(spool, Kind.CRASH)) == 1


# A program that spools a crash and is killed.
KILLED = """
import os, signal, sys
from tests.support.crashes import make_report
from tests.support.spools import make_spool

with make_report() as report:
    make_spool(sys.argv[1]).add_crash(report)
    print(report.crash_id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_has_left_is_delivered(spool: Spool, storage: Storage, publisher: Publisher) -> None:
    with run_python(KILLED, spool.root) as killed:
        crash_id = killed.communicate()[0].strip()
    assert killed.returncode == -9

    with delivering(make_spool(spool.root), storage, publisher):
        wait_for(lambda: is_empty(spool))

    assert publisher.published() == [crash_id]


# A program that delivers a spool until it is empty, as one of several workers does.
WORKER = """
import sys
from pathlib import Path
from tests.support.deliveries import Publisher, Storage, delivering, is_empty, wait_for
from tests.support.spools import make_spool

root = Path(sys.argv[1])
spool = make_spool(root / "spool")
sys.stdin.readline()
with delivering(spool, Storage(root / "crashes"), Publisher(root / "queue")):
    wait_for(lambda: is_empty(spool))
"""


def test_several_workers_deliver_each_crash_once(
    spool: Spool, storage: Storage, publisher: Publisher, tmp_path: Path
) -> None:
    crash_ids = []
    for _ in range(40):
        with make_report() as report:
            spool.add_crash(report)
        crash_ids.append(report.crash_id)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, tmp_path],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for worker in workers:
        worker.communicate("go\n", timeout=60)

    assert [worker.returncode for worker in workers] == [0, 0]
    assert sorted(publisher.published()) == sorted(crash_ids)
    assert len(objects(storage)) == 3 * len(crash_ids)


def test_large_crash_gets_more_time(spool: Spool, storage: Storage, publisher: Publisher) -> None:
    for size in (1000, 5_000_000):
        with make_report({MINIDUMP: bytes(size)}) as report:
            spool.add_crash(report)

    with delivering(spool, storage, publisher):
        wait_for(lambda: is_empty(spool))

    small, large = sorted(storage.deadlines)
    assert small == pytest.approx(TIMEOUT, abs=0.1)
    assert large == pytest.approx(TIMEOUT + 1, abs=0.1)


def test_live_traffic_hears_at_once_that_the_backend_is_back(
    spool: Spool, storage: Storage, publisher: Publisher
) -> None:
    saving, publishing = make_attempts("save"), make_attempts("publish")
    saving.breaker.trip("refused")
    publishing.breaker.trip("refused")
    with make_report() as report:
        spool.add_crash(report)
    spool.add_id(make_id())
    delivery = BackgroundDelivery(spool, storage, publisher, saving=saving, publishing=publishing)
    delivery.start()

    wait_for(lambda: saving.breaker.state is publishing.breaker.state is State.UP)

    delivery.stop()
    delivery.join(10)


def test_what_is_delivered_is_counted(
    spool: Spool, storage: Storage, publisher: Publisher, metricsmock: MetricsMock
) -> None:
    with make_report() as report:
        spool.add_crash(report)
    spool.add_id(make_id())
    with delivering(spool, storage, publisher):
        wait_for(lambda: is_empty(spool))

    metricsmock.assert_not_incr("breakpad_resource.save_crash.count")
    metricsmock.assert_incr_once("crashmover.saved", tags=["via:spool"])
    assert len(metricsmock.filter_records("incr", "crashmover.published", tags=["via:spool"])) == 2
    metricsmock.assert_incr_once("crashmover.delivered", tags=["kind:crash"])
    metricsmock.assert_incr_once("crashmover.delivered", tags=["kind:id"])


def test_log_says_what_became_of_a_crash(
    spool: Spool, storage: Storage, publisher: Publisher, caplog: pytest.LogCaptureFixture
) -> None:
    with make_report() as report:
        spool.add_crash(report)

    with caplog.at_level("INFO"), delivering(spool, storage, publisher):
        wait_for(lambda: is_empty(spool))

    assert [message for message in caplog.messages if report.crash_id in message] == [
        f"{report.crash_id} saved",
        f"{report.crash_id} published",
    ]


def test_ends_in_time_although_a_backend_hangs(
    spool: Spool, storage: Storage, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.add_id(make_id())
    asked, answered = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        asked.set()
        answered.wait(10)

    monkeypatch.setattr(publisher, "publish_crash", hang)
    with delivering(spool, storage, publisher) as delivery:
        assert asked.wait(10)
        started = time.monotonic()

        delivery.stop()
        delivery.join(0.2)

        assert time.monotonic() - started < 2
        assert len(names(spool, Kind.ID)) == 1, "whoever ends now has lost nothing"
        answered.set()
    assert names(spool, Kind.ID) == []
