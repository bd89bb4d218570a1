# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Clients do not notice when crashes cannot be published."""

from tests.faults.conftest import StartCollector
from tests.faults.machine import Machine
from tests.faults.test_machine import REPORT, wait_until_delivered
from tests.support.faulty import LATE_ANSWER, PASS, SILENCE, Fault, FaultyProxy


def test_what_hangs_is_sent_no_more(
    start_collector: StartCollector, machine: Machine, publish_proxy: FaultyProxy
) -> None:
    collector = start_collector(CRASHMOVER_PUBLISH_TIMEOUT="30s", CRASHMOVER_CRASHPUBLISH_TIMEOUT="30s")
    collector.submit(REPORT)
    publish_proxy.reset()
    publish_proxy.fault = LATE_ANSWER
    answers = [collector.submit(REPORT) for _ in range(20)]

    # One exchange is that of the crash that found out. With the other, the delivery looks whether the backend is back.
    assert len(publish_proxy.exchanges) <= 2
    publish_proxy.fault = PASS
    wait_until_delivered(machine)
    for answer in answers:
        collector.assert_published(collector.assert_saved(answer).crash_id)


def test_crash_that_was_published_late_is_published_once(
    start_collector: StartCollector, machine: Machine, publish_proxy: FaultyProxy
) -> None:
    collector = start_collector(CRASHMOVER_PUBLISH_TIMEOUT="5s")
    publish_proxy.fault = Fault(delay=1.2)

    crash = collector.assert_saved(collector.submit(REPORT))
    assert list((machine.directory / "spool" / "publish").iterdir())

    wait_until_delivered(machine)
    collector.assert_published(crash.crash_id)


def test_crash_that_is_being_published_when_the_collector_is_killed_is_published_by_the_next(
    start_collector: StartCollector, machine: Machine, publish_proxy: FaultyProxy
) -> None:
    collector = start_collector(CRASHMOVER_PUBLISH_TIMEOUT="5s")
    publish_proxy.fault = SILENCE
    answer = collector.submit(REPORT)
    collector.server.kill()
    publish_proxy.fault = PASS

    collector = start_collector()

    wait_until_delivered(machine)
    collector.assert_published(collector.assert_saved(answer).crash_id)
