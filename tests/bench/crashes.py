# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The crashes that the benchmark sends: whole HTTP requests, made once, the same bytes in every run."""

import base64
import gzip
import json
import random
import statistics
import struct
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import google_crc32c

from tests.support.captures import DATA

BOUNDARY = "----------------------------77d8d1b7a1c2"
DUMP_SIZE = 400_000
LARGE_DUMP_SIZE = 12_000_000
TINY_DUMP_SIZE = 1_000

KEPT = r"CrashID=bp-([0-9a-f-]{36})\n"
REJECTED = r"Discarded=rule_unsupported_product"

# The value of zlib's wbits that selects gzip.
GZIP = 31


@dataclass(frozen=True)
class Crash:
    """A request, and the answer that is expected from the collector."""

    request: bytes
    #: The answer's body, a regular expression. Its group, if it has one, is the crash id.
    answer: str
    #: The body as gzip has it: what the unit is measured on, also where the request is not compressed.
    gzipped: bytes
    #: The checksum that the stored dump must have, as Cloud Storage reports it.
    dump_crc32c: str

    @property
    def is_kept(self) -> bool:
        """Whether it is to be saved and published."""
        return self.answer == KEPT


def minidump(size: int) -> bytes:
    """Return bytes that compress as a program's memory does, to two fifths of their size, and inflate as fast.

    They are zeros, small numbers, and pointers into some modules.
    """
    chance = random.Random(size)
    modules = [chance.getrandbits(32) << 16 for _ in range(30)]
    words = bytearray(b"MDMP")
    while len(words) < size:
        kind = chance.random()
        if kind < 0.2:
            words += bytes(4)
        elif kind < 0.5:
            words += struct.pack("<I", chance.getrandbits(chance.randint(1, 12)))
        else:
            words += struct.pack("<Q", chance.choice(modules) + chance.getrandbits(13))
    return bytes(words[:size])


def _annotations(*, is_kept: bool) -> dict[str, Any]:
    """Return the annotations of a crash of Firefox Nightly's main process on Windows, or of an unknown product.

    A crash of Firefox Release would not do, because the rules keep one in ten of them by chance.
    """
    path = DATA / "annotations" / "01-firefox-release-windows-main.json"
    annotations: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["annotations"]
    annotations["ReleaseChannel"] = "nightly"
    # Rules judge a build by its age.
    annotations["BuildID"] = (datetime.now(UTC) - timedelta(days=30)).strftime("%Y%m%d000000")
    if not is_kept:
        annotations["ProductName"] = "Unknown"
    return annotations


def _part(disposition: str, content_type: str, content: bytes) -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n"
    if content_type:
        head += f"Content-Type: {content_type}\r\n"
    return head.encode() + b"\r\n" + content + b"\r\n"


def _body(annotation_parts: bytes, dump: bytes) -> bytes:
    dump_part = _part('name="upload_file_minidump"; filename="crash.dmp"', "application/octet-stream", dump)
    return annotation_parts + dump_part + f"--{BOUNDARY}--\r\n".encode()


def _json_part(annotations: dict[str, Any]) -> bytes:
    content = json.dumps(annotations).encode()
    return _part('name="extra"; filename="extra.json"', "application/json", content)


def _text_parts(annotations: dict[str, Any]) -> bytes:
    return b"".join(_part(f'name="{name}"', "", str(value).encode()) for name, value in annotations.items())


def _request(wire_body: bytes, *headers: str) -> bytes:
    head = (
        "POST /submit?id={ec8030f7-c20a-464f-9b0e-13a3a9e97384}&version=150.0 HTTP/1.1",
        "Host: 127.0.0.1",
        "User-Agent: crashreporter/1.0.0 (Windows)",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        *headers,
    )
    return "\r\n".join(head).encode() + b"\r\n\r\n" + wire_body


def _chunked(data: bytes, size: int = 16_384) -> bytes:
    """Frame ``data`` in chunks (RFC 9112, section 7.1)."""
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in [*chunks, b""])


@cache
def make_crash(
    *,
    is_kept: bool,
    dump_size: int = DUMP_SIZE,
    as_text: bool = False,
    is_gzipped: bool = True,
    is_chunked: bool = False,
    is_tiny: bool = False,
) -> Crash:
    """Make a crash. By default: 400 kB of minidump, annotations as JSON, gzip, with a Content-Length."""
    annotations = _annotations(is_kept=is_kept)
    if is_tiny:
        annotations = {name: annotations[name] for name in ("ProductName", "Version", "BuildID", "ReleaseChannel")}
    dump = minidump(dump_size)
    body = _body((_text_parts if as_text else _json_part)(annotations), dump)
    gzipped = gzip.compress(body, compresslevel=6, mtime=0)
    wire_body = gzipped if is_gzipped else body
    headers = ["Content-Encoding: gzip"] if is_gzipped else []
    if is_chunked:
        headers.append("Transfer-Encoding: chunked")
        wire_body = _chunked(wire_body)
    else:
        headers.append(f"Content-Length: {len(wire_body)}")
    return Crash(
        request=_request(wire_body, *headers),
        answer=KEPT if is_kept else REJECTED,
        gzipped=gzipped,
        dump_crc32c=base64.b64encode(google_crc32c.value(dump).to_bytes(4, "big")).decode(),
    )


def kept() -> list[Crash]:
    """A typical crash that is saved and published."""
    return [make_crash(is_kept=True)]


def rejected() -> list[Crash]:
    """The same crash, of a product that is not collected."""
    return [make_crash(is_kept=False)]


def large() -> list[Crash]:
    """A crash with a dump of 12 MB."""
    return [make_crash(is_kept=True, dump_size=LARGE_DUMP_SIZE)]


def chunked() -> list[Crash]:
    """A crash as Crashpad frames it: chunks, without a length."""
    return [make_crash(is_kept=True, is_chunked=True)]


def key_value() -> list[Crash]:
    """A crash with a part for each annotation, not compressed, as Breakpad sends it."""
    return [make_crash(is_kept=True, as_text=True, is_gzipped=False)]


def tiny() -> list[Crash]:
    """A crash with a dump of 1 kB and four annotations. It shows the cost that every request has."""
    return [make_crash(is_kept=True, dump_size=TINY_DUMP_SIZE, is_tiny=True)]


def mixed() -> list[Crash]:
    """Nine crashes that are rejected and one that is kept, as in production."""
    return [make_crash(is_kept=False)] * 9 + [make_crash(is_kept=True)]


Traffic = Callable[[], list[Crash]]
TRAFFIC: dict[str, Traffic] = {
    traffic.__name__: traffic for traffic in (kept, rejected, large, chunked, key_value, tiny, mixed)
}


def unit_seconds(gzipped: bytes, seconds: float) -> float:
    """Return the unit: CPU seconds of one ``zlib.decompress`` of the body, the median over about ``seconds``."""
    samples: list[float] = []
    while sum(samples) < seconds:
        start = time.process_time()
        zlib.decompress(gzipped, wbits=GZIP)
        samples.append(time.process_time() - start)
    return statistics.median(samples)
