# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Builds the HTTP requests that crash reporters send."""

import gzip
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from bin._reporters import Dump, Reporter

# Bytes of a chunk. Crashpad and libcurl send whatever they have, so the size of their chunks varies.
CHUNK_SIZE = 32 * 1024
# If a body has this many bytes or more, curl asks before it sends it.
CURL_EXPECT_SIZE = 1024 * 1024


@dataclass(frozen=True)
class Request:
    """The bytes of a request.

    ``head`` has the request line, the headers and the empty line; ``body`` is as on the wire.
    """

    head: bytes
    body: bytes

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for ``100 Continue`` before it sends the body (RFC 9110, section 10.1.1)."""
        return b"\r\nexpect: 100-continue\r\n" in self.head.lower()


def build(
    reporter: Reporter, url: str, annotations: Mapping[str, Any], dumps: Sequence[Dump], token: str = ""
) -> Request:
    """Return the request that ``reporter`` sends to ``url``. If there is a ``token``, it is sent as a bearer token."""
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
        # UTF-8 cannot encode lone surrogates, so they are escaped as in JSON.
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
    # Browsers and curl escape in this way:
    # https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#multipart-form-data
    return name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _chunk(body: bytes) -> bytes:
    """Return the body in chunks (RFC 9112, section 7.1)."""
    pieces = [body[start : start + CHUNK_SIZE] for start in range(0, len(body), CHUNK_SIZE)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
