# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A slow backend delays the crash that waits for it, and no other crash."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests.support.collector import Collector
from tests.support.faulty import PASS, Exchange, Fault
from tests.support.reports import annotation, dump, report
from tests.system.conftest import Proxies

PRODUCT = annotation("ProductName", "Firefox")
REPORT = report(PRODUCT, dump(b"MDMP"))
# Seconds between crashes. Within a shorter time they would share one request to publish.
GAP = 0.03


def submit_eight(collector: Collector, request: bytes) -> float:
    """Send eight crashes, check that all are saved and published, and return the seconds until the last answer."""
    with ThreadPoolExecutor(8) as clients:
        start = time.monotonic()
        answers = []
        for _ in range(8):
            answers.append(clients.submit(collector.submit, request))
            time.sleep(GAP)
        crash_ids = [collector.assert_kept(answer.result()) for answer in answers]
        seconds = time.monotonic() - start
    for crash_id in crash_ids:
        collector.assert_published(crash_id)
    return seconds


def in_flight_together(exchanges: list[Exchange]) -> int:
    """Return the largest number of exchanges that were waiting for an answer at the same time."""
    return max(
        sum(other.begun <= exchange.begun <= (other.answered or 0.0) for other in exchanges) for exchange in exchanges
    )


def test_eight_publishes_of_a_second_end_together(collector: Collector, proxies: Proxies) -> None:
    proxies.publish.fault = Fault(delay=1)

    assert submit_eight(collector, REPORT) < 2
    # When the machine is busy, two crashes may come at the same moment and share a request.
    assert in_flight_together(proxies.publish.exchanges) == len(proxies.publish.exchanges) > 4


def test_eight_uploads_of_a_second_end_together(collector: Collector, proxies: Proxies) -> None:
    proxies.storage.choose = lambda request_line: Fault(delay=1) if "%2Fdump%2F" in request_line else PASS

    assert submit_eight(collector, REPORT) < 2
    assert in_flight_together([each for each in proxies.storage.exchanges if "%2Fdump%2F" in each.request_line]) == 8


def test_dumps_of_a_crash_are_uploaded_side_by_side(collector: Collector, proxies: Proxies) -> None:
    proxies.storage.choose = lambda request_line: PASS if "raw_crash" in request_line else Fault(delay=1)
    request = report(PRODUCT, *(dump(bytes(1000), f"dump_{number}") for number in range(7)))

    start = time.monotonic()
    collector.assert_saved(collector.submit(request))

    assert time.monotonic() - start < 2
    assert in_flight_together(proxies.storage.exchanges) == 8


def test_clients_that_stall_hold_up_nobody(collector: Collector) -> None:
    stalled = [collector.server.connect() for _ in range(50)]
    try:
        for number, connection in enumerate(stalled):
            connection.send(REPORT[: 20 + 10 * number])

        start = time.monotonic()
        for _ in range(10):
            collector.assert_kept(collector.submit(REPORT))
        assert time.monotonic() - start < 2
    finally:
        for connection in stalled:
            connection.close()


def test_big_dumps_at_once_are_each_kept_whole(collector: Collector) -> None:
    contents = [bytes([number]) * 4_000_000 for number in range(4)]
    barrier = threading.Barrier(len(contents))

    def submit(content: bytes) -> None:
        request = report(PRODUCT, dump(content))
        barrier.wait()
        crash = collector.assert_saved(collector.submit(request))
        assert crash.dumps == {"upload_file_minidump": content}

    with ThreadPoolExecutor(len(contents)) as clients:
        list(clients.map(submit, contents))
