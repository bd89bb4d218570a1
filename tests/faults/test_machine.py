# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A collector keeps its promises on a machine whose disk or name service fails, and while it cannot publish ids."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

from tests.faults.conftest import Setting, StartCollector
from tests.faults.machine import Machine
from tests.support.collector import Collector
from tests.support.faulty import LATE_ANSWER, PASS, REFUSE, SILENCE, Fault, FaultyProxy
from tests.support.programs import children_of
from tests.support.raw_http import RawResponse
from tests.support.reports import annotation, dump, report

REPORT = report(annotation("ProductName", "Firefox"), dump(b"MDMP"))


def wait_until_delivered(machine: Machine) -> None:
    deadline = time.monotonic() + 20
    while [path for kind in ("save", "publish") for path in (machine.directory / "spool" / kind).iterdir()]:
        assert time.monotonic() < deadline, "not delivered"
        time.sleep(0.05)


def assert_kept_in_the_end(collector: Collector, machine: Machine, answer: RawResponse) -> None:
    collector.assert_kept(answer)
    wait_until_delivered(machine)
    crash_id = collector.assert_saved(answer).crash_id
    if f"{crash_id}: publish failed: no answer within 0.5 s" in collector.server.logs():
        # On a busy machine the emulator may publish an id and answer too late. Then the id is published once more.
        collector.server.wait_until(lambda: crash_id in collector.published())
    else:
        collector.assert_published(crash_id)


def test_crash_goes_to_the_spool_while_no_names_are_looked_up(setting: Setting) -> None:
    collector, machine = setting.collector, setting.machine
    machine.set_names("silence")
    # The next request needs a new connection, and so a look-up of the name.
    setting.storage.reset_connections()
    with ThreadPoolExecutor(24) as clients:
        answers = list(clients.map(collector.submit, [REPORT] * 24))

    start = time.monotonic()
    answers += [collector.submit(REPORT) for _ in range(5)]
    assert time.monotonic() - start < 1

    machine.set_names("pass")
    for answer in answers:
        assert_kept_in_the_end(collector, machine, answer)


def test_id_that_can_be_neither_published_nor_spooled_is_not_promised(setting: Setting) -> None:
    collector, machine = setting.collector, setting.machine
    setting.publish.fault = REFUSE
    for error in ("ENOSPC", "EIO", "EROFS"):
        machine.set_disk(error)
        assert collector.submit(REPORT).status == 503

    machine.set_disk("pass")
    answer = collector.submit(REPORT)
    setting.publish.fault = PASS
    assert_kept_in_the_end(collector, machine, answer)


def test_crash_is_answered_soon_while_nothing_can_be_published_and_published_in_the_end(setting: Setting) -> None:
    collector = setting.collector
    for fault in (REFUSE, SILENCE, LATE_ANSWER):
        setting.publish.fault = fault

        start = time.monotonic()
        answers = [collector.submit(REPORT) for _ in range(3)]
        assert time.monotonic() - start < 3 * 0.9, fault

        setting.publish.fault = PASS
        wait_until_delivered(setting.machine)
        for answer in answers:
            crash = collector.assert_saved(answer)
            # The backend has done the work of a request whose answer is late.
            if fault is not LATE_ANSWER:
                collector.assert_published(crash.crash_id)


def test_worker_is_replaced_while_the_disk_fails(setting: Setting) -> None:
    collector, pid = setting.collector, setting.collector.server.pid
    for error in ("ENOSPC", "EIO", "EROFS"):
        setting.machine.set_disk(error)
        for worker in children_of(pid):
            os.kill(worker, signal.SIGKILL)

        collector.assert_saved(collector.submit(REPORT))
        assert collector.server.is_running


# The last test of the shared collector, since it ends it.
def test_collector_ends_while_no_names_are_looked_up(setting: Setting) -> None:
    collector = setting.collector
    setting.machine.set_names("silence")
    setting.storage.reset_connections()
    collector.assert_kept(collector.submit(REPORT))

    start = time.monotonic()
    assert collector.server.stop() == 0
    assert time.monotonic() - start < 6


def test_start_with_a_disk_that_fails_saves_crashes_and_delivers_when_it_is_mended(
    start_collector: StartCollector, machine: Machine, storage_proxy: FaultyProxy
) -> None:
    collector = start_collector()
    storage_proxy.fault = REFUSE
    spooled = collector.submit(REPORT)
    collector.server.kill()
    storage_proxy.fault = PASS
    machine.set_disk("ENOSPC")

    collector = start_collector()
    crash = collector.assert_saved(collector.submit(REPORT))
    machine.set_disk("pass")

    collector.assert_published(crash.crash_id)
    assert_kept_in_the_end(collector, machine, spooled)


def test_start_with_odd_answers_is_one_with_backends_that_are_away(
    start_collector: StartCollector, machine: Machine, storage_proxy: FaultyProxy, publish_proxy: FaultyProxy
) -> None:
    storage_proxy.fault = publish_proxy.fault = Fault(status=200, body=b'{"messageIds": 1, "crc32c": 1}')
    collector = start_collector()

    answer = collector.submit(REPORT)
    storage_proxy.fault = publish_proxy.fault = PASS
    assert_kept_in_the_end(collector, machine, answer)
