# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A crash report and its dumps. The payload makes them, and storages and the spool write them."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, Self

import google_crc32c

from antenna.crash import large_json
from antenna.crash.buffer import Content
from antenna.files import Read

_empty_digest = cache(partial(hashlib.new, usedforsecurity=False))  # making one costs more than copying it

# Version of the raw crash's format. Readers of the bucket look at it.
RAW_CRASH_VERSION = 2

# Bytes of annotations up to which the raw crash is encoded in one go, which takes some milliseconds. Real reports have
# less.
_SMALL_ANNOTATIONS = 256 * 1024

# The hashes that BREAKPAD_DUMP_CHECKSUM_ALGORITHM may name, by the number of hexadecimal digits of their checksums. Of
# hashes with as many digits, the most usual comes first.
_ALGORITHMS = {
    32: ("md5",),
    40: ("sha1",),
    56: ("sha224", "sha3_224"),
    64: ("sha256", "sha3_256", "blake2s"),
    96: ("sha384", "sha3_384"),
    128: ("sha512", "sha3_512", "blake2b"),
}


def algorithms_of(checksum: object) -> tuple[str, ...]:
    """Return the hashes by which a checksum in a raw crash may have been made, the most usual first.

    A checksum does not name its hash, and the collector that took the crash may have used another hash than today's.
    """
    return _ALGORITHMS.get(len(checksum), ()) if isinstance(checksum, str) else ()


class Dump:
    """One dump of a crash: its name, its bytes and their checksums.

    The checksums are computed when the bytes are read for the first time, usually to send them to the storage. So a
    crash that is rejected, as 9 of 10 are in some deployments, costs no checksum.
    """

    __slots__ = ("_algorithm", "_checksum", "_content", "_crc32c", "name")

    def __init__(self, name: str, content: Content, algorithm: str) -> None:
        """``algorithm`` is the name of a hash in ``hashlib``."""
        self.name = name
        self._content = content
        self._algorithm = algorithm
        self._checksum: str | None = None
        self._crc32c: bytes | None = None

    @property
    def size(self) -> int:
        """Number of bytes."""
        return self._content.size

    @property
    def content(self) -> Content:
        """The bytes of the dump."""
        return self._content

    def pieces(self, read: Read = os.pread) -> Iterator[bytes]:
        """Return the bytes from the start, like ``Content.pieces``. Reading all of them computes the checksums."""
        pieces = self._content.pieces(read)
        return self._checked(pieces) if self._checksum is None else pieces

    def _checked(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        digest = _empty_digest(self._algorithm).copy()
        crc = google_crc32c.Checksum()
        for piece in pieces:
            digest.update(piece)
            crc.update(piece)
            yield piece
        self._checksum = digest.hexdigest()
        self._crc32c = crc.digest()

    @property
    def checksum(self) -> str:
        """The digest of the bytes, in lower-case hex."""
        self._read_once()
        assert self._checksum is not None  # noqa: S101 - for mypy: a whole pass sets it
        return self._checksum

    @property
    def crc32c(self) -> bytes:
        """The CRC32C that Google Cloud Storage reports for the same bytes, 4 bytes big endian."""
        self._read_once()
        assert self._crc32c is not None  # noqa: S101 - for mypy: a whole pass sets it
        return self._crc32c

    def _read_once(self) -> None:
        if self._checksum is None:
            for _ in self.pieces():
                pass


@dataclass(slots=True)
class CrashReport:
    """The data that a client sent, and the data that the collector has added since.

    Use it in a ``with`` block, since its dumps may hold temporary files.
    """

    annotations: dict[str, Any] = field(default_factory=dict)
    dumps: dict[str, Dump] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    payload: str = "multipart"
    payload_compressed: bool = False
    payload_size: int = 0
    #: Bytes of the annotations as they were sent.
    annotations_size: int = 0
    user_agent: str = "None"
    submitted: datetime = field(default_factory=lambda: datetime.now(UTC))
    crash_id: str = ""
    throttle_rule: str = ""
    #: Name of the rules file that decided. It is empty if rules in Python decided.
    throttle_rules: str = ""
    deferred: bool = False
    resources: ExitStack = field(default_factory=ExitStack)

    @property
    def size(self) -> int:
        """Bytes of all dumps together."""
        return sum(dump.size for dump in self.dumps.values())

    def request_metadata(self) -> dict[str, Any]:
        """Return the metadata that is known before the rules decide, under the names that it has in the raw crash."""
        return {
            "collector_notes": list(self.notes),
            "payload": self.payload,
            "payload_compressed": "1" if self.payload_compressed else "0",
            "payload_size": self.payload_size,
            "user_agent": self.user_agent,
        }

    def raw_crash(self) -> dict[str, Any]:
        """Return the annotations, and the facts that the collector adds. These replace annotations of the same name."""
        return {
            **self.annotations,
            "uuid": self.crash_id,
            "version": RAW_CRASH_VERSION,
            # isoformat() alone leaves out a fraction of zero, but readers expect six digits.
            "submitted_timestamp": self.submitted.isoformat(timespec="microseconds"),
            "metadata": {
                "collector_notes": self.notes,
                "dump_checksums": {name: dump.checksum for name, dump in self.dumps.items()},
                "payload": self.payload,
                "payload_compressed": "1" if self.payload_compressed else "0",
                "payload_size": self.payload_size,
                "throttle_rule": self.throttle_rule,
                **({"throttle_rules": self.throttle_rules} if self.throttle_rules else {}),
                "user_agent": self.user_agent,
            },
        }

    def raw_crash_pieces(self) -> Iterator[bytes]:
        """Yield the raw crash as it is stored: JSON with sorted keys.

        Most raw crashes are small, and come in one piece. Each piece of a large one takes a few milliseconds to encode.
        """
        if self.annotations_size <= _SMALL_ANNOTATIONS:
            yield json.dumps(self.raw_crash(), sort_keys=True).encode("ascii")
        else:
            yield from large_json.encode_in_pieces(self.raw_crash())

    def encoded_raw_crash(self) -> bytes:
        """Return the raw crash as it is stored, in one piece."""
        return b"".join(self.raw_crash_pieces())

    def encoded_dump_names(self) -> bytes:
        """Return the sorted list of dump names as it is stored, as JSON."""
        return json.dumps(sorted(self.dumps)).encode("ascii")

    def __enter__(self) -> Self:
        """Return the report. Its memory and temporary files are released at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release memory and temporary files."""
        self.resources.close()
