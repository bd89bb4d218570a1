# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The functions that are fuzzed. They take any bytes, and raise an exception if a promise is broken."""

import contextlib
import gzip
import hashlib
import json
import math
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from itertools import repeat
from typing import Any
from unittest import mock

from gunicorn.config import Config
from gunicorn.http.errors import NoMoreData, ParseException
from gunicorn.http.parser import RequestParser
from isal import igzip_lib

import antenna.fast.inflate
from antenna.config import build_config
from antenna.crash import crash_id as crash_ids
from antenna.crash.dump_names import RESERVED, object_key
from antenna.crash.report import CrashReport
from antenna.fast.texts import decode_texts
from antenna.json_size import count_built
from antenna.limits import MAX_JSON_ITEMS, PART_LIMITS, PartLimits
from antenna.minidump import MinidumpError
from antenna.payload.body import BodyStream, RequestBody
from antenna.payload.gunzip import Gunzip
from antenna.payload.json_annotations import decode_json
from antenna.payload.reader import PayloadReader
from antenna.refusal import Reason, Refusal
from antenna.server.framed_body import FramedBody, UnframedBody
from antenna.throttler import Result, Throttler
from tests.support.minidumps.read import read_everything
from tests.support.server import PROJECT_ROOT
from tests.support.wire import Wire

BOUNDARY = "-----BOUNDARY"
FORM_DATA = f"multipart/form-data; boundary={BOUNDARY}"
CRASH_ID = "de1bb258-cbbf-4589-a673-34f800160918"
PIECE_SIZES = (65536, 1, 2, 7, 100)

TINY_LIMITS = {
    "BREAKPAD_MAX_PAYLOAD_SIZE": "8000",
    "BREAKPAD_MAX_DECOMPRESSED_SIZE": "16000",
    "BREAKPAD_MEMORY_PER_REPORT": "3000",
}
TINY_PART_LIMITS = PartLimits(header_size=256, annotations=5, annotations_size=2000, annotation_name_size=50, dumps=3)


@cache
def reader(*, tiny: bool) -> PayloadReader:
    environ = {"BREAKPAD_TEMP_DIR": tempfile.gettempdir(), **(TINY_LIMITS if tiny else {})}
    return PayloadReader(build_config(environ).with_namespace("breakpad"), TINY_PART_LIMITS if tiny else PART_LIMITS)


@cache
def gunicorn_config() -> Config:
    return Config()


RULES_FILES = [str(path) for path in sorted((PROJECT_ROOT / "docs" / "examples").glob("*.toml"))]


class StrictThrottler(Throttler):
    """A throttler whose rules must not raise."""

    def _report(self, rule: Any, exc: Exception) -> None:
        raise AssertionError(f"{rule.rule_name} raised") from exc


@cache
def throttler(rules: str = "") -> Throttler:
    """Return a throttler with Mozilla's rules, or with those of a file."""
    config = build_config({"BREAKPAD_THROTTLER_RULES": rules})
    return StrictThrottler(config.with_namespace("breakpad").with_namespace("throttler"))


def wire(data: bytes, size: int) -> Wire:
    """Return bytes that come in pieces of one size, in thirty pieces at most."""
    return Wire(data, repeat(max(size, len(data) // 30)))


class Stream:
    """Stands in for ``wsgi.input``. Its bytes come in pieces of one size, too."""

    def __init__(self, data: bytes, size: int) -> None:
        self._wire = wire(data, size)

    def read(self, size: int) -> bytes:
        return self._wire.recv(size)


def pieces_of(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


@dataclass(frozen=True)
class Outcome:
    """The result for a report: its content, or the reason of its refusal."""

    reason: Reason | None
    raw_crash: str = ""
    dumps: tuple[tuple[str, str], ...] = ()


def read_report(payload_reader: PayloadReader, body: BodyStream, environ: dict[str, Any]) -> Outcome:
    try:
        report = payload_reader.read(
            environ, RequestBody(body, int(environ.get("CONTENT_LENGTH") or 0), payload_reader.limits)
        )
    except Refusal as error:
        if error.reason in {Reason.UNAVAILABLE, Reason.TIMEOUT}:
            raise AssertionError("nothing is slow or full here") from error
        return Outcome(error.reason)
    with report:
        return check_report(report, payload_reader.part_limits)


def check_report(report: CrashReport, limits: PartLimits) -> Outcome:
    """Check the promises that hold for every report."""
    assert 0 < len(report.annotations) <= limits.annotations
    assert all(len(name) <= limits.annotation_name_size for name in report.annotations)
    assert len(report.dumps) <= limits.dumps
    keys = [object_key(name) for name in report.dumps]
    assert len(set(keys)) == len(keys)
    assert not RESERVED & set(keys)
    assert all(re.fullmatch(r"[A-Za-z0-9_]{1,30}", name) for name in report.dumps)

    result, rule, _ = throttler().throttle(report.annotations)
    assert result != Result.CONTINUE
    report.throttle_rule = rule
    report.crash_id = CRASH_ID
    dumps = []
    for name, dump in report.dumps.items():
        content = b"".join(dump.pieces())
        assert len(content) == dump.size
        assert dump.checksum == hashlib.md5(content).hexdigest()  # noqa: S324 - the default
        dumps.append((name, dump.checksum))

    encoded = report.encoded_raw_crash()
    raw_crash = json.loads(encoded.decode("utf-8"), parse_constant=_refuse)
    assert raw_crash == report.raw_crash()
    json.dumps(raw_crash, ensure_ascii=False).encode("utf-8")  # no half of a surrogate pair
    assert len(json.dumps(report.notes)) < 1_000_000
    for name in ("payload_compressed", "payload_size"):  # the one thing in which a body differs, gzipped or not
        del raw_crash["metadata"][name]
    del raw_crash["submitted_timestamp"]
    return Outcome(None, json.dumps(raw_crash, sort_keys=True), tuple(dumps))


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def fuzz_requests(data: bytes) -> None:
    """The bytes of a connection are parsed as requests.

    The first byte chooses the size of their pieces, and the limits.
    """
    if not data:
        return
    size = PIECE_SIZES[data[0] % len(PIECE_SIZES)]
    payload_reader = reader(tiny=bool(data[0] & 0x80))
    parser = RequestParser(gunicorn_config(), wire(data[1:], size), ("127.0.0.1", 1))
    try:
        for request in parser:
            request.body = FramedBody(request)
            environ = environ_of(request)
            read_report(payload_reader, request.body, environ)
            if not request.body.ended:
                return
    except (ParseException, NoMoreData):
        return


def environ_of(request: Any) -> dict[str, Any]:
    """Return the WSGI environment of a request that gunicorn has parsed, as far as it describes headers."""
    environ: dict[str, Any] = {}
    for name, value in request.headers:
        key = name.replace("-", "_")
        environ[key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"] = value
    return environ


def fuzz_bodies(data: bytes) -> None:
    """A body has the same result with and without gzip, and in pieces of any size. The first byte chooses these."""
    if len(data) < 2:
        return
    choice, body = data[0], data[1:]
    zipped = gzip.compress(body, choice % 10)
    payload_reader = reader(tiny=bool(choice & 0x80))
    if max(len(body), len(zipped)) > payload_reader.limits.payload_size:
        return
    size = PIECE_SIZES[choice % len(PIECE_SIZES)]

    def outcome(content: bytes, size: int, coding: str) -> Outcome:
        stream = Stream(content, size)
        environ = {"CONTENT_TYPE": FORM_DATA, "HTTP_CONTENT_ENCODING": coding}
        return read_report(payload_reader, UnframedBody(stream), environ)

    whole = outcome(body, 65536, "")
    assert outcome(body, size, "") == whole
    assert outcome(zipped, size, "gzip") == whole


def fuzz_gunzip(data: bytes) -> None:
    """Both libraries inflate to the same bytes, in pieces of any size. The first byte chooses the size."""
    if not data:
        return
    size = PIECE_SIZES[data[0] % len(PIECE_SIZES)]
    outcomes = [gunzip(library, data[1:], each) for library in (None, igzip_lib) for each in (65536, size)]
    if Reason.TOO_LARGE not in outcomes:  # one may see the damage before, the other after that
        assert all(outcome == outcomes[0] for outcome in outcomes)


def gunzip(library: Any, data: bytes, size: int) -> bytes | Reason:
    with mock.patch.object(antenna.fast.inflate, "_library", library):
        try:
            return b"".join(Gunzip(pieces_of(data, size), max_size=1_000_000))
        except Refusal as error:
            return error.reason


def fuzz_annotations(data: bytes) -> None:
    """Annotations in JSON are kept as they came, or refused for a fault that they have."""
    texts = decode_texts(data)
    try:
        assert count_built(data, MAX_JSON_ITEMS) <= len(data) + 1
        annotations, notes = decode_json(data)
    except Refusal as error:
        if error.reason is Reason.INVALID_JSON and not is_invalid(data):
            raise AssertionError("JSON for Python, and not for us") from error
        assert texts is None
        return
    assert texts is None or (texts, []) == (annotations, notes)
    json.dumps([annotations, notes], ensure_ascii=False).encode("utf-8")
    if not notes:
        assert annotations == json.loads(data.decode("utf-8-sig"))


def is_invalid(data: bytes) -> bool:
    """Whether a text is no JSON for Python either, or has something that cannot be kept."""
    numbers: list[str] = []
    try:
        json.loads(
            data.decode("utf-8-sig"), parse_int=numbers.append, parse_float=numbers.append, parse_constant=_refuse
        )
    except (ValueError, RecursionError, AssertionError):
        return True
    may_be_deep = data.count(b"[") + data.count(b"{") > 200
    return may_be_deep or any(len(number) > 1000 or math.isinf(float(number)) for number in numbers)


def fuzz_throttler(data: bytes) -> None:
    """The throttler decides about any annotations, and no rule raises."""
    try:
        annotations, _ = decode_json(data)
    except Refusal:
        return
    for rules in ("", *RULES_FILES):
        result, rule, percentage = throttler(rules).throttle(annotations)
        assert result != Result.CONTINUE
        assert re.fullmatch(r"\w+", rule)
        assert 0 <= percentage <= 100


def fuzz_crash_ids(data: bytes) -> None:
    """A crash id is valid if it has the shape and a date. Then its parts can be read from it."""
    text = data.decode("utf-8", "surrogateescape")
    is_valid = crash_ids.is_valid(text)
    assert is_valid == looks_valid(text)
    if is_valid:
        assert crash_ids.result_of(text) in {0, 1}
        assert datetime.strptime(crash_ids.date_of(text), "%Y%m%d").replace(tzinfo=UTC).year >= 2000


def looks_valid(text: str) -> bool:
    groups = text.split("-")
    if [len(group) for group in groups] != [8, 4, 4, 4, 12] or not set("".join(groups)) <= set("0123456789abcdef"):
        return False
    result, year, month, day = text[-7], text[-6:-4], text[-4:-2], text[-2:]
    if result not in "01" or not (year + month + day).isdigit():
        return False
    try:
        date(2000 + int(year), int(month), int(day))
    except ValueError:
        return False
    return True


def fuzz_minidumps(data: bytes) -> None:
    """A minidump is read and its stacks are walked, or it is refused."""
    with contextlib.suppress(MinidumpError):
        read_everything(data)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "requests": fuzz_requests,
    "bodies": fuzz_bodies,
    "gunzip": fuzz_gunzip,
    "annotations": fuzz_annotations,
    "throttler": fuzz_throttler,
    "crash_ids": fuzz_crash_ids,
    "minidumps": fuzz_minidumps,
}
