# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Each answer that a client can get, byte by byte, and the objects that are kept after it."""

import gzip
import json
import socket
import uuid
from typing import Any

import pytest

from tests.support.collector import Collector, assert_answer
from tests.support.reports import (
    BOUNDARY,
    MINIDUMP,
    THROTTLE_ANNOTATIONS,
    annotation,
    chunked,
    chunked_report,
    dump,
    extra,
    gzipped_report,
    multipart,
    post,
    report,
)
from tests.system.conftest import TOKEN

PRODUCT = annotation("ProductName", "Firefox")
DUMP = dump(b"MDMP\x93\xa7")
BODY = multipart(PRODUCT, DUMP)
KNOWN_ID = "de1bb258-cbbf-4589-a673-34f800160918"


class TestKept:
    @pytest.mark.parametrize(
        "request_bytes",
        [
            pytest.param(report(PRODUCT, DUMP), id="length"),
            pytest.param(chunked_report(PRODUCT, DUMP, chunk_size=7), id="chunked"),
            pytest.param(gzipped_report(PRODUCT, DUMP), id="gzip"),
            pytest.param(post(gzip.compress(BODY), {"Content-Encoding": "X-GZip"}), id="x-gzip"),
            pytest.param(
                post(gzip.compress(BODY[:99]) + gzip.compress(BODY[99:]), {"Content-Encoding": "gzip"}),
                id="gzip members",
            ),
            pytest.param(post(BODY, {"Content-Encoding": "identity"}), id="identity"),
            pytest.param(
                post(
                    chunked(gzip.compress(BODY), 10),
                    {"Content-Length": None, "Transfer-Encoding": "chunked", "Content-Encoding": "gzip"},
                ),
                id="chunked gzip",
            ),
            pytest.param(
                post(BODY, {"Content-Type": f'Multipart/Mixed; charset=utf-8; BOUNDARY="{BOUNDARY}"'}), id="mixed"
            ),
            pytest.param(
                report(PRODUCT, DUMP).replace(b"/submit", b"/submit?id={ec8030f7}&version=%zz", 1), id="query"
            ),
            pytest.param(
                report(PRODUCT, DUMP).replace(b"/submit", "/submit?product=Größe 2\t\x01?\xff".encode(), 1),
                id="query that is no URI",
            ),
        ],
    )
    def test_answers_the_id(self, collector: Collector, request_bytes: bytes) -> None:
        crash = collector.assert_saved(collector.submit(request_bytes))

        assert crash.raw_crash["ProductName"] == "Firefox"
        assert crash.dumps == {MINIDUMP: b"MDMP\x93\xa7"}
        collector.assert_published(crash.crash_id)

    def test_report_without_a_dump(self, collector: Collector) -> None:
        crash = collector.assert_saved(collector.submit_parts(extra({"ProductName": "Fenix", "JavaException": "{}"})))

        assert crash.dumps == {}
        assert crash.raw_crash["metadata"]["payload"] == "json"
        collector.assert_published(crash.crash_id)

    def test_private_annotations_are_removed_and_noted(self, collector: Collector) -> None:
        private = ["Email", "TelemetryClientId", "TelemetryServerURL", "TelemetrySessionId"]

        for answer in (
            collector.submit_parts(PRODUCT, *(annotation(name, "private") for name in private)),
            collector.submit_parts(extra({"ProductName": "Firefox"} | dict.fromkeys(private, "private"))),
        ):
            crash = collector.assert_saved(answer)
            assert sorted(crash.notes) == [f"Removed {name} from raw crash." for name in private]
            assert "private" not in json.dumps(crash.raw_crash)

    def test_collectors_keys_win_over_annotations(self, collector: Collector) -> None:
        forged = {"version": 1, "submitted_timestamp": "then", "metadata": {"collector_notes": ["forged"]}}

        crash = collector.assert_saved(collector.submit_parts(extra({"ProductName": "Firefox"} | forged)))

        assert crash.raw_crash["version"] == 2
        assert crash.raw_crash["submitted_timestamp"] != "then"
        assert crash.notes == []

    def test_client_without_a_user_agent(self, collector: Collector) -> None:
        crash = collector.assert_saved(collector.submit(report(PRODUCT, headers={"User-Agent": None})))

        assert crash.raw_crash["metadata"]["user_agent"] == "None"


class TestThrottled:
    def test_rejected(self, collector: Collector) -> None:
        with collector.keeps_nothing():
            answer = collector.submit_parts(PRODUCT, annotation("Fate", "reject"), DUMP)

        collector.assert_discarded(answer, "rule_is_rejected")

    def test_fake_accepted(self, collector: Collector) -> None:
        crash_id = collector.assert_kept(collector.submit_parts(PRODUCT, annotation("Fate", "fakeaccept"), DUMP))

        collector.assert_not_saved(crash_id)
        collector.assert_not_published(crash_id)

    def test_deferred(self, collector: Collector) -> None:
        crash = collector.assert_saved(collector.submit_parts(PRODUCT, annotation("Fate", "defer"), DUMP))

        assert crash.crash_id[-7] == "1"
        assert crash.raw_crash["metadata"]["throttle_rule"] == "is_deferred"
        collector.assert_not_published(crash.crash_id)

    def test_sampled(self, collector: Collector) -> None:
        chosen = collector.assert_saved(collector.submit_parts(PRODUCT, annotation("Fate", "always chosen")))
        assert chosen.raw_crash["metadata"]["throttle_rule"] == "lucky"
        collector.assert_published(chosen.crash_id)

        collector.assert_discarded(collector.submit_parts(PRODUCT, annotation("Fate", "never chosen")), "rule_unlucky")

    def test_rules_see_text_whatever_json_type_came(self, collector: Collector) -> None:
        collector.assert_discarded(collector.submit_parts(extra({"Number": 5})), "rule_number_as_text")

    def test_rule_that_raises_is_skipped(self, collector: Collector) -> None:
        crash = collector.assert_saved(collector.submit_parts(PRODUCT, annotation("Fate", "unknown")))

        assert crash.raw_crash["metadata"]["throttle_rule"] == "everything_else"
        assert "throttle rule faulty raised RuntimeError; skipped" in collector.server.logs()

    def test_nothing_is_decided_before_the_last_part(self, collector: Collector) -> None:
        collector.assert_discarded(
            collector.submit_parts(PRODUCT, DUMP, annotation("Fate", "reject")), "rule_is_rejected"
        )


def with_type(content_type: str | None) -> bytes:
    return post(BODY, {"Content-Type": content_type})


def with_encoding(encoding: str, body: bytes = BODY) -> bytes:
    return post(body, {"Content-Encoding": encoding})


# The body consists of gzip members in a row.
BODY_OF_201_MIB = gzip.compress(BODY[:-9]) + gzip.compress(bytes(1024 * 1024)) * 201

CHUNKED = {"Content-Length": None, "Transfer-Encoding": "chunked"}


class TestRefused:
    @pytest.mark.parametrize(
        ("request_bytes", "why"),
        [
            (with_type(None), "no_content_type"),
            (with_type(""), "no_content_type"),
            (with_type("application/json"), "wrong_content_type"),
            (with_type(f"multipart/related; boundary={BOUNDARY}"), "wrong_content_type"),
            (with_type("multipart/form-data"), "no_boundary"),
            (with_type('multipart/form-data; boundary=""'), "no_boundary"),
            (post(b""), "no_content_length"),
            (post(b"", {"Content-Length": None}), "no_content_length"),
            (post(chunked(b"", 1), CHUNKED), "no_content_length"),
            (with_encoding("br"), "unsupported_encoding"),
            (with_encoding("gzip, gzip"), "unsupported_encoding"),
            (with_encoding("gzip"), "bad_gzip"),
            (with_encoding("gzip", gzip.compress(BODY)[:-9]), "bad_gzip"),
            (post(b"5\r\nhello", CHUNKED | {"Connection": "close"}) + b"no chunk", "bad_framing"),
            (report(extra(b"{")), "invalid_json"),
            (report(extra(b'{"a": NaN}')), "invalid_json"),
            (report(extra(b"[" * 100_000)), "invalid_json"),
            (report(extra([])), "invalid_json_value"),
            (report(extra(None)), "invalid_json_value"),
            (post(BODY[:-9]), "invalid_payload_structure"),
            (post(b"no boundary in here"), "invalid_payload_structure"),
            (report(DUMP), "no_annotations"),
            (report(extra({}), DUMP), "no_annotations"),
            (report(PRODUCT, dump(b"", "raw_crash")), "invalid_dump_name"),
            (report(PRODUCT, dump(b"", "dump_names")), "invalid_dump_name"),
            (report(PRODUCT, dump(b"", "processed-_crash")), "invalid_dump_name"),
            (report(*(annotation(f"a{number}", "") for number in range(2001))), "too_large"),
            (post(BODY, {"Content-Length": str(26 * 1024 * 1024)}), "too_large"),
            (with_encoding("gzip", BODY_OF_201_MIB), "too_large"),
            (b"POST /submit HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "bad_request"),
            (b"what is this?\r\n\r\n", "bad_request"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_malformed(self, collector: Collector, request_bytes: bytes, why: str) -> None:
        with collector.keeps_nothing():
            answer = collector.submit(request_bytes)

        collector.assert_discarded(answer, f"malformed_{why}")

    def test_client_that_stops_half_way(self, collector: Collector) -> None:
        with collector.keeps_nothing(), collector.server.connect() as connection:
            connection.send(report(PRODUCT, DUMP)[:-20])
            connection.socket.shutdown(socket.SHUT_WR)
            collector.assert_discarded(connection.receive(), "malformed_incomplete_body")

    def test_client_that_is_too_slow(self, mozilla_collector: Collector) -> None:
        with mozilla_collector.keeps_nothing(), mozilla_collector.server.connect() as connection:
            connection.send(report(PRODUCT, DUMP)[:-20])
            mozilla_collector.assert_discarded(connection.receive(), "timeout")

    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
    def test_other_methods(self, collector: Collector, method: str) -> None:
        request = report(PRODUCT).replace(b"POST", method.encode(), 1)

        with collector.server.connect() as connection:
            connection.send(request)
            status_line = connection.socket.recv(100).split(b"\r\n")[0]

        assert int(status_line.split()[1]) in ({200} if method == "OPTIONS" else {405})

    @pytest.mark.parametrize("method", ["FOO", "WEBSOCKET"])
    @pytest.mark.parametrize(("path", "allowed"), [("/submit", "POST"), ("/__version__", "GET")])
    def test_methods_that_nobody_knows(self, collector: Collector, method: str, path: str, allowed: str) -> None:
        with collector.keeps_nothing():
            answer = collector.submit(report(PRODUCT).replace(b"POST /submit", f"{method} {path}".encode(), 1))

        assert_answer(answer, 405)
        assert answer.headers["Allow"] == allowed
        assert answer.body == b""

    def test_connection_serves_on_after_a_refusal(self, collector: Collector) -> None:
        with collector.server.connect() as connection:
            for _ in range(3):
                connection.send(report(DUMP))
                collector.assert_discarded(connection.receive(), "malformed_no_annotations")
                connection.send(report(PRODUCT))
                collector.assert_saved(connection.receive())


class TestKnownIds:
    @pytest.mark.parametrize("authorization", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER  {TOKEN} "])
    @pytest.mark.parametrize("result", [0, 1])
    @pytest.mark.parametrize("as_json", [False, True])
    def test_submitter_gives_the_id(self, collector: Collector, authorization: str, result: int, as_json: bool) -> None:
        known_id = f"{str(uuid.uuid4())[:-7]}{result}160918"
        part = extra({"uuid": known_id}) if as_json else annotation("uuid", known_id)

        crash = collector.assert_saved(
            collector.submit(report(PRODUCT, part, DUMP, headers={"Authorization": authorization}))
        )

        assert crash.crash_id == crash.raw_crash["uuid"] == known_id
        collector.assert_published(known_id)

    @pytest.mark.parametrize(
        "authorization",
        [
            None,
            "",
            "Bearer",
            "Bearer ",
            f"Basic {TOKEN}",
            TOKEN,
            f"Bearer {TOKEN}x",
            f"Bearer x{TOKEN}",
            f"Bearer {TOKEN.upper()}",
            f"Bearer {TOKEN}\N{LATIN SMALL LETTER E WITH ACUTE}",
            "Bearer \xff\xfe",
            "\x80",
        ],
    )
    def test_nobody_else_does(self, collector: Collector, authorization: str | None) -> None:
        request = report(PRODUCT, annotation("uuid", KNOWN_ID), DUMP, headers={"Authorization": authorization})

        with collector.keeps_nothing():
            collector.assert_discarded(collector.submit(request), "unauthorized_uuid")

    @pytest.mark.parametrize("authorization", [None, "Bearer", "Bearer ", f"Bearer {TOKEN}"])
    def test_without_a_configured_token_it_is_nobody(
        self, mozilla_collector: Collector, authorization: str | None
    ) -> None:
        request = report(annotation("uuid", KNOWN_ID), headers={"Authorization": authorization})

        mozilla_collector.assert_discarded(mozilla_collector.submit(request), "unauthorized_uuid")

    @pytest.mark.parametrize(
        "given",
        [
            "",
            f"{KNOWN_ID}\n",
            f"bp-{KNOWN_ID}",
            KNOWN_ID.upper(),
            f"{KNOWN_ID[:-7]}2160918",
            f"{KNOWN_ID[:-6]}160931",
            "../../raw_crash",
            5,
            None,
            [KNOWN_ID],
        ],
    )
    def test_the_id_must_be_one(self, collector: Collector, given: object) -> None:
        request = report(extra({"ProductName": "Firefox", "uuid": given}), headers={"Authorization": f"Bearer {TOKEN}"})

        with collector.keeps_nothing():
            collector.assert_discarded(collector.submit(request), "malformed_invalid_uuid")


NIGHTLY = {"ProductName": "Firefox", "ReleaseChannel": "nightly"}
ESR = {"ProductName": "Firefox", "ReleaseChannel": "esr"}
ANY_VALUE: list[object] = [None, 5, -0.0, 1e999, True, [], ["Firefox"], {}, {"system": {"os": 5}}, "\ud800", "\0"]


class TestNoRequestIsAnErrorOfTheServer:
    @pytest.mark.parametrize(
        "annotations",
        [
            pytest.param({"Deep": json.loads("[" * 150 + "]" * 150)}, id="nested"),
            pytest.param({"Huge": 10**999}, id="a thousand digits"),
            pytest.param(
                {"Number": 1.5e300, "Bool": True, "Null": None, "List": [1, {}], "Object": {"a": []}}, id="types"
            ),
            pytest.param({"NUL": "\0", "Control": "\x1b[31m\r\n", "\x7f\0": ""}, id="control characters"),
            pytest.param({"Unicode": "\N{PILE OF POO}\u2028\ufffe", "\u202e": ""}, id="unicode"),
            pytest.param({"": "an annotation without a name"}, id="empty name"),
        ],
    )
    def test_json_of_any_kind_is_kept_as_it_came(
        self, mozilla_collector: Collector, annotations: dict[str, Any]
    ) -> None:
        crash = mozilla_collector.assert_saved(mozilla_collector.submit_parts(extra(NIGHTLY | annotations)))

        assert {name: crash.raw_crash[name] for name in annotations} == annotations

    def test_half_of_a_surrogate_pair_is_replaced_and_noted(self, mozilla_collector: Collector) -> None:
        crash = mozilla_collector.assert_saved(mozilla_collector.submit_parts(extra(NIGHTLY | {"Half": "\ud83d!"})))

        assert crash.raw_crash["Half"] == "\ufffd!"
        assert len(crash.notes) == 1

    @pytest.mark.parametrize("name", THROTTLE_ANNOTATIONS)
    def test_throttle_annotations_of_any_type(self, mozilla_collector: Collector, name: str) -> None:
        kept = []
        with mozilla_collector.server.connect() as connection:
            for value in ANY_VALUE:
                for content in (value, json.dumps(value)):
                    connection.send(report(extra(ESR | {name: content})))
                    answer = connection.receive()
                    if answer.status == 400:
                        mozilla_collector.assert_discarded(answer, "malformed_invalid_json")
                    elif answer.text.startswith("Discarded="):
                        assert_answer(answer, 200)
                    else:
                        mozilla_collector.assert_kept(answer)
                        kept.append(answer)
        for answer in kept[:1] + kept[-1:]:
            mozilla_collector.assert_saved(answer)

    @pytest.mark.parametrize(
        "header", ["User-Agent", "Authorization", "X-Forwarded-For", "Content-Encoding", "X-Other"]
    )
    @pytest.mark.parametrize("value", ["\xff\xfe", "\xe9", '"', "\t", ";;;=", "a" * 8000])
    def test_odd_bytes_in_headers(self, mozilla_collector: Collector, header: str, value: str) -> None:
        answer = mozilla_collector.submit(report(extra(NIGHTLY), headers={header: value}))

        assert answer.status in {200, 400}
