# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""In which order a crash is saved and published; and what is promised, without a spool, when a backend fails."""

import time
from collections import Counter

from tests.faulty import (
    HALF_ANSWER,
    HALF_REQUEST,
    HANG,
    LOST_ANSWER,
    PASS,
    REFUSE,
    RESET,
    Exchange,
    Fault,
    FaultyProxy,
)
from tests.reports import annotation, dump, report
from tests.system.conftest import HOUSE_RULES, StartCollector, behind

REPORT = report(annotation("ProductName", "Firefox"), dump(b"MDMP"), dump(b"PMDM", "other"))

FAULTS = [
    REFUSE,
    RESET,
    HALF_REQUEST,
    HALF_ANSWER,
    LOST_ANSWER,
    HANG,
    Fault(rate=100),
    Fault(status=500),
    Fault(status=503),
    Fault(status=429),
    Fault(status=403),
    Fault(status=400),
    Fault(status=200, body=b"<html>Welcome to this network</html>"),
    Fault(status=200, body=b"[]"),
]
ONE_SHORT_ATTEMPT = {
    "CRASHMOVER_MAX_ATTEMPTS": "1",
    "CRASHMOVER_SAVE_TIMEOUT": "1s",
    "CRASHMOVER_PUBLISH_TIMEOUT": "1s",
}


def other_checksum(answer: bytes) -> bytes:
    """Change the first letters of the checksum that the storage reports."""
    before, found, after = answer.partition(b'"crc32c":"')
    return before + found + b"AAA" + after[3:] if found else answer


def object_kind(exchange: Exchange) -> str:
    """Return the kind of object that is uploaded: ``.../o?...&name=v1%2F<kind>%2F...``."""
    return exchange.request_line.partition("name=v1%2F")[2].partition("%2F")[0]


def test_dumps_and_their_names_then_the_raw_crash_then_the_id(
    start_collector: StartCollector, storage_proxy: FaultyProxy, publish_proxy: FaultyProxy
) -> None:
    collector = start_collector(**behind(storage=storage_proxy, publish=publish_proxy))
    storage_proxy.exchanges.clear()
    publish_proxy.exchanges.clear()
    storage_proxy.fault = publish_proxy.fault = Fault(delay=0.1)

    collector.assert_saved(collector.submit(REPORT))
    end = time.monotonic()

    assert Counter(map(object_kind, storage_proxy.exchanges)) == Counter(["dump", "other", "dump_names", "raw_crash"])
    *first, raw_crash = sorted(storage_proxy.exchanges, key=lambda exchange: exchange.begun)
    (publish,) = publish_proxy.exchanges
    assert object_kind(raw_crash) == "raw_crash"
    assert raw_crash.answered
    assert publish.answered
    assert all(exchange.answered and exchange.answered < raw_crash.begun for exchange in first)
    assert raw_crash.answered < publish.begun
    assert publish.answered < end


def test_a_deferred_crash_is_saved_in_that_order_and_not_published(
    start_collector: StartCollector, storage_proxy: FaultyProxy, publish_proxy: FaultyProxy
) -> None:
    collector = start_collector(**behind(storage=storage_proxy, publish=publish_proxy), **HOUSE_RULES)
    storage_proxy.exchanges.clear()
    publish_proxy.exchanges.clear()

    collector.assert_saved(collector.submit_parts(annotation("Fate", "defer"), dump(b"MDMP")))

    assert object_kind(storage_proxy.exchanges[-1]) == "raw_crash"
    assert publish_proxy.exchanges == []


def test_a_crash_that_cannot_be_saved_is_neither_promised_nor_published(
    start_collector: StartCollector, storage_proxy: FaultyProxy
) -> None:
    collector = start_collector(**behind(storage=storage_proxy), **ONE_SHORT_ATTEMPT)
    kept = set()

    for fault in [*FAULTS, Fault(alter=other_checksum)]:
        storage_proxy.fault = fault
        start = time.monotonic()
        answer = collector.submit(REPORT)
        assert time.monotonic() - start < 2
        collector.assert_discarded(answer, "unavailable")
        assert int(answer.headers["Retry-After"]) > 0

        storage_proxy.fault = PASS
        crash = collector.assert_saved(collector.submit(REPORT))
        collector.assert_published(crash.crash_id)
        kept.add(crash.crash_id)

    assert collector.published() == kept


def test_without_its_dumps_no_raw_crash_is_saved(start_collector: StartCollector, storage_proxy: FaultyProxy) -> None:
    collector = start_collector(**behind(storage=storage_proxy), **ONE_SHORT_ATTEMPT)

    for kind in ("dump", "other", "dump_names"):
        storage_proxy.choose = lambda line, kind=kind: Fault(status=503) if f"v1%2F{kind}%2F" in line else PASS
        collector.assert_discarded(collector.submit(REPORT), "unavailable")

    assert not [name for name in collector.store.object_names() if "raw_crash" in name]


def test_a_crash_that_is_saved_is_promised_whatever_becomes_of_its_id(
    start_collector: StartCollector, publish_proxy: FaultyProxy
) -> None:
    collector = start_collector(**behind(publish=publish_proxy), **ONE_SHORT_ATTEMPT)

    for fault in FAULTS:
        publish_proxy.fault = fault
        start = time.monotonic()
        crash = collector.assert_saved(collector.submit(REPORT))
        assert time.monotonic() - start < 2
        assert f"{crash.crash_id} is saved but not published" in collector.server.logs()

        publish_proxy.fault = PASS
        crash = collector.assert_saved(collector.submit(REPORT))
        collector.assert_published(crash.crash_id)


def test_what_fails_for_a_moment_is_tried_again(
    start_collector: StartCollector, storage_proxy: FaultyProxy, publish_proxy: FaultyProxy
) -> None:
    collector = start_collector(**behind(storage=storage_proxy, publish=publish_proxy))

    for proxy in (storage_proxy, publish_proxy):
        for fault in (RESET, LOST_ANSWER, Fault(status=503)):
            failures = iter([fault, fault])
            proxy.choose = lambda _line, failures=failures: next(failures, PASS)
            crash = collector.assert_saved(collector.submit(REPORT))
            assert crash.dumps == {"upload_file_minidump": b"MDMP", "other": b"PMDM"}
            assert f"{crash.crash_id} published" in collector.server.logs()
