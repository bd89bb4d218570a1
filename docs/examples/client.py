#!/usr/bin/env python3
# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Sends a crash report with nothing but Python's standard library.

Usage: client.py URL MINIDUMP NAME=VALUE...
"""

import gzip
import json
import secrets
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ATTEMPTS = 3
COME_BACK_LATER = 503


def make_body(boundary: str, annotations: dict[str, str], minidump: bytes) -> bytes:
    """Return a multipart body with the annotations as JSON, and the minidump."""
    return b"\r\n".join(
        [
            f"--{boundary}".encode(),
            b'Content-Disposition: form-data; name="extra"; filename="extra.json"',
            b"Content-Type: application/json",
            b"",
            json.dumps(annotations).encode(),
            f"--{boundary}".encode(),
            b'Content-Disposition: form-data; name="upload_file_minidump"; filename="crash.dmp"',
            b"Content-Type: application/octet-stream",
            b"",
            minidump,
            f"--{boundary}--".encode(),
            b"",
        ]
    )


def send(url: str, annotations: dict[str, str], minidump: bytes) -> str:
    """Send a crash report and return the answer, such as ``CrashID=bp-...`` or ``Discarded=...``."""
    boundary = secrets.token_hex(16)
    request = urllib.request.Request(
        url,
        data=gzip.compress(make_body(boundary, annotations, minidump)),
        headers={
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Encoding": "gzip",
            "User-Agent": "ExampleReporter/1.0",
        },
    )
    answer = ""
    for _ in range(ATTEMPTS):
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                return str(response.read().decode()).strip()
        except urllib.error.HTTPError as error:
            answer = error.read().decode().strip()
            if error.code != COME_BACK_LATER:
                break
            time.sleep(int(error.headers.get("Retry-After", "60")))
    return answer


if __name__ == "__main__":
    url, minidump, *pairs = sys.argv[1:]
    print(send(url, dict(pair.split("=", 1) for pair in pairs), Path(minidump).read_bytes()))
