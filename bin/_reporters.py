# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""HTTP requests as real crash reporters send them: see tests/data/captures."""

import gzip
import json
import random
import re
import string
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

# Crashpad and libcurl send what they have; the size of chunks varies.
CHUNK_SIZE = 32 * 1024
# From this size on, curl asks before it sends the body.
CURL_EXPECT_SIZE = 1024 * 1024

_ALPHANUMERIC = string.ascii_letters + string.digits
_HEX = "0123456789abcdef"


@dataclass(frozen=True)
class Dump:
    """A dump to send; ``filename`` is that of the file it came from."""

    name: str
    filename: str
    content: bytes


@dataclass(frozen=True)
class Request:
    """The bytes of a request: request line and headers with the empty line, and the body as on the wire."""

    head: bytes
    body: bytes

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for ``100 Continue`` before it sends the body (RFC 9110, section 10.1.1)."""
        return b"\r\nexpect: 100-continue\r\n" in self.head.lower()


@dataclass(frozen=True)
class Reporter:
    """A crash reporter: what it sends, where nothing else is asked for."""

    # Headers in their order. Those with nothing to say, such as {encoding} without gzip, are left out.
    headers: str
    boundary: Callable[[], str]
    # Annotations to what follows the question mark.
    query: Callable[[Mapping[str, str]], str] = lambda _: ""
    as_json: bool = False
    gzip: bool = False
    chunked: bool = False
    http_version: str = "1.1"
    quotes_names: bool = True
    sorts_names: bool = False
    # The name that a dump's file has, of the dump's own name and file name.
    filename: Callable[[Dump], str] = lambda dump: dump.filename
    # Dumps come in the middle of the annotations, not after them.
    dumps_inside: bool = False
    # Between the last part and the last boundary.
    trailer: str = ""


def _random(characters: str, length: int) -> str:
    return "".join(random.choices(characters, k=length))


def _uuid_filename(dump: Dump) -> str:
    is_report = dump.name == "memory_report"
    return f"{uuid.uuid4()}{'.memory.json.gz' if is_report else '.dmp'}"


def _firefox_query(annotations: Mapping[str, str]) -> str:
    # Braces stay as they are.
    values = {
        "id": annotations.get("ProductID", ""),
        "version": annotations.get("Version", ""),
        "buildid": annotations.get("BuildID", ""),
    }
    return "&".join(f"{name}={quote(value, safe='{}')}" for name, value in values.items())


def _fenix_query(annotations: Mapping[str, str]) -> str:
    return urlencode(
        {
            "id": annotations.get("ProductID", ""),
            "version": annotations.get("Version", ""),
            "android_component_version": annotations.get("AndroidComponentVersion", ""),
        },
        quote_via=quote,
    )


def _crashpad_query(annotations: Mapping[str, str]) -> str:
    # In a minidump's annotations: prod, ver. Other programs call them as Firefox does.
    values = {
        "product": annotations.get("prod") or annotations.get("ProductName"),
        "version": annotations.get("ver") or annotations.get("Version"),
        "guid": annotations.get("guid"),
    }
    return "&".join(f"{name}={quote(value)}" for name, value in values.items() if value)


REPORTERS = {
    # The desktop crash reporter: sends through Firefox itself as a background task.
    "firefox": Reporter(
        headers="""\
Host: {host}
User-Agent: crashreporter/{version} (linux x86_64)
Accept: */*
Accept-Language: en-US,en;q=0.9
Accept-Encoding: gzip, deflate, br, zstd
Content-Encoding: {encoding}
Content-Type: multipart/form-data; boundary={boundary}
Content-Length: {length}
Transfer-Encoding: {transfer}
Connection: keep-alive
Priority: u=4""",
        boundary=lambda: "----geckoformboundary" + _random(_HEX, 32),
        query=_firefox_query,
        as_json=True,
        filename=_uuid_filename,
    ),
    # Android, written in Kotlin: names unquoted, dumps among the annotations, an empty line too many at the end.
    "fenix": Reporter(
        headers="""\
User-Agent: Dalvik/2.1.0 (Linux; U; Android 15; Pixel 8a Build/AP4A.250105.002)
Content-Type: multipart/form-data; boundary={boundary}
Content-Encoding: {encoding}
Host: {host}
Accept: text/html, image/gif, image/jpeg, */*; q=0.2
Connection: keep-alive
Content-Length: {length}
Transfer-Encoding: {transfer}""",
        boundary=lambda: "---------------------------" + _random("0123456789ABCDEF", 16),
        query=_fenix_query,
        gzip=True,
        quotes_names=False,
        filename=_uuid_filename,
        dumps_inside=True,
        trailer="\r\n",
    ),
    # Chromium, Electron and others.
    "crashpad": Reporter(
        headers="""\
Host: {host}
User-Agent: Crashpad/0.8.0 libcurl/7.88.1 OpenSSL/3.0.19 zlib/1.2.13 Linux/6.1.0 (x86_64)
Accept: */*
Accept-Encoding: deflate, gzip, br, zstd
Content-Encoding: {encoding}
Content-Type: multipart/form-data; boundary={boundary}
Content-Length: {length}
Transfer-Encoding: {transfer}""",
        boundary=lambda: f"---MultipartBoundary-{_random(_ALPHANUMERIC, 32)}---",
        query=_crashpad_query,
        gzip=True,
        chunked=True,
        sorts_names=True,
        filename=_uuid_filename,
    ),
    # Breakpad's minidump_upload.
    "breakpad": Reporter(
        headers="""\
Host: {host}
User-Agent: Breakpad/1.0 (Linux)
Accept: */*
Content-Encoding: {encoding}
Content-Length: {length}
Transfer-Encoding: {transfer}
Content-Type: multipart/form-data; boundary={boundary}""",
        boundary=lambda: "-" * 24 + _random(_HEX, 16),
    ),
    # curl --form.
    "curl": Reporter(
        headers="""\
Host: {host}
User-Agent: curl/7.88.1
Accept: */*
Content-Encoding: {encoding}
Content-Length: {length}
Transfer-Encoding: {transfer}
Content-Type: multipart/form-data; boundary={boundary}
Expect: {expect}""",
        boundary=lambda: "-" * 24 + _random(_HEX, 16),
    ),
}


def build(
    reporter: Reporter, url: str, annotations: Mapping[str, Any], dumps: Sequence[Dump], token: str = ""
) -> Request:
    """Return the request that ``reporter`` sends to ``url``; ``token``, if any, is sent as a bearer token."""
    boundary = reporter.boundary()
    body = _multipart(reporter, boundary, annotations, dumps)
    if reporter.gzip:
        body = gzip.compress(body, mtime=0)
    length = len(body)
    if reporter.chunked:
        body = _chunk(body)
    texts = {name: _text(value) for name, value in annotations.items()}
    address = urlsplit(url)
    query = "&".join(filter(None, (address.query, reporter.query(texts))))
    target = (address.path or "/") + (f"?{query}" if query else "")
    values = {
        "host": address.netloc.rpartition("@")[2],
        "version": re.sub(r"[^A-Za-z0-9.]", "", texts.get("Version", "")),
        "boundary": boundary,
        "encoding": "gzip" if reporter.gzip else "",
        "length": "" if reporter.chunked else str(length),
        "transfer": "chunked" if reporter.chunked else "",
        "expect": "100-continue" if length > CURL_EXPECT_SIZE else "",
    }
    lines = [f"POST {target} HTTP/{reporter.http_version}", *reporter.headers.format_map(values).split("\n")]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    head = "".join(f"{line}\r\n" for line in lines if not line.endswith(": "))
    return Request(f"{head}\r\n".encode("latin-1", "replace"), body)


def _multipart(reporter: Reporter, boundary: str, annotations: Mapping[str, Any], dumps: Sequence[Dump]) -> bytes:
    if reporter.as_json:
        text = json.dumps(annotations, ensure_ascii=False, separators=(",", ":"))
        # What UTF-8 has no bytes for, lone surrogates, is escaped as JSON escapes it.
        content = text.encode("utf-8", "backslashreplace")
        parts = [_part('name="extra"; filename="extra.json"', content, "application/json")]
    else:
        parts = [
            _part(f"name={_quote(reporter, name)}", _text(value).encode("utf-8", "replace"))
            for name, value in (sorted(annotations.items()) if reporter.sorts_names else annotations.items())
        ]
    files = [_dump_part(reporter, dump) for dump in dumps]
    place = len(parts) // 2 if reporter.dumps_inside else len(parts)
    parts[place:place] = files
    delimiter = f"--{boundary}".encode("ascii")
    body = b"".join(delimiter + b"\r\n" + part + b"\r\n" for part in parts)
    return body + reporter.trailer.encode("ascii") + delimiter + b"--\r\n"


def _dump_part(reporter: Reporter, dump: Dump) -> bytes:
    content_type = "application/octet-stream"
    if dump.name == "memory_report" and reporter.as_json:
        content_type = "application/gzip"
    names = f'name="{_escape(dump.name)}"; filename="{_escape(reporter.filename(dump))}"'
    return _part(names, dump.content, content_type)


def _part(names: str, content: bytes, content_type: str = "") -> bytes:
    head = f"Content-Disposition: form-data; {names}\r\n"
    if content_type:
        head += f"Content-Type: {content_type}\r\n"
    return f"{head}\r\n".encode("utf-8", "replace") + content


def _quote(reporter: Reporter, name: str) -> str:
    return f'"{_escape(name)}"' if reporter.quotes_names else _escape(name)


def _escape(name: str) -> str:
    # As browsers and curl do: https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#multipart-form-data
    return name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _chunk(body: bytes) -> bytes:
    """Return the body in chunks (RFC 9112, section 7.1)."""
    pieces = [body[start : start + CHUNK_SIZE] for start in range(0, len(body), CHUNK_SIZE)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
