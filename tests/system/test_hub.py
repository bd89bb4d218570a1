# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""No call keeps a worker from its other connections. Gevent's monitor checks that from a thread of its own."""

import json
import random
from concurrent.futures import ThreadPoolExecutor

from tests.support.captures import DATA
from tests.support.collector import Collector
from tests.support.reports import chunked_report, dump, extra, gzipped_report, report
from tests.system.conftest import StartCollector

# Seconds that one greenlet may run without a look at the others.
LONGEST_TURN = 0.1
MONITOR = {"GEVENT_MONITOR_THREAD_ENABLE": "true", "GEVENT_MAX_BLOCKING_TIME": str(LONGEST_TURN)}
BLOCKED = "appears to be blocked"

FIREFOX = extra(json.loads((DATA / "annotations" / "01-firefox-release-windows-main.json").read_text())["annotations"])
LONG_VALUES = extra({f"Value{number}": "é\N{FOX FACE}" * 1000 for number in range(250)})


def requests() -> list[bytes]:
    """Return reports of many sizes and framings. Their dumps compress to about two thirds."""
    chance = random.Random(1)
    large = b"".join(chance.randbytes(600) + bytes(400) for _ in range(12_000))
    return [
        gzipped_report(FIREFOX, dump(large[:400_000])),
        gzipped_report(FIREFOX, dump(large)),
        report(FIREFOX, dump(large)),
        chunked_report(FIREFOX, dump(large[:3_000_000]), chunk_size=1000),
        chunked_report(FIREFOX, dump(large[:800_000]), chunk_size=10),
        gzipped_report(LONG_VALUES, dump(b"MDMP")),
        report(FIREFOX, *(dump(large[:500_000], f"dump_{number}") for number in range(20))),
    ]


def submit_side_by_side(collector: Collector, requests: list[bytes]) -> None:
    with ThreadPoolExecutor(4) as clients:
        for answer in clients.map(collector.submit, requests):
            collector.assert_kept(answer)


def test_no_call_keeps_the_others_waiting_under_load(start_collector: StartCollector) -> None:
    # On a machine that has other work, a worker may not get to run for so long. A call that blocks does so each time.
    load = [request for request in requests() for _ in range(2)]
    logs: list[str] = []
    while len(logs) < 3 and (not logs or BLOCKED in logs[-1]):
        collector = start_collector(**MONITOR)
        submit_side_by_side(collector, load)
        logs.append(collector.server.logs())

    assert BLOCKED not in logs[-1]


def test_the_monitor_sees_a_call_that_does(start_local_collector: StartCollector) -> None:
    collector = start_local_collector(**MONITOR, BREAKPAD_THROTTLER_RULES="tests.support.rules.slow_rules.RULES")

    submit_side_by_side(collector, [report(FIREFOX, dump(b"MDMP"))])

    collector.server.wait_until(lambda: BLOCKED in collector.server.logs())
