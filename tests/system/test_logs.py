# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The log has lines about each crash for operators, and nothing about its sender."""

import json
import re
import socket
from typing import Any

import pytest

from tests.support.captures import load_captures
from tests.support.collector import Collector
from tests.support.reports import annotation, chunked_report, dump, extra, gzipped_report, post, report
from tests.system.conftest import HOUSE_RULES, STATSD_NAMESPACE, TOKEN, StartCollector

# A text that is put into every place of a request.
PRIVATE = "wont-tell"


def log_records(collector: Collector) -> list[dict[str, Any]]:
    """Return all records, and check that each is one line."""
    return [json.loads(line) for line in collector.server.logs().splitlines()]


def messages_about(collector: Collector, crash_id: str) -> list[str]:
    return [record["Fields"]["msg"] for record in log_records(collector) if crash_id in json.dumps(record)]


def test_lines_are_mozlog(collector: Collector) -> None:
    collector.submit_parts(annotation("ProductName", "Firefox"))

    for record in log_records(collector):
        assert {"Timestamp", "Type", "Logger", "Hostname", "EnvVersion", "Severity", "Pid", "Fields"} == record.keys()
        assert record["Logger"] == "antenna"
        assert record["EnvVersion"] == "2.0"


def test_running_configuration_is_logged_without_secrets(collector: Collector) -> None:
    logged = {record["Fields"].get("msg") for record in log_records(collector)}

    assert TOKEN not in collector.server.logs()
    assert {
        "configuration: BREAKPAD_STAGE_SUBMITTER_BEARER_TOKEN=*****",
        "configuration: BREAKPAD_MAX_PAYLOAD_SIZE=25MiB",
        "configuration: BREAKPAD_THROTTLER_RULES=house_rules.RULES",
        f"configuration: STATSD_NAMESPACE={STATSD_NAMESPACE}",
        "configuration: CRASHMOVER_CRASHSTORAGE_CLASS=antenna.ext.gcs.crashstorage.GcsCrashStorage",
    } <= logged


@pytest.mark.parametrize(
    ("fate", "messages"),
    [
        ("unknown", ["{}: matched by everything_else; returned ACCEPT", "{} saved", "{} published"]),
        ("defer", ["{}: matched by is_deferred; returned DEFER", "{} saved"]),
        ("fakeaccept", ["{}: matched by is_fake; returned FAKEACCEPT"]),
    ],
)
def test_each_step_of_a_crash_is_a_line(collector: Collector, fate: str, messages: list[str]) -> None:
    crash_id = collector.assert_kept(collector.submit_parts(annotation("Fate", fate), dump(b"MDMP")))

    assert messages_about(collector, crash_id) == [message.format(crash_id) for message in messages]


def test_nothing_of_the_client_gets_into_the_log(start_local_collector: StartCollector) -> None:
    collector = start_local_collector(
        **HOUSE_RULES,
        LOGGING_LEVEL="DEBUG",
        BREAKPAD_STAGE_SUBMITTER_BEARER_TOKEN=PRIVATE,
        BREAKPAD_BODY_TIMEOUT="300ms",
    )
    headers: dict[str, str | None] = {
        "Authorization": f"Bearer {PRIVATE}",
        "Cookie": PRIVATE,
        "Host": PRIVATE,
        "User-Agent": PRIVATE,
        "X-Forwarded-For": "203.0.113.7",
    }
    kept = report(annotation(PRIVATE, PRIVATE), annotation("Email", PRIVATE), dump(b"", PRIVATE), headers=headers)
    with_query = kept.replace(b"/submit", f"/submit?id={PRIVATE}".encode(), 1)
    requests = [
        kept,
        with_query,
        chunked_report(annotation("Fate", PRIVATE)),
        gzipped_report(extra({"Fate": "reject", "Email": PRIVATE})),
        report(annotation("uuid", PRIVATE)),
        report(annotation("uuid", PRIVATE), headers=headers),
        report(extra(f'{{"Email": "{PRIVATE}'.encode())),
        report(extra([PRIVATE])),
        report(annotation("A", PRIVATE), dump(b"", f"raw_crash-{PRIVATE}")),
        post(PRIVATE.encode(), headers | {"Content-Encoding": PRIVATE}),
        post(PRIVATE.encode(), headers | {"Content-Type": PRIVATE}),
        post(PRIVATE.encode(), headers | {"Content-Type": f"multipart/form-data; boundary={PRIVATE}"}),
        post(PRIVATE.encode(), headers | {"Content-Length": None, "Transfer-Encoding": PRIVATE}),
        post(PRIVATE.encode(), headers | {"Content-Length": None, "Transfer-Encoding": "chunked"}),
        post(PRIVATE.encode(), headers | {"Content-Length": PRIVATE}),
        post(PRIVATE.encode(), headers | {"Content-Length": "100"}),
        kept.replace(b"Host:", PRIVATE.encode() + b" :", 1),
        kept.replace(b"POST", PRIVATE.upper().encode(), 1),
        kept.replace(b"/submit", f"/{PRIVATE}".encode(), 1),
        kept.replace(b"HTTP/1.1", PRIVATE.encode(), 1),
        with_query.replace(b"POST /submit", b"GET /__broken__", 1),
        f"{PRIVATE}\r\n\r\n".encode(),
    ]

    for request in requests:
        with collector.server.connect() as connection:
            connection.send(request)
            connection.socket.shutdown(socket.SHUT_WR)
            assert connection.receive().status != 503
        with collector.server.connect() as connection:
            connection.send(request[:-10])
            connection.close_with_a_reset()

    collector.server.stop()
    log = collector.server.logs()
    assert PRIVATE not in log.lower()
    assert "127.0.0.1" not in re.sub(r"(Listening at: |LISTEN_ADDRESS=)\S+", "", log)
    assert "203.0.113.7" not in log
    with_traceback = [record for record in log_records(collector) if "traceback" in record["Fields"]]
    assert {record["Fields"]["error"] for record in with_traceback} == {"BrokenError('/__broken__ was asked for')"}


def test_captured_values_are_not_in_the_log(collector: Collector) -> None:
    for capture in load_captures():
        collector.submit(capture.request)
        for value in capture.annotations.values():
            if isinstance(value, str) and len(value) > 12 and value != capture.annotations.get("uuid"):
                assert value not in collector.server.logs()


def fields_of(collector: Collector, event: str) -> list[dict[str, Any]]:
    return [record["Fields"] for record in log_records(collector) if record["Fields"].get("event") == event]


def test_records_of_a_crash_have_fields(collector: Collector) -> None:
    request = report(annotation("ProductName", "Firefox"), dump(b"MDMP"), headers={"X-Request-ID": "id-of-the-gateway"})
    crash_id = collector.assert_kept(collector.submit(request))
    collector.assert_published(crash_id)

    (throttled,) = [fields for fields in fields_of(collector, "throttled") if fields["crash_id"] == crash_id]
    (saved,) = [fields for fields in fields_of(collector, "saved") if fields["crash_id"] == crash_id]
    (published,) = [fields for fields in fields_of(collector, "published") if fields["crash_id"] == crash_id]
    assert (throttled["outcome"], throttled["rule"]) == ("accepted", "everything_else")
    assert throttled["bytes"] > saved["bytes"] == len(b"MDMP")
    assert saved["ms"] >= 0 <= published["ms"]
    for fields in (throttled, saved, published):
        assert fields["request_id"] == "id-of-the-gateway"
        assert fields["processname"] == "antenna"
        assert fields["host_id"]


def test_records_of_a_refusal_have_fields(collector: Collector) -> None:
    collector.submit(report(extra(b"{"), headers={"X-Request-ID": "broken-json"}))

    (refused,) = [fields for fields in fields_of(collector, "refused") if fields.get("request_id") == "broken-json"]
    assert (refused["outcome"], refused["reason"]) == ("malformed", "invalid_json")


def test_flood_of_refusals_is_summed_up_and_kept_crashes_are_not(start_local_collector: StartCollector) -> None:
    collector = start_local_collector()
    with collector.server.connect() as connection:
        for _ in range(60):
            connection.send(report(dump(b"MDMP")))
            connection.receive()
            connection.send(report(annotation("ProductName", "Firefox")))
            collector.assert_kept(connection.receive())
    collector.server.stop()

    (left_out,) = [int(fields["msg"].split()[1]) for fields in fields_of(collector, "summed_up")]
    assert len(fields_of(collector, "refused")) + left_out == 60
    assert len(fields_of(collector, "saved")) == 60
