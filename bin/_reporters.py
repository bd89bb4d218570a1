# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Real crash reporters and how they differ. The requests in tests/data/captures come from them."""

import random
import string
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

_ALPHANUMERIC = string.ascii_letters + string.digits
_HEX = "0123456789abcdef"


@dataclass(frozen=True)
class Dump:
    """A dump to send. ``filename`` is the name of the file that it was read from."""

    name: str
    filename: str
    content: bytes


@dataclass(frozen=True)
class Reporter:
    """A crash reporter, and what it sends by default."""

    # The headers in their order. A header without a value, such as {encoding} without gzip, is left out.
    headers: str
    boundary: Callable[[], str]
    # Returns the query string for the annotations.
    query: Callable[[Mapping[str, str]], str] = lambda _: ""
    as_json: bool = False
    gzip: bool = False
    chunked: bool = False
    http_version: str = "1.1"
    quotes_names: bool = True
    sorts_names: bool = False
    # Returns the file name that is sent for a dump.
    filename: Callable[[Dump], str] = lambda dump: dump.filename
    # Whether the dumps come in the middle of the annotations, and not after them.
    dumps_inside: bool = False
    # The text between the last part and the last boundary.
    trailer: str = ""


def _random(characters: str, length: int) -> str:
    return "".join(random.choices(characters, k=length))


def _uuid_filename(dump: Dump) -> str:
    is_report = dump.name == "memory_report"
    return f"{uuid.uuid4()}{'.memory.json.gz' if is_report else '.dmp'}"


def _firefox_query(annotations: Mapping[str, str]) -> str:
    # Firefox does not escape the braces.
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
    # The names in a minidump's annotations are prod and ver. Other programs use Firefox's names.
    values = {
        "product": annotations.get("prod") or annotations.get("ProductName"),
        "version": annotations.get("ver") or annotations.get("Version"),
        "guid": annotations.get("guid"),
    }
    return "&".join(f"{name}={quote(value)}" for name, value in values.items() if value)


REPORTERS = {
    # The crash reporter of desktop Firefox, which runs Firefox as a background task to send.
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
    # Firefox for Android, in Kotlin. Names are not quoted, dumps are among the annotations, and an empty line ends it.
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
