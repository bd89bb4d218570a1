# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Each worker records its own state, and one worker reports for all."""

import time
from collections.abc import Callable, Iterator

import pytest
from markus.testing import MetricsMock

from antenna.ops.gauges import Gauges, SpoolState
from antenna.ops.instance import Instance, Worker
from antenna.ops.watch import Watch, Watched


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def make_workers(count: int) -> list[Instance]:
    master = Instance()
    instances = []
    for _ in range(count):
        instance = Instance(workers=1)
        instance.join(master, master.admit())
        instances.append(instance)
    for number, instance in enumerate(instances):
        instance.row[Worker.PID] = 1000 + number
    return instances


def last(metricsmock: MetricsMock, name: str, *tags: str) -> float:
    """Return the value that a gauge has now."""
    value: float = metricsmock.filter_records("gauge", name, tags=list(tags) or None)[-1].value
    return value


def test_gauges_are_of_all_workers(metricsmock: MetricsMock) -> None:
    workers = make_workers(3)
    for number, worker in enumerate(workers, start=1):
        worker.row[Worker.CONNECTIONS] = number
        worker.row[Worker.LOOP_LAG] = number / 10
    gauges = Gauges(workers[0], {"version": "1", "commit": "2"})
    gauges.note_lag()
    workers[2].row[Worker.LOOP_LAG] = 0
    gauges.note_lag()

    gauges.send()

    assert last(metricsmock, "instance.workers") == 3
    assert last(metricsmock, "instance.connections") == 6
    assert last(metricsmock, "instance.loop_lag") == 0.3, "the highest since the last time"
    assert last(metricsmock, "instance.build", "version:1", "commit:2") == 1


def test_one_worker_that_finds_a_backend_down_is_enough(metricsmock: MetricsMock) -> None:
    workers = make_workers(3)
    workers[1].row[Worker.STORAGE_DOWN] = 1
    workers[1].row[Worker.STORAGE_SINCE] = time.monotonic() - 30

    Gauges(workers[0], {}).send()

    assert last(metricsmock, "crashmover.backend_up", "backend:storage") == 0
    assert last(metricsmock, "crashmover.backend_workers_down", "backend:storage") == 1
    assert last(metricsmock, "crashmover.backend_down_age", "backend:storage") == 30
    assert last(metricsmock, "crashmover.breaker_state", "backend:storage") == 1
    assert last(metricsmock, "crashmover.backend_up", "backend:publish") == 1
    assert last(metricsmock, "crashmover.backend_down_age", "backend:publish") == 0


def test_cpu_is_what_was_spent_since_the_last_time(metricsmock: MetricsMock) -> None:
    (worker,) = make_workers(1)
    gauges = Gauges(worker, {})
    gauges.send()
    worker.row[Worker.CPU] = 0.5
    time.sleep(0.5)
    gauges.send()

    assert 0.2 < last(metricsmock, "instance.cpu_usage") <= 1.0


@pytest.fixture
def watch() -> Iterator[Callable[..., Instance]]:
    """Function that starts a watch with these things to look at, and returns the instance."""
    watches = []

    def start(**watched: object) -> Instance:
        instance = Instance(workers=1)
        things = {"is_down": {"storage": lambda: False, "publish": lambda: False}, "look_after": lambda: None}
        watches.append(Watch(instance, Watched(**(things | watched))))  # type: ignore[arg-type]
        instance.join(instance, instance.admit())
        watches[-1].start()
        return instance

    yield start
    for running in watches:
        running.stop()


def test_state_of_a_worker_is_in_its_row(watch: Callable[..., Instance]) -> None:
    instance = watch(is_down={"storage": lambda: True, "publish": lambda: False}, temporary_files=lambda: (7, 100))

    wait_for(lambda: instance.row[Worker.STORAGE_DOWN] and instance.row[Worker.MEMORY])
    assert instance.row[Worker.STORAGE_SINCE] == pytest.approx(time.monotonic(), abs=10)
    assert not instance.row[Worker.PUBLISH_DOWN]
    assert (instance.row[Worker.TEMP_SIZE], instance.row[Worker.MOST_TEMP_SIZE]) == (7, 100)
    assert instance.row[Worker.MEMORY] > 10_000_000
    assert instance.row[Worker.DESCRIPTORS] > 2


def test_spool_and_probes_are_sent(watch: Callable[..., Instance], metricsmock: MetricsMock) -> None:
    state = SpoolState(crashes=3, ids=2, size=100, room=50, oldest_age=7.2, set_aside=1)
    watch(spool=lambda: state, probes={"spool": lambda: False, "temp": lambda: True})

    wait_for(lambda: metricsmock.filter_records("gauge", "crashmover.spool_set_aside"))
    wait_for(lambda: metricsmock.filter_records("gauge", "instance.temp_writable"))
    assert last(metricsmock, "breakpad_resource.save_queue_size") == 5
    assert last(metricsmock, "crashmover.spool_entries", "kind:crash") == 3
    assert last(metricsmock, "crashmover.spool_entries", "kind:id") == 2
    assert last(metricsmock, "crashmover.spool_room") == 50
    assert last(metricsmock, "crashmover.spool_oldest_age") == 7
    assert last(metricsmock, "crashmover.spool_set_aside") == 1
    assert last(metricsmock, "crashmover.spool_writable") == 0
    assert last(metricsmock, "instance.temp_writable") == 1


def test_worker_that_died_is_told_and_counted(
    watch: Callable[..., Instance], metricsmock: MetricsMock, caplog: pytest.LogCaptureFixture
) -> None:
    instance = watch()
    for ending in ("killed", "stopped"):
        instance.dismiss(Instance(workers=1).row, ending)

    for cause in ("killed", "stopped"):
        tags = [f"cause:{cause}"]
        wait_for(lambda tags=tags: metricsmock.filter_records("incr", "instance.workers_ended", tags=tags))  # type: ignore[misc]
        metricsmock.assert_incr_once("instance.workers_ended", tags=tags)
    wait_for(lambda: any(record.levelname == "ERROR" for record in caplog.records))
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "a worker has ended: killed"
    ]
