# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The reports of real crash reporters are saved to the last byte, and their ids are published."""

import hashlib
import re
import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.captures import Capture, capture_names, load_capture
from tests.support.collector import Collector, SavedCrash
from tests.support.google_cloud import GcsBucket
from tests.support.raw_http import RawConnection, RawResponse
from tests.system.conftest import TOKEN, StartCollector

# Crashpad's own socket transport sends chunks in HTTP/1.0, which has none (RFC 9112, section 6.1).
REFUSED = [name for name in capture_names() if name.startswith("crashpad-socket-")]
NO_REPORT = ["firefox-client-redirect-get"]
REPORTS = [name for name in capture_names() if name not in {*REFUSED, *NO_REPORT}]

PRIVATE = {"Email", "TelemetryClientId", "TelemetryServerURL", "TelemetrySessionId"}
ADDED = {"uuid", "version", "submitted_timestamp", "metadata"}

# The desktop's MIME table gives this type to minidumps at times. No other capture has notes.
NOTES = ["Dump upload_file_minidump has content type application/vnd.tcpdump.pcap."]
NOTED = {"firefox-client-bgtask", "firefox-real-main-crash"}


def test_every_capture_is_among_them() -> None:
    assert len(REPORTS) == 15
    assert len(REFUSED) == 1


@pytest.mark.parametrize("name", REPORTS)
def test_capture_is_saved_and_published(collector: Collector, name: str) -> None:
    capture = load_capture(name)

    crash = collector.assert_saved(collector.submit(capture.request))

    assert_is(crash, capture, checksum="md5", throttle_rule="everything_else")
    collector.assert_published(crash.crash_id)


def test_captures_in_files_with_another_checksum(start_local_collector: StartCollector) -> None:
    collector = start_local_collector(
        BREAKPAD_DUMP_CHECKSUM_ALGORITHM="sha256", BREAKPAD_STAGE_SUBMITTER_BEARER_TOKEN=TOKEN
    )

    for capture in map(load_capture, REPORTS):
        crash = collector.assert_saved(collector.submit(capture.request))

        assert_is(crash, capture, checksum="sha256", throttle_rule="accept_everything")
        collector.assert_published(crash.crash_id)


@pytest.mark.parametrize("name", REFUSED)
def test_chunks_in_http_1_0_are_refused(collector: Collector, name: str) -> None:
    with collector.keeps_nothing():
        answer = collector.submit(load_capture(name).request)

    collector.assert_discarded(answer, "malformed_bad_request")


@pytest.mark.parametrize("name", NO_REPORT)
def test_get_after_a_redirect_is_not_found(collector: Collector, name: str) -> None:
    with collector.keeps_nothing():
        assert collector.submit(load_capture(name).request).status == 404


def test_curl_waits_for_100_continue(collector: Collector) -> None:
    capture = load_capture("curl-form-expect-100")

    with collector.server.connect() as connection:
        connection.send(capture.head)
        assert connection.receive().status == 100
        connection.send(capture.body)
        crash = collector.assert_saved(connection.receive())

    assert_is(crash, capture, checksum="md5", throttle_rule="everything_else")


def test_http_1_0_connection_ends_with_the_answer(collector: Collector) -> None:
    with collector.server.connect() as connection:
        connection.send(load_capture("curl-http10").request)
        collector.assert_kept(connection.receive())
        assert connection.is_closed_by_server()


def test_many_captures_on_one_connection(collector: Collector) -> None:
    captures = [load_capture(name) for name in REPORTS if name != "curl-http10"]

    with collector.server.connect() as connection:
        for capture in captures * 2:
            connection.send(capture.request)
            crash = collector.assert_saved(final_answer(connection))
            assert_is(crash, capture, checksum="md5", throttle_rule="everything_else")


def test_pipelined_captures_are_answered_in_order(collector: Collector) -> None:
    captures = [load_capture(name) for name in ("crashpad-gzip", "fenix-like-native", "firefox-client-curl")]

    with collector.server.connect() as connection:
        connection.send(b"".join(capture.request for capture in captures))
        for capture in captures:
            crash = collector.assert_saved(connection.receive())
            assert_is(crash, capture, checksum="md5", throttle_rule="everything_else")
            collector.assert_published(crash.crash_id)


@pytest.mark.parametrize("name", ["crashpad-gzip", "crashpad-nogzip", "breakpad-linux-minidump_upload"])
@pytest.mark.parametrize("size", [1, 97])
def test_packets_may_end_anywhere(collector: Collector, name: str, size: int) -> None:
    capture = load_capture(name)

    with collector.server.connect() as connection:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(capture.request), size):
            connection.send(capture.request[start : start + size])
        crash = collector.assert_saved(connection.receive())

    assert_is(crash, capture, checksum="md5", throttle_rule="everything_else")


def test_objects_have_content_types(collector: Collector) -> None:
    crash = collector.assert_saved(collector.submit(load_capture("firefox-client-curl").request))
    bucket = collector.store
    assert isinstance(bucket, GcsBucket)

    assert {name.split("/")[1]: bucket.content_type(name) for name in collector.objects_of(crash.crash_id)} == {
        "raw_crash": "application/json",
        "dump_names": "application/json",
        "dump": "application/octet-stream",
        "memory_report": "application/octet-stream",
    }


def final_answer(connection: RawConnection) -> RawResponse:
    """Return the next answer that is not "100 Continue"."""
    while (answer := connection.receive()).status < 200:
        pass
    return answer


def assert_is(crash: SavedCrash, capture: Capture, *, checksum: str, throttle_rule: str) -> None:
    """Check that the crash has everything that was captured, and nothing else."""
    raw_crash: dict[str, Any] = dict(crash.raw_crash)

    # The content of these annotations is in the metadata and in the notes. No capture has private annotations.
    assert not PRIVATE & capture.annotations.keys()
    assert raw_crash.pop("uuid") == crash.crash_id == capture.annotations.get("uuid", crash.crash_id)
    assert raw_crash.pop("version") == 2
    assert_is_now(raw_crash.pop("submitted_timestamp"))
    assert raw_crash.pop("metadata") == {
        "collector_notes": NOTES if capture.name in NOTED else [],
        "dump_checksums": {name: getattr(dump, checksum) for name, dump in capture.dumps.items()},
        "payload": capture.annotations_in,
        "payload_compressed": "1" if capture.is_gzipped else "0",
        "payload_size": capture.payload_size,
        "throttle_rule": throttle_rule,
        "user_agent": capture.user_agent or "None",
    }
    assert raw_crash == {name: value for name, value in capture.annotations.items() if name not in ADDED}
    assert {name: (len(dump), hashlib.sha256(dump).hexdigest()) for name, dump in crash.dumps.items()} == {
        name: (dump.size, dump.sha256) for name, dump in capture.dumps.items()
    }


def assert_is_now(timestamp: str) -> None:
    """Check the format, with six digits and the offset, and check that the time is a moment ago."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", timestamp)
    age = datetime.now(UTC) - datetime.fromisoformat(timestamp)
    assert timedelta(0) <= age < timedelta(seconds=30)
