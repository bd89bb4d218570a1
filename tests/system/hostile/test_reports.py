# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reports that are almost valid. Each is kept with everything that came, or refused with a reason."""

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.reports import (
    BOUNDARY,
    MINIDUMP,
    THROTTLE_ANNOTATIONS,
    annotation,
    dump,
    extra,
    multipart,
    post,
    report,
)
from tests.support.watch import MIB, Target
from tests.system.conftest import TOKEN

PRODUCT = annotation("ProductName", "Firefox")
BODY = multipart(PRODUCT, dump(b"MDMP"))
GZIP = {"Content-Encoding": "gzip"}
KNOWN_ID = "de1bb258-cbbf-4589-a673-34f800160918"


def gzipped(body: bytes) -> bytes:
    return post(body, GZIP)


def with_boundary(boundary: bytes, content_type: bytes | None = None) -> bytes:
    """Return a report whose dump is almost its boundary."""
    content = b"\r\n--" + boundary[:-1] + b"\r\n--" + boundary + b"!\r\n"
    body = multipart(PRODUCT, dump(content)).replace(BOUNDARY.encode(), boundary)
    header = content_type or b"multipart/form-data; boundary=" + boundary
    return post(body, {"Content-Type": header.decode("latin-1")})


def part(headers: bytes, content: bytes = b"content") -> bytes:
    return headers + b"\r\n\r\n" + content


class TestRefused:
    @pytest.mark.parametrize(
        ("request_bytes", "why"),
        [
            pytest.param(report(extra(b"[" * 1000 + b"]" * 1000)), "invalid_json", id="nested 1,000 deep"),
            pytest.param(report(extra(b"[" * 200_000 + b"]" * 200_000)), "invalid_json", id="nested 200,000 deep"),
            pytest.param(report(extra(b'{"a":' * 1000 + b"1" + b"}" * 1000)), "invalid_json", id="1,000 objects"),
            pytest.param(report(extra(b'{"a":' * 200_000)), "invalid_json", id="200,000 objects"),
            pytest.param(report(extra(b'{"a":' + b"[" * 1000 + b"]" * 1000 + b"}")), "invalid_json", id="deep value"),
            pytest.param(report(extra(b'{"a":' + b"[" * 200_000)), "invalid_json", id="very deep value"),
            pytest.param(report(extra(b'{"a":' + b"9" * 10_000 + b"}")), "invalid_json", id="10,000 digits"),
            pytest.param(report(extra(b'{"a":-Infinity}')), "invalid_json", id="Infinity"),
            pytest.param(report(extra(b'{"a":[{"b":NaN}]}')), "invalid_json", id="NaN"),
            pytest.param(report(extra(b'{"a":1e400}')), "invalid_json", id="number out of range"),
            pytest.param(report(extra('{"a": 1}'.encode("utf-16"))), "invalid_json", id="UTF-16"),
            pytest.param(report(extra(b'{"a": "\xff"}')), "invalid_json", id="not UTF-8"),
            pytest.param(report(extra(b"")), "invalid_json", id="empty"),
            pytest.param(report(extra(["ProductName"])), "invalid_json_value", id="list"),
            pytest.param(report(extra(None)), "invalid_json_value", id="null"),
            pytest.param(report(extra("ProductName")), "invalid_json_value", id="string"),
            pytest.param(report(extra({"a" * 1025: 0})), "too_large", id="long name in JSON"),
            pytest.param(report(annotation("a" * 1025, "")), "too_large", id="long name"),
            pytest.param(report(PRODUCT, *[dump(b"", "d")] * 33), "too_large", id="33 dumps"),
            pytest.param(report(part(b"X: " + b"x" * 200_000)), "too_large", id="part headers of 200 kB"),
            pytest.param(report(part(b"\r\n".join([b"X: 1"] * 1000))), "too_large", id="1,000 part headers"),
            pytest.param(gzipped(gzip.compress(BODY)[:-1]), "bad_gzip", id="gzip cut off"),
            pytest.param(gzipped(gzip.compress(BODY)[:20]), "bad_gzip", id="gzip cut off early"),
            pytest.param(gzipped(BODY), "bad_gzip", id="no gzip"),
            pytest.param(gzipped(gzip.compress(BODY) + b"\x1f\x8b junk"), "bad_gzip", id="half a gzip member"),
            pytest.param(gzipped(gzip.compress(gzip.compress(BODY))), "invalid_payload_structure", id="gzip twice"),
            pytest.param(post(BODY, {"Content-Encoding": "br"}), "unsupported_encoding", id="brotli"),
            pytest.param(post(BODY, {"Content-Encoding": "\xff"}), "unsupported_encoding", id="encoding of odd bytes"),
            pytest.param(with_boundary(b""), "no_boundary", id="empty boundary"),
            pytest.param(with_boundary(b"x" * 5000), "no_boundary", id="boundary of 5,000"),
            pytest.param(post(BODY.replace(b"\r\n", b"\n")), "invalid_payload_structure", id="bare line feeds"),
            pytest.param(report(PRODUCT, dump(b"", "raw_-crash")), "invalid_dump_name", id="dump that is a raw crash"),
            pytest.param(report(annotation("a", b"\xff")), "no_annotations", id="no annotation that is valid"),
        ],
    )
    def test_with_a_reason(self, target: Target, request_bytes: bytes, why: str) -> None:
        with target.collector.keeps_nothing():
            target.assert_refused(target.submit(request_bytes), f"malformed_{why}")

    @pytest.mark.parametrize(
        "make",
        [
            pytest.param(lambda: report(extra({f"{key:x}": 0 for key in range(40_000)})), id="40,000 keys"),
            pytest.param(lambda: gzipped(gzip.compress(b"") * 50_000), id="50,000 gzip members"),
            pytest.param(lambda: report(extra(b"{" + b'"a":[],' * MIB + b'"b":1}')), id="a million lists"),
            pytest.param(lambda: report(extra(b'"' + b"a" * 9 * MIB)), id="9 MiB of JSON"),
            pytest.param(lambda: report(annotation("a", "x" * 9 * MIB)), id="9 MiB of text"),
            pytest.param(lambda: report(*[annotation("a", "")] * 50_000), id="50,000 tiny parts"),
            pytest.param(lambda: report(*[part(b"X: 1")] * 50_000), id="50,000 parts without a name"),
        ],
    )
    def test_large(self, target: Target, make: Callable[[], bytes]) -> None:
        with target.collector.keeps_nothing():
            target.assert_refused(target.submit(make()), "malformed_too_large")


class TestKept:
    @pytest.mark.parametrize(
        "boundary",
        [b"-", b"-" * 70, b"--", b".*", b"[a-z]+(?:x)?$", b"\\", b"a" * 256, b"'()+_,-./:=?", b"\xe9\xff", b"\x80"],
    )
    def test_any_boundary(self, target: Target, boundary: bytes) -> None:
        crash = target.collector.assert_saved(target.submit(with_boundary(boundary)))

        assert crash.raw_crash["ProductName"] == "Firefox"
        assert crash.dumps == {MINIDUMP: b"\r\n--" + boundary[:-1] + b"\r\n--" + boundary + b"!\r\n"}

    @pytest.mark.parametrize("boundary", [b"a b", b"a;b", b"a,b=c", b'a"b', b"a\\b"])
    def test_quoted_boundary(self, target: Target, boundary: bytes) -> None:
        quoted = boundary.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
        content_type = b'multipart/form-data; charset=x; boundary="%b"; y=z' % quoted

        target.collector.assert_saved(target.submit(with_boundary(boundary, content_type)))

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(gzip.compress(BODY) + b"trailing junk", id="junk after it"),
            pytest.param(gzip.compress(BODY) + bytes(1000), id="zeros after it"),
            pytest.param(b"".join(gzip.compress(bytes([byte])) for byte in BODY), id="member for each byte"),
            pytest.param(gzip.compress(BODY, 0), id="stored"),
        ],
    )
    def test_odd_gzip(self, target: Target, body: bytes) -> None:
        crash = target.collector.assert_saved(target.submit(gzipped(body)))

        assert crash.dumps == {MINIDUMP: b"MDMP"}

    @pytest.mark.parametrize(
        ("headers", "kept"),
        [
            (b"Content-Disposition: form-data; name=a\r\nno colon here", {"a": "content"}),
            (b'Content-Disposition: form-data; name="\xff\xfe"', {"ÿþ": "content"}),
            ('Content-Disposition: form-data; name="ä\0\x1b"'.encode(), {"ä\0\x1b": "content"}),
            (b"\xff\xfe\x00: \xff\r\nContent-Disposition: form-data; name=a", {"a": "content"}),
            (b"Content-Disposition: form-data; name=a\r\nContent-Type: text/plain; charset=\xff", {"a": "content"}),
            (b"Content-Disposition: form-data; name=a\r\nContent-Type: text/plain; charset=zip", {"a": "content"}),
            (b'Content-Disposition: form-data; name=a; "; filename', {"a": "content"}),
            (b"Content-Disposition: form-data; name=" + b"a" * 1024, {"a" * 1024: "content"}),
            (b"Content-Disposition:" + b" " * 9000 + b"form-data;" + b" " * 5000 + b"name=a", {"a": "content"}),
        ],
        ids=lambda value: value[:60] if isinstance(value, bytes) else "",
    )
    def test_odd_part_headers(self, target: Target, headers: bytes, kept: dict[str, str]) -> None:
        crash = target.collector.assert_saved(target.submit(report(part(headers))))

        assert {name: crash.raw_crash.get(name) for name in kept} == kept

    def test_duplicate_keys(self, target: Target) -> None:
        crash = target.collector.assert_saved(target.submit(report(extra(b'{"a": 1, "a": {"b": 2, "b": 3}}'))))

        assert crash.raw_crash["a"] == {"b": 3}
        assert crash.notes == ["Repeated annotation a: the last one was kept."]

    @pytest.mark.parametrize(
        "forged",
        [
            {"metadata": "forged"},
            {"metadata": {"collector_notes": "forged"}},
            {"version": None, "submitted_timestamp": [], "metadata": 5},
            {"collector_notes": ["a"], "dump_checksums": {"a": "b"}, "payload_size": -1, "throttle_rule": "x"},
        ],
    )
    def test_annotations_named_like_the_collectors_keys(self, target: Target, forged: dict[str, Any]) -> None:
        crash = target.collector.assert_saved(target.submit(report(extra({"ProductName": "x"} | forged))))

        assert crash.raw_crash["version"] == 2
        assert crash.raw_crash["metadata"]["throttle_rule"] == "accept_everything"

    def test_dump_names_that_collapse_overwrite_nothing(self, target: Target) -> None:
        names = ["dump", MINIDUMP, "d-u-m-p", "", "/../", "ü", "x" * 40, "x" * 50, "dump_1", "unnamed_1", MINIDUMP]
        dumps = [dump(f"content {number}".encode(), name) for number, name in enumerate(names)]

        crash = target.collector.assert_saved(target.submit(report(PRODUCT, *dumps)))

        assert sorted(crash.dumps.values()) == sorted(f"content {number}".encode() for number in range(len(names)))
        assert crash.dumps[MINIDUMP] == b"content 1"
        assert len(crash.notes) == 8, "all that are not stored under the name they came with"

    def test_huge_names_and_values(self, target: Target) -> None:
        odd = "\N{PILE OF POO}\0\u2028\x1b[31m\r\n{}%s\ud7ff"
        values = {odd * 50 + str(number): odd * 2000 for number in range(60)}

        crash = target.collector.assert_saved(target.submit(report(extra(values))))

        assert {name: crash.raw_crash[name] for name in values} == values

    def test_8_mib_of_annotations(self, target: Target) -> None:
        values = {f"Annotation{number}": "x" * 4_100 for number in range(2000)}

        crash = target.collector.assert_saved(target.submit(report(extra(values))))
        assert {name: crash.raw_crash[name] for name in values} == values

        crash = target.collector.assert_saved(target.submit(report(*(annotation(*item) for item in values.items()))))
        assert {name: crash.raw_crash[name] for name in values} == values


class TestKnownIds:
    @pytest.mark.parametrize(
        "given",
        [
            f"{KNOWN_ID}\n",
            f"{KNOWN_ID[:-6]}161301",
            f"{KNOWN_ID}\0",
            f" {KNOWN_ID}",
            "\N{PILE OF POO}" * 36,
            "",
            {},
            1e5,
        ],
    )
    def test_that_are_none(self, target: Target, given: object) -> None:
        request = report(extra({"uuid": given}), headers={"Authorization": f"Bearer {TOKEN}"})

        with target.collector.keeps_nothing():
            target.assert_refused(target.submit(request), "malformed_invalid_uuid")
            target.assert_refused(target.submit(report(extra({"uuid": given}))), "unauthorized_uuid")


def test_every_annotation_of_every_type(target: Target) -> None:
    values: list[object] = [None, True, 0, -1.5, 10**999, "", "\0", [], [[]], {}, {"a": {"b": []}}, ["Firefox"]]
    names = [*THROTTLE_ANNOTATIONS, "Email", "submitted_timestamp", "version"]
    with target.server.connect() as connection:
        for value in values:
            for each in (value, json.dumps(value)):
                connection.send(report(extra(dict.fromkeys(names, each))))
                target.collector.assert_saved(connection.receive())
