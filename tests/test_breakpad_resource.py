# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Each POST has one answer, and is counted under one outcome."""

import errno
import hashlib
import json
import logging
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import falcon
import pytest
from falcon.testing import Result, TestClient
from markus.testing import MetricsMock

from antenna.breakpad_resource import BreakpadSubmitterResource
from antenna.config import build_config
from antenna.crash import crash_id as crash_ids
from antenna.crash.buffer import TemporaryFilesFailed
from antenna.crash.report import CrashReport
from antenna.crashmover import CrashMover
from antenna.payload.body import RequestBody
from antenna.payload.reader import PayloadReader
from antenna.refusal import Reason
from antenna.throttler import ACCEPT, DEFER, FAKEACCEPT, REJECT, Rule, Throttler
from tests.support.backends import ENVIRONMENT, Publish, Storage, is_away
from tests.support.disk import Disk
from tests.support.reports import BOUNDARY, annotation, dump, extra, multipart

TOKEN = "the token"
KNOWN_ID = "de1bb258-cbbf-4589-a673-34f800160918"
PRODUCT = annotation("ProductName", "Firefox")

RULES = [
    Rule("rejected", "Fate", lambda _, value: value == "reject", REJECT),
    Rule("deferred", "Fate", lambda _, value: value == "defer", DEFER),
    Rule("fake", "Fate", lambda _, value: value == "fakeaccept", FAKEACCEPT),
    Rule("by_user_agent", "*", lambda _, crash: crash["metadata"]["user_agent"] == "Unwanted/1.0", REJECT),
    Rule("by_client", "*", lambda _, crash: crash.get("TelemetryClientId") == "unwanted", REJECT),
    Rule("everything", "*", lambda _throttler, _crash: True, ACCEPT),
]

# For each outcome, the tag or the name of the metric that tells more about it.
DETAILS = {
    "breakpad_resource.malformed",
    "crashes_lost",
    "breakpad_resource.unauthorized",
    "breakpad_resource.unauthorized_uuid",
    "crashmover.spooled",
}


class Collector:
    """The resource with backends for tests."""

    def __init__(self, **options: str) -> None:
        environment = ENVIRONMENT | {
            "CRASHMOVER_MAX_ATTEMPTS": "1",
            "BREAKPAD_STAGE_SUBMITTER_BEARER_TOKEN": TOKEN,
            "BREAKPAD_THROTTLER_RULES": f"{__name__}.RULES",
        }
        config = build_config(environment | options)
        self.crashmover = CrashMover(config.with_namespace("crashmover"))
        self.crashmover.prepare()
        breakpad = config.with_namespace("breakpad")
        throttler = Throttler(breakpad.with_namespace("throttler"))
        self.resource = BreakpadSubmitterResource(breakpad, throttler, self.crashmover)
        app = falcon.App()
        app.add_route("/submit", self.resource)
        self._client = TestClient(app)

    @property
    def storage(self) -> Storage:
        assert isinstance(self.crashmover.crashstorage, Storage)
        return self.crashmover.crashstorage

    @property
    def publish(self) -> Publish:
        assert isinstance(self.crashmover.crashpublish, Publish)
        return self.crashmover.crashpublish

    def submit(
        self, *parts: bytes, token: str | None = None, user_agent: str = "tests", query: str = "", **more: str
    ) -> Result:
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "User-Agent": user_agent}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return self._client.simulate_post("/submit", body=multipart(*parts), headers=headers | more, query_string=query)


@pytest.fixture
def collector() -> Collector:
    return Collector()


def outcome(metricsmock: MetricsMock) -> str:
    """Return how the only request was counted: its outcome, and the tag or the name that tells more."""
    records = metricsmock.get_records()
    (outcome,) = [record.tags[0].removeprefix("outcome:") for record in records if record.key == "requests"]
    details = [record for record in records if record.key in DETAILS]
    return " ".join([outcome, *(record.tags[0] if record.tags else record.key for record in details)])


@pytest.mark.parametrize(
    ("parts", "counted"),
    [
        ([PRODUCT, dump(b"MDMP")], "accepted"),
        ([annotation("Fate", "defer")], "deferred"),
        ([annotation("Fate", "reject")], "rejected"),
        ([annotation("TelemetryClientId", "unwanted")], "rejected"),
        ([annotation("Fate", "fakeaccept")], "fake"),
        ([annotation("uuid", KNOWN_ID)], "unauthorized breakpad_resource.unauthorized_uuid"),
        ([dump(b"MDMP")], "malformed reason:no_annotations"),
        ([extra(b"{")], "malformed reason:invalid_json"),
        ([extra([])], "malformed reason:invalid_json_value"),
        ([PRODUCT, dump(b"", "raw_crash")], "malformed reason:invalid_dump_name"),
    ],
)
def test_outcome(collector: Collector, metricsmock: MetricsMock, parts: list[bytes], counted: str) -> None:
    collector.submit(*parts)

    assert outcome(metricsmock) == counted


def test_rejected_crash_has_a_line_in_the_log_with_an_id_that_is_none(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "antenna")

    assert collector.submit(PRODUCT, user_agent="Unwanted/1.0").text == "Discarded=rule_by_user_agent"

    (line,) = [message for message in caplog.messages if "matched by" in message]
    crash_id, _, verdict = line.partition(": ")
    assert verdict == "matched by by_user_agent; returned REJECT"
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{5}2[0-9]{6}", crash_id)
    assert not crash_ids.is_valid(crash_id)


def test_lines_about_rejected_crashes_are_limited_and_summed_up(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "antenna")
    for _ in range(15):
        collector.submit(annotation("Fate", "reject"))
    collector.resource.floods.sum_up()

    assert len([message for message in caplog.messages if "matched by" in message]) == 10
    assert "rejected: 5 more lines like this were left out" in caplog.messages


def test_outcome_when_the_storage_is_away(collector: Collector, metricsmock: MetricsMock) -> None:
    collector.storage.fails = is_away

    answer = collector.submit(PRODUCT)

    assert answer.status_code == 503
    assert answer.text == "Discarded=unavailable"
    assert int(answer.headers["Retry-After"]) > 0
    assert outcome(metricsmock) == "lost cause:no_spool"
    assert collector.publish.crash_ids == []


def test_outcome_when_only_publishing_is_away(collector: Collector, metricsmock: MetricsMock) -> None:
    collector.publish.fails = is_away

    assert collector.submit(PRODUCT).text.startswith("CrashID=bp-")
    assert outcome(metricsmock) == "accepted"


def test_outcome_when_it_is_spooled(metricsmock: MetricsMock, tmp_path: Path) -> None:
    collector = Collector(CRASHMOVER_SPOOL_DIR=str(tmp_path))
    collector.storage.fails = is_away

    assert collector.submit(PRODUCT).text.startswith("CrashID=bp-")
    assert outcome(metricsmock) == "accepted kind:crash"


@pytest.mark.parametrize(("number", "cause"), [(errno.ENOSPC, "spool_full"), (errno.EROFS, "spool_error")])
def test_outcome_when_the_spool_fails(
    metricsmock: MetricsMock, tmp_path: Path, disk: Disk, number: int, cause: str
) -> None:
    collector = Collector(CRASHMOVER_SPOOL_DIR=str(tmp_path))
    collector.storage.fails = is_away
    disk.fail_from(len(disk.calls), number)

    assert collector.submit(PRODUCT).status_code == 503
    assert outcome(metricsmock) == f"lost cause:{cause}"


def test_outcome_when_the_spool_has_no_room(metricsmock: MetricsMock, tmp_path: Path) -> None:
    collector = Collector(CRASHMOVER_SPOOL_DIR=str(tmp_path), CRASHMOVER_SPOOL_MAX_SIZE="1")
    collector.storage.fails = is_away

    assert collector.submit(PRODUCT, dump(b"MDMP")).status_code == 503
    assert outcome(metricsmock) == "lost cause:spool_full"


def test_outcome_when_there_is_no_room_for_temporary_files(
    metricsmock: MetricsMock, tmp_path: Path, disk: Disk
) -> None:
    collector = Collector(BREAKPAD_TEMP_DIR=str(tmp_path), BREAKPAD_MEMORY_PER_REPORT="1")
    disk.fail_from(0, errno.ENOSPC)

    answer = collector.submit(PRODUCT, dump(bytes(1_000_000)))

    assert (answer.status_code, answer.text) == (503, "Discarded=unavailable")
    assert outcome(metricsmock) == "lost cause:temp"
    assert collector.storage.objects == {}


def test_outcome_when_a_temporary_file_cannot_be_read_again(
    collector: Collector, metricsmock: MetricsMock, caplog: pytest.LogCaptureFixture
) -> None:
    collector.storage.fails = lambda _: TemporaryFilesFailed("temporary files in /tmp: Input/output error")

    assert collector.submit(PRODUCT).status_code == 503
    assert outcome(metricsmock) == "lost cause:temp"
    assert any(message.startswith("temporary files in ") for message in caplog.messages)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("a bug"), ConnectionResetError(errno.ECONNRESET, "reset"), OSError(errno.EIO, "a disk")],
    ids=repr,
)
def test_outcome_of_an_error_of_ours(
    collector: Collector, metricsmock: MetricsMock, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    collector.storage.fails = lambda _: error

    assert collector.submit(PRODUCT).status_code == 500
    assert outcome(metricsmock) == "lost cause:error"
    assert not any("temporary files" in message for message in caplog.messages)


def test_measured(collector: Collector, metricsmock: MetricsMock) -> None:
    collector.submit(PRODUCT)

    metricsmock.assert_incr_once("breakpad_resource.incoming_crash")
    metricsmock.assert_incr_once("breakpad_resource.throttle_rule", tags=["rule:everything"])
    metricsmock.assert_incr_once("throttle.accept")
    metricsmock.assert_histogram_once(
        "breakpad_resource.crash_size", value=len(multipart(PRODUCT)), tags=["payload:uncompressed"]
    )
    metricsmock.assert_timing_once("breakpad_resource.on_post.time")
    metricsmock.assert_timing_once("breakpad_resource.crash_handling.time")


def test_time_of_handling_begins_before_the_body_is_read(
    collector: Collector, metricsmock: MetricsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = PayloadReader.read

    def read_slowly(reader: PayloadReader, environ: dict[str, Any], body: RequestBody) -> CrashReport:
        time.sleep(0.2)
        return read(reader, environ, body)

    monkeypatch.setattr(PayloadReader, "read", read_slowly)

    collector.submit(PRODUCT)

    (record,) = metricsmock.filter_records("timing", "breakpad_resource.crash_handling.time")
    assert 200 <= record.value < 2000


@pytest.mark.parametrize(
    ("fate", "result", "digit"),
    [("any", "everything; returned ACCEPT", "0"), ("defer", "deferred; returned DEFER", "1")],
)
def test_id_says_what_the_throttler_said(
    collector: Collector, caplog: pytest.LogCaptureFixture, fate: str, result: str, digit: str
) -> None:
    caplog.set_level(logging.INFO, "antenna")
    crash_id = collector.submit(annotation("Fate", fate)).text[len("CrashID=bp-") : -1]

    assert crash_id[-7] == digit
    assert f"{crash_id}: matched by {result}" in caplog.messages


def test_rejected_report_costs_no_checksum(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_checksum(*_: object) -> None:
        raise AssertionError("9 of 10 reports are rejected")

    monkeypatch.setattr("antenna.crash.report.Dump.pieces", no_checksum)

    assert collector.submit(annotation("Fate", "reject"), dump(b"MDMP")).text == "Discarded=rule_rejected"


@pytest.mark.parametrize("make_part", [lambda uuid: annotation("uuid", uuid), lambda uuid: extra({"uuid": uuid})])
def test_submitter_gives_the_id(collector: Collector, make_part: Callable[[str], bytes]) -> None:
    assert collector.submit(make_part(KNOWN_ID), token=TOKEN).text == f"CrashID=bp-{KNOWN_ID}\n"
    assert f"v1/raw_crash/20160918/{KNOWN_ID}" in collector.storage.objects
    assert collector.publish.crash_ids == [KNOWN_ID]


@pytest.mark.parametrize(("token", "given"), [("", ""), ("", "any"), (TOKEN, ""), (TOKEN, "any"), (TOKEN, "the")])
def test_nobody_else_does(token: str, given: str) -> None:
    collector = Collector(BREAKPAD_STAGE_SUBMITTER_BEARER_TOKEN=token)

    assert collector.submit(annotation("uuid", KNOWN_ID), token=given).status_code == 401
    assert collector.storage.objects == {}


def test_token_may_have_any_characters() -> None:
    collector = Collector(BREAKPAD_STAGE_SUBMITTER_BEARER_TOKEN="geheim\N{LATIN SMALL LETTER E WITH ACUTE}")

    # WSGI has the bytes of a header as ISO 8859-1 (PEP 3333).
    wire = "geheim\N{LATIN SMALL LETTER E WITH ACUTE}".encode().decode("latin-1")
    assert collector.submit(annotation("uuid", KNOWN_ID), token=wire).status_code == 200


def test_reasons_have_an_answer_a_tag_and_words_for_the_docs_each() -> None:
    assert len({reason.answer for reason in Reason}) == len({reason.tag for reason in Reason}) == len(Reason)
    for reason in Reason:
        assert re.fullmatch(r"[a-z0-9_]+", reason.answer)
        assert reason.doc.endswith(".")
        assert reason.status in {400, 401, 408, 413, 503}


UPLOAD_TOKEN = "let-me-in"


@pytest.fixture
def guarded_collector() -> Collector:
    return Collector(BREAKPAD_UPLOAD_TOKENS=f"{UPLOAD_TOKEN};Game:game-only")


def test_report_without_a_token(guarded_collector: Collector, metricsmock: MetricsMock) -> None:
    answer = guarded_collector.submit(PRODUCT)

    assert (answer.status_code, answer.text) == (401, "Discarded=unauthorized")
    assert outcome(metricsmock) == "unauthorized breakpad_resource.unauthorized"
    assert guarded_collector.storage.objects == {}


def test_token_is_seen_by_nobody(caplog: pytest.LogCaptureFixture) -> None:
    collector = Collector(BREAKPAD_UPLOAD_TOKENS=UPLOAD_TOKEN, BREAKPAD_THROTTLER_RULES=f"{__name__}.TOKEN_RULES")
    caplog.set_level(logging.DEBUG, "antenna")

    for answer in (
        collector.submit(PRODUCT, query=f"token={UPLOAD_TOKEN}"),
        collector.submit(PRODUCT, **{"X-Crash-Token": UPLOAD_TOKEN}),
        collector.submit(PRODUCT, annotation("token", UPLOAD_TOKEN)),
        collector.submit(extra({"ProductName": "Firefox", "token": UPLOAD_TOKEN})),
    ):
        assert answer.text.startswith("CrashID=bp-")

    assert len([path for path in collector.storage.objects if "raw_crash" in path]) == 4
    assert UPLOAD_TOKEN not in str(collector.storage.objects)
    assert UPLOAD_TOKEN not in caplog.text


TOKEN_RULES = [
    Rule("sees_token", "token", lambda _throttler, _value: True, REJECT),
    Rule("everything", "*", lambda _throttler, _crash: True, ACCEPT),
]


def test_submitter_needs_no_upload_token(guarded_collector: Collector) -> None:
    assert (
        guarded_collector.submit(PRODUCT, annotation("uuid", KNOWN_ID), token=TOKEN).text == f"CrashID=bp-{KNOWN_ID}\n"
    )
    assert guarded_collector.submit(PRODUCT, annotation("uuid", KNOWN_ID)).text == "Discarded=unauthorized"


def test_annotation_token_is_kept_where_no_token_is_asked_for(collector: Collector) -> None:
    collector.submit(PRODUCT, annotation("token", "of my own"))

    assert "of my own" in str(collector.storage.objects)


def saved_annotations(collector: Collector) -> dict[str, Any]:
    (content,) = [content for path, content in collector.storage.objects.items() if "raw_crash" in path]
    value: dict[str, Any] = json.loads(content)
    return value


PRIVATE = [annotation(name, "secret") for name in ("Email", "TelemetryClientId", "Address", "Comments")]


@pytest.mark.parametrize(
    ("option", "removed"),
    [("", {"Email", "TelemetryClientId"}), ("Address, Email", {"Address", "Email"}), (",", set())],
)
def test_private_annotations(option: str, removed: set[str]) -> None:
    collector = Collector(BREAKPAD_PRIVATE_ANNOTATIONS=option)

    collector.submit(PRODUCT, *PRIVATE)

    saved = saved_annotations(collector)
    assert {"Email", "TelemetryClientId", "Address", "Comments"} - saved.keys() == removed
    assert set(saved["metadata"]["collector_notes"]) == {f"Removed {name} from raw crash." for name in removed}


RULES_FILE = """
[[rules]]
name = "no_comments"
annotation = "Comments"
exists = true
result = "CONTINUE"
remove = ["Comments", "Absent"]

[[rules]]
name = "stopped"
key = "channel"
equals = "old"
result = "REJECT"
stop_sending = true

[[rules]]
name = "rest"
result = "ACCEPT"
"""


@pytest.fixture
def collector_with_file(tmp_path: Path) -> Collector:
    (tmp_path / "rules.toml").write_text(RULES_FILE)
    return Collector(BREAKPAD_THROTTLER_RULES=str(tmp_path / "rules.toml"))


def test_a_rule_removes_more(collector_with_file: Collector) -> None:
    collector_with_file.submit(PRODUCT, *PRIVATE)

    saved = saved_annotations(collector_with_file)
    assert saved.keys() & {"Email", "Address", "Comments"} == {"Address"}
    assert "Removed Comments from raw crash." in saved["metadata"]["collector_notes"]
    assert "Removed Absent from raw crash." not in saved["metadata"]["collector_notes"]


def test_which_rules_file_decided(collector_with_file: Collector, collector: Collector) -> None:
    collector_with_file.submit(PRODUCT)
    collector.submit(PRODUCT)

    digest = hashlib.sha256(RULES_FILE.encode()).hexdigest()
    assert saved_annotations(collector_with_file)["metadata"]["throttle_rules"] == f"rules.toml@{digest[:12]}"
    assert "throttle_rules" not in saved_annotations(collector)["metadata"]


@pytest.mark.parametrize(
    ("version", "is_stopped"),
    [
        ("115.0.1esr", True),
        ("1.0-rc_1+b", True),
        ("9" * 40, True),
        ("9" * 41, False),
        ("", False),
        ("1.0\n", False),
        ("1.0\nCrashID=bp-1", False),
        ("1 0", False),
        ("\N{ARABIC-INDIC DIGIT ONE}", False),
    ],
)
def test_stop_sending(collector_with_file: Collector, version: str, is_stopped: bool) -> None:
    answer = collector_with_file.submit(PRODUCT, annotation("ReleaseChannel", "old"), annotation("ver", version))

    second_line = f"\nStopSendingReportsFor={version}" if is_stopped else ""
    assert (answer.status_code, answer.text) == (200, f"Discarded=rule_stopped{second_line}")
