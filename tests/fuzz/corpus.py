# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The inputs that the fuzzer begins with: requests of real clients, and inputs that it found before."""

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz.targets import BOUNDARY, CRASH_ID
from tests.support.captures import DATA, Capture, load_captures
from tests.support.minidumps.everything import everything, threads_with_start_addresses
from tests.support.minidumps.samples import PLATFORMS, WINDOWS, crash
from tests.support.reports import BOUNDARY as OWN_BOUNDARY
from tests.support.reports import (
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

FINDINGS = Path(__file__).parent / "findings"
"""A directory for each target, a file for each input that broke a promise once."""

LARGEST = 8192
"""Bytes of the largest input."""

WORDS = (
    b"\r\n--" + BOUNDARY.encode(),
    b"--\r\n",
    b"\r\n\r\n",
    b"\r\n ",
    b'Content-Disposition: form-data; name="',
    b'"; filename="',
    b"Content-Type: application/json\r\n",
    b"Content-Type: application/octet-stream\r\n",
    b"Content-Type: text/plain; charset=windows-1252\r\n",
    b"Content-Transfer-Encoding: base64\r\n",
    b"Content-Transfer-Encoding: quoted-printable\r\n",
    b"; name*=utf-8''",
    b"; filename*0=",
    b"TURNUA==",
    b"=C3=A9=\r\n",
    b"Content-Encoding: gzip\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: ",
    b"POST /submit HTTP/1.1\r\n",
    b"multipart/form-data; boundary=",
    b"0\r\n\r\n",
    b"upload_file_minidump",
    b"raw_crash",
    rb"\ud800",
    b"1e400",
    b"NaN",
    b"[[[[",
    b'{"',
    b'":',
    b"\x1f\x8b\x08",
    b"MDMP\x93\xa7\0\0",
    b"RSDS",
    b"LEpB",
    b"\xff\xff\xff\xff",
    b"\1\0PC",  # Crashpad's stream
)
"""Texts and bytes that mean something to the collector. The fuzzer puts them into its inputs."""


def seeds(target: str) -> Iterator[bytes]:
    """Yield inputs for a target, small ones first. Large ones would only slow the fuzzer down."""
    yield from sorted((data for data in _SEEDS[target]() if len(data) <= LARGEST), key=len)


def findings(target: str) -> list[Path]:
    """Return the files with inputs that broke a promise of the target once."""
    return sorted((FINDINGS / target).glob("*"))


def _cut_dumps(body: bytes, boundary: bytes) -> bytes:
    """Return a body with only the beginning of each minidump. The rest teaches the fuzzer nothing and slows it down."""
    return re.sub(rb"(MDMP.{30}).*?(?=\r\n--" + re.escape(boundary) + b")", rb"\1", body, flags=re.DOTALL)


def _small_bodies() -> Iterator[tuple[Capture | None, bytes, bytes]]:
    """Yield bodies and their boundaries: one of our own, and those of captures."""
    parts = [annotation("ProductName", "Firefox"), dump(b"MDMP" * 10), extra({"a": [1, "\ud800", {"b": None}]})]
    yield None, multipart(*parts), OWN_BOUNDARY.encode()
    for capture in load_captures():
        if not capture.is_chunked and capture.body:
            body = gzip.decompress(capture.body) if capture.is_gzipped else capture.body
            boundary = body.lstrip()[2:].partition(b"\r\n")[0]
            yield capture, _cut_dumps(body, boundary), boundary


def _requests() -> Iterator[bytes]:
    parts = [annotation("ProductName", "Firefox"), dump(b"MDMP" * 10)]
    own = [
        report(*parts),
        gzipped_report(*parts),
        chunked_report(*parts, chunk_size=9),
        report(*parts) + chunked_report(*parts) + gzipped_report(*parts),
        post(chunked(gzip.compress(multipart(*parts)), 5), {"Content-Length": None, "Transfer-Encoding": "chunked"}),
    ]
    for capture, body, _ in _small_bodies():
        if capture is not None:
            content = gzip.compress(body) if capture.is_gzipped else body
            length = b"Content-Length: %d\r\n" % len(content)
            own.append(re.sub(rb"(?i)Content-Length: \d+\r\n", length, capture.head) + content)
    for number, request in enumerate(own):
        yield bytes([number % 5]) + request
        yield bytes([number % 5 | 0x80]) + request


def _bodies() -> Iterator[bytes]:
    for _, body, boundary in _small_bodies():
        for choice in (0, 0x81):
            yield bytes([choice]) + body.replace(boundary, BOUNDARY.encode())


def _gunzip() -> Iterator[bytes]:
    for number, content in enumerate([b"", b"content", bytes(1000), *(body for _, body, _ in _small_bodies())]):
        yield bytes([number % 5]) + gzip.compress(content, number % 10)
    member = gzip.compress(b"content")
    yield b"\x01" + member * 3
    yield b"\x01" + member + b"junk"
    # With each of the optional fields (RFC 1952 section 2.3).
    header = member[:3] + b"\x1e" + bytes(6) + b"\x02\x00xy" + b"name\0" + b"comment\0"
    yield b"\x01" + header + (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little") + member[10:]


def _annotations() -> Iterator[bytes]:
    for path in (DATA / "annotations").glob("*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        yield json.dumps(content.get("annotations", content)).encode()
    yield from (json.dumps(dict(capture.annotations)).encode() for capture in load_captures())
    yield rb'{"a": "\ud800", "b": [1e400, -0.0, 1E5], "a": {"c": [[[]]], "c": null}}'
    yield b'\xef\xbb\xbf{"a": 12345678901234567890, "b": "\xf0\x9f\x92\xa9"}'


def _crash_ids() -> Iterator[bytes]:
    yield CRASH_ID.encode()
    yield CRASH_ID.replace("160918", "160230").encode()
    yield f"{CRASH_ID}\n".encode()


def _minidumps() -> Iterator[bytes]:
    yield from map(crash, PLATFORMS)
    yield everything(WINDOWS)
    yield threads_with_start_addresses(WINDOWS)


_SEEDS = {
    "requests": _requests,
    "bodies": _bodies,
    "gunzip": _gunzip,
    "annotations": _annotations,
    "throttler": _annotations,
    "crash_ids": _crash_ids,
    "minidumps": _minidumps,
}
