# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Crash reports put together part by part, and the HTTP requests that carry them."""

import gzip
import json
from collections.abc import Mapping

BOUNDARY = "---------------------------7e0d2f"
MINIDUMP = "upload_file_minidump"

# Annotations that the rules of Mozilla look at.
THROTTLE_ANNOTATIONS = [
    "Android_PackageName",
    "BuildID",
    "Comments",
    "HangID",
    "PHCKind",
    "ProcessType",
    "ProductName",
    "ReleaseChannel",
    "SubmittedFromInfobar",
    "TelemetryEnvironment",
    "Throttleable",
    "Version",
    "ipc_channel_error",
]


def annotation(name: str, value: str | bytes) -> bytes:
    """Return a part with one annotation."""
    content = value.encode() if isinstance(value, str) else value
    return f'Content-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + content


def extra(annotations: object) -> bytes:
    """Return a part with annotations as JSON. Bytes are taken as they are."""
    content = annotations if isinstance(annotations, bytes) else json.dumps(annotations).encode()
    head = (
        b'Content-Disposition: form-data; name="extra"; filename="extra.json"\r\nContent-Type: application/json\r\n\r\n'
    )
    return head + content


def dump(content: bytes, name: str = MINIDUMP, content_type: str = "application/octet-stream") -> bytes:
    """Return a part with a dump."""
    head = (
        f'Content-Disposition: form-data; name="{name}"; filename="crash.dmp"\r\nContent-Type: {content_type}\r\n\r\n'
    )
    return head.encode() + content


def multipart(*parts: bytes) -> bytes:
    """Return a body of these parts."""
    delimiter = f"--{BOUNDARY}".encode()
    return b"".join(delimiter + b"\r\n" + part + b"\r\n" for part in parts) + delimiter + b"--\r\n"


def post(body: bytes, headers: Mapping[str, str | None] | None = None) -> bytes:
    """Return a POST of ``body``. ``headers`` are added to the usual ones or replace them.

    A value of None removes a header.
    """
    usual: dict[str, str | None] = {
        "Host": "crash-reports.example.com",
        "User-Agent": "tests",
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        "Content-Length": str(len(body)),
    }
    lines = [f"{name}: {value}\r\n" for name, value in (usual | dict(headers or {})).items() if value is not None]
    return f"POST /submit HTTP/1.1\r\n{''.join(lines)}\r\n".encode("latin-1") + body


def report(*parts: bytes, headers: Mapping[str, str | None] | None = None) -> bytes:
    """Return a POST of a report of these parts."""
    return post(multipart(*parts), headers)


def gzipped_report(*parts: bytes) -> bytes:
    """Return a POST of a gzipped report of these parts."""
    return post(gzip.compress(multipart(*parts), 1), {"Content-Encoding": "gzip"})


def chunked_report(*parts: bytes, chunk_size: int = 1000) -> bytes:
    """Return a POST of a report of these parts, without a length."""
    return post(chunked(multipart(*parts), chunk_size), {"Content-Length": None, "Transfer-Encoding": "chunked"})


def chunked(body: bytes, chunk_size: int) -> bytes:
    """Frame a body in chunks (RFC 9112, section 7.1)."""
    pieces = [body[start : start + chunk_size] for start in range(0, len(body), chunk_size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])
