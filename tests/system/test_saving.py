# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The order in which a crash is saved and published, and the answer when a backend fails and there is no spool."""

import time
from collections import Counter

from tests.support.collector import Collector
from tests.support.faulty import (
    HALF_ANSWER,
    HALF_REQUEST,
    HANG,
    LOST_ANSWER,
    PASS,
    REFUSE,
    RESET,
    Exchange,
    Fault,
)
from tests.support.reports import annotation, dump, report
from tests.system.conftest import Proxies, wait_for_exchange

REPORT = report(annotation("ProductName", "Firefox"), dump(b"MDMP"), dump(b"PMDM", "other"))

FAULTS = [
    REFUSE,
    RESET,
    HALF_REQUEST,
    HALF_ANSWER,
    LOST_ANSWER,
    HANG,
    Fault(status=500),
    Fault(status=503),
    Fault(status=429),
    Fault(status=403),
    Fault(status=400),
    Fault(status=200, body=b"<html>Welcome to this network</html>"),
    Fault(status=200, body=b"[]"),
]


def other_checksum(answer: bytes) -> bytes:
    """Change the first letters of the checksum that the storage reports."""
    before, found, after = answer.partition(b'"crc32c":"')
    return before + found + b"AAA" + after[3:] if found else answer


def object_kind(exchange: Exchange) -> str:
    """Return the kind of the object that a request uploads: ``.../o?...&name=v1%2F<kind>%2F...``."""
    return exchange.request_line.partition("name=v1%2F")[2].partition("%2F")[0]


def test_dumps_and_their_names_then_the_raw_crash_then_the_id(collector: Collector, proxies: Proxies) -> None:
    proxies.storage.fault = proxies.publish.fault = Fault(delay=0.1)

    collector.assert_saved(collector.submit(REPORT))
    end = time.monotonic()

    assert Counter(map(object_kind, proxies.storage.exchanges)) == Counter(["dump", "other", "dump_names", "raw_crash"])
    *first, raw_crash = sorted(proxies.storage.exchanges, key=lambda exchange: exchange.begun)
    (publish,) = proxies.publish.exchanges
    assert object_kind(raw_crash) == "raw_crash"
    assert raw_crash.answered
    assert publish.answered
    assert all(exchange.answered and exchange.answered < raw_crash.begun for exchange in first)
    assert raw_crash.answered < publish.begun
    assert publish.answered < end


def test_a_deferred_crash_is_saved_in_that_order_and_not_published(collector: Collector, proxies: Proxies) -> None:
    collector.assert_saved(collector.submit_parts(annotation("Fate", "defer"), dump(b"MDMP")))

    assert object_kind(proxies.storage.exchanges[-1]) == "raw_crash"
    assert proxies.publish.exchanges == []


def test_what_cannot_be_saved_is_neither_promised_nor_published(
    impatient_collector: Collector, proxies: Proxies
) -> None:
    published = impatient_collector.published()
    kept = set()

    for fault in [*FAULTS, Fault(rate=100), Fault(alter=other_checksum)]:
        proxies.storage.fault = fault
        start = time.monotonic()
        answer = impatient_collector.submit(REPORT)
        assert time.monotonic() - start < 2
        impatient_collector.assert_discarded(answer, "unavailable")
        assert int(answer.headers["Retry-After"]) > 0

        proxies.storage.fault = PASS
        crash = impatient_collector.assert_saved(impatient_collector.submit(REPORT))
        impatient_collector.assert_published(crash.crash_id)
        kept.add(crash.crash_id)

    assert impatient_collector.published() - published == kept


def test_without_its_dumps_no_raw_crash_is_saved(impatient_collector: Collector, proxies: Proxies) -> None:
    raw_crashes = impatient_collector.raw_crash_names()

    for kind in ("dump", "other", "dump_names"):
        proxies.storage.choose = lambda line, kind=kind: Fault(status=503) if f"v1%2F{kind}%2F" in line else PASS
        impatient_collector.assert_discarded(impatient_collector.submit(REPORT), "unavailable")

    assert impatient_collector.raw_crash_names() == raw_crashes


def test_what_is_saved_is_promised_whatever_becomes_of_its_id(impatient_collector: Collector, proxies: Proxies) -> None:
    for fault in FAULTS:
        proxies.publish.fault = fault
        start = time.monotonic()
        crash = impatient_collector.assert_saved(impatient_collector.submit(REPORT))
        assert time.monotonic() - start < 2
        assert f"{crash.crash_id} is saved but not published" in impatient_collector.server.logs()

        proxies.publish.fault = PASS
        crash = impatient_collector.assert_saved(impatient_collector.submit(REPORT))
        impatient_collector.assert_published(crash.crash_id)


def test_what_fails_for_a_moment_is_tried_again(collector: Collector, proxies: Proxies) -> None:
    for proxy in (proxies.storage, proxies.publish):
        for fault in (RESET, LOST_ANSWER, Fault(status=503)):
            failures = iter([fault, fault])
            proxy.choose = lambda _line, failures=failures: next(failures, PASS)
            crash = collector.assert_saved(collector.submit(REPORT))
            assert crash.dumps == {"upload_file_minidump": b"MDMP", "other": b"PMDM"}
            assert f"{crash.crash_id} published" in collector.server.logs()


def test_a_client_that_hangs_up_meanwhile_loses_nothing(collector: Collector, proxies: Proxies) -> None:
    before = set(collector.raw_crash_names())
    logged = len(collector.server.logs())
    proxies.storage.fault = Fault(delay=0.2)
    with collector.server.connect() as connection:
        connection.send(REPORT)
        wait_for_exchange(proxies.storage)
        connection.close_with_a_reset()
    collector.server.wait_until(lambda: bool(set(collector.raw_crash_names()) - before), 10)

    (name,) = set(collector.raw_crash_names()) - before
    collector.assert_published(name.rpartition("/")[2])
    assert "Traceback" not in collector.server.logs()[logged:]
