# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Uploads as real crash reporters sent them: see data/captures/README.md."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[1] / "data"
CAPTURES = DATA / "captures"
MINIDUMPS = DATA / "minidumps"


@dataclass(frozen=True)
class CapturedDump:
    """A dump that a capture contains: its digests in lower-case hex, and its size in bytes."""

    name: str
    filename: str
    content_type: str
    size: int
    sha256: str
    md5: str


@dataclass(frozen=True)
class Capture:
    """One HTTP request, and the annotations and dumps in it."""

    name: str
    client: str
    request: bytes
    request_sha256: str
    headers: tuple[tuple[str, str], ...]
    # "json" (in a part of that type), "multipart" (a part each) or "none".
    annotations_in: str
    annotations: Mapping[str, Any]
    # The dumps by their names in the request.
    dumps: Mapping[str, CapturedDump]
    # Bytes of the body without chunk framing, as it was sent and after decompression.
    payload_size: int
    decompressed_size: int
    is_gzipped: bool
    is_chunked: bool

    @property
    def http_version(self) -> str:
        """``HTTP/1.1`` or ``HTTP/1.0``."""
        return self.request.split(b"\r\n", 1)[0].rsplit(b" ", 1)[1].decode()

    @property
    def head(self) -> bytes:
        """The request line and the headers, with the empty line after them."""
        return self.request.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"

    @property
    def body(self) -> bytes:
        """The body with its chunk framing, as it was sent."""
        return self.request.partition(b"\r\n\r\n")[2]

    @property
    def user_agent(self) -> str | None:
        """The User-Agent header, or None if there is no such header."""
        return next((value for name, value in self.headers if name.lower() == "user-agent"), None)


def load_capture(name: str) -> Capture:
    """Read the capture ``name`` from its two files."""
    facts = json.loads((CAPTURES / f"{name}.json").read_text(encoding="utf-8"))
    framing = facts["framing"]
    return Capture(
        name=name,
        client=facts["client"],
        request=(CAPTURES / f"{name}.http").read_bytes(),
        request_sha256=facts["request_sha256"],
        headers=tuple((header, value) for header, value in facts["headers"]),
        annotations_in=facts["annotations_in"],
        annotations=facts["annotations"],
        dumps={dump_name: CapturedDump(name=dump_name, **dump) for dump_name, dump in facts["dumps"].items()},
        payload_size=framing["entity_bytes_on_wire"],
        decompressed_size=framing["entity_bytes_decoded"],
        is_gzipped=framing["content_encoding"] == "gzip",
        is_chunked=framing["transfer_encoding"] == "chunked",
    )


def capture_names() -> list[str]:
    """Return the names of all captures, sorted."""
    return sorted(path.stem for path in CAPTURES.glob("*.http"))


def load_captures() -> list[Capture]:
    """Read all captures of crash reports, and ``firefox-client-redirect-get``, which is not a report."""
    return [load_capture(name) for name in capture_names()]


def minidump(name: str) -> bytes:
    """Return the minidump ``name``, given without ``.dmp``."""
    return (MINIDUMPS / f"{name}.dmp").read_bytes()
