# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""From the body of a request to a crash report (how clients send one: see docs/spec.rst)."""

import contextlib
import hashlib
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import gevent
import gevent.lock
import markus

from antenna.body import RequestBody
from antenna.config import ConfigManager, ConfigurationError, Option
from antenna.crash_report import CrashReport
from antenna.gunzip import Gunzip
from antenna.limits import Limits
from antenna.multipart import MultipartParser, parse_parameters
from antenna.parts import PartCollector
from antenna.reasons import MalformedCrashReport, Reason

metrics = markus.get_metrics("breakpad_resource")

# RFC 2046 section 5.1.1 allows 70 characters; some clients of old took more.
MAX_BOUNDARY_LENGTH = 256

# Inflating and splitting this many bytes takes a few milliseconds; then the other connections get their turn.
_TURN_SIZE = 1024 * 1024

# Decoded, annotations take a multiple of their size. Reports with more than this take turns.
_LARGE_ANNOTATIONS = 1024 * 1024


class PayloadReader:
    """Reads crash reports off requests, piece by piece, within the limits."""

    class Config:
        """Options of reading; the limits have theirs beside them."""

        dump_checksum_algorithm = Option(
            default="md5",
            doc="Checksum of dumps in the raw crash: md5, sha256 or another name from Python's hashlib.",
        )
        temp_dir = Option(
            default="",
            doc="Directory for temporary files while a report arrives. Not set: the system's. Best is one on the "
            "file system of the spool.",
        )

    def __init__(self, config: ConfigManager) -> None:
        """``config`` has the namespace ``BREAKPAD``. Raises ``ConfigurationError``."""
        self.config = config.with_options(self)
        self.limits = Limits(config)
        self.checksum_algorithm: str = self.config("dump_checksum_algorithm").lower()
        if self.checksum_algorithm not in hashlib.algorithms_guaranteed or self.checksum_algorithm.startswith("shake"):
            raise ConfigurationError(
                f"BREAKPAD_DUMP_CHECKSUM_ALGORITHM has a bad value {self.checksum_algorithm!r}: "
                "expected the name of a hash, such as md5 or sha256."
            )
        self.temp_dir = Path(self.config("temp_dir") or tempfile.gettempdir())
        self._large_reports = gevent.lock.BoundedSemaphore(1)

    def read(self, environ: dict[str, Any], body: RequestBody) -> CrashReport:
        """Read the report of one request.

        Raises ``MalformedCrashReport``, and ``OSError`` where the temporary directory fails. Nothing is left then.
        """
        boundary = _boundary(environ.get("CONTENT_TYPE", ""))
        compressed = _is_gzip(environ.get("HTTP_CONTENT_ENCODING", ""))
        parts = PartCollector(self.limits, self.temp_dir)
        with contextlib.ExitStack() as resources:
            resources.callback(parts.close)
            parser = MultipartParser(boundary, parts, max_header_size=self.limits.part_header_size)
            if compressed:
                metrics.incr("gzipped_crash")
                unzipped = Gunzip(body.pieces(), max_size=self.limits.decompressed_size)
                _feed(parser, unzipped)
                metrics.timing("gzipped_crash_decompress", unzipped.seconds * 1000)
            else:
                _feed(parser, body.pieces())
            parser.close()
            if parts.annotations_size > _LARGE_ANNOTATIONS:
                resources.enter_context(self._large_reports)
            report = parts.report(self.checksum_algorithm)
            report.resources = resources.pop_all()
        report.payload_compressed = compressed
        report.payload_size = body.size
        report.user_agent = environ.get("HTTP_USER_AGENT", "None")
        return report


def _feed(parser: MultipartParser, pieces: Iterable[bytes]) -> None:
    """Parse ``pieces``, and let other connections go on now and then."""
    size = 0
    for piece in pieces:
        parser.feed(piece)
        size += len(piece)
        if size >= _TURN_SIZE:
            size = 0
            gevent.sleep(0)


def _boundary(content_type: str) -> bytes:
    if not content_type.strip():
        raise MalformedCrashReport(Reason.NO_CONTENT_TYPE)
    media_type, parameters = parse_parameters(content_type)
    if media_type not in ("multipart/form-data", "multipart/mixed"):
        raise MalformedCrashReport(Reason.WRONG_CONTENT_TYPE)
    boundary = parameters.get("boundary", "")
    if not 1 <= len(boundary) <= MAX_BOUNDARY_LENGTH:
        raise MalformedCrashReport(Reason.NO_BOUNDARY)
    return boundary.encode("latin-1")  # as WSGI decoded it: PEP 3333


def _is_gzip(content_encoding: str) -> bool:
    match content_encoding.strip().lower():
        case "" | "identity":
            return False
        case "gzip" | "x-gzip":
            return True
    raise MalformedCrashReport(Reason.UNSUPPORTED_ENCODING)
