# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads a crash report from the body of a request. docs/spec.rst says how clients send one."""

import contextlib
import hashlib
import logging
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import markus

from antenna.config import ConfigManager, ConfigurationError, Option
from antenna.crash import CrashReport
from antenna.files import DISK_ERRORS, prepare_directory, probe_temporary_file
from antenna.hub import Turn, run_blocking
from antenna.limits import MAX_BOUNDARY_LENGTH, PART_LIMITS, Limits, PartLimits
from antenna.payload.body import RequestBody
from antenna.payload.gunzip import Gunzip
from antenna.payload.headers import parse_parameters
from antenna.payload.memory import AnnotationMemory, Budget, Share
from antenna.payload.multipart import MultipartParser
from antenna.payload.parts import PartCollector
from antenna.payload.report_room import ReportRoom
from antenna.payload.temporary_space import TemporarySpace
from antenna.refusal import Reason, Refusal

logger = logging.getLogger(__name__)
metrics = markus.get_metrics("breakpad_resource")


class PayloadReader:
    """Reads crash reports from requests, piece by piece, within the limits."""

    class Config:
        """The options for reading. Those for limits are in ``antenna.limits``."""

        dump_checksum_algorithm = Option(
            default="md5",
            doc="Algorithm of the dumps' checksums in the raw crash: md5, sha256 or another name in Python's hashlib.",
        )
        temp_dir = Option(
            default="",
            doc="Directory for the temporary files of arriving reports. If it is not set, it is the system's. It is "
            "best on the file system of the spool, because dumps then enter the spool without being copied.",
        )

    def __init__(self, config: ConfigManager, part_limits: PartLimits = PART_LIMITS) -> None:
        """``config`` has the namespace ``BREAKPAD``. Raises ``ConfigurationError``."""
        self.config = config.with_options(self)
        self.limits = Limits(config)
        self.part_limits = part_limits
        self.checksum_algorithm: str = self.config("dump_checksum_algorithm").lower()
        if self.checksum_algorithm not in hashlib.algorithms_guaranteed or self.checksum_algorithm.startswith("shake"):
            raise ConfigurationError(
                f"BREAKPAD_DUMP_CHECKSUM_ALGORITHM has a bad value {self.checksum_algorithm!r}: "
                "expected the name of a hash, such as md5 or sha256."
            )
        self.temp_dir = Path(self.config("temp_dir") or tempfile.gettempdir())
        try:
            prepare_directory(self.temp_dir)
        except OSError as error:
            if error.errno not in DISK_ERRORS:
                raise ConfigurationError(
                    f"BREAKPAD_TEMP_DIR has a bad value {str(self.temp_dir)!r}: cannot write there: {error.strerror}"
                ) from error
            # The collector starts anyway, because small reports need no file.
            logger.error("temporary files in %s: %s", self.temp_dir, error)  # noqa: TRY400 - the disk matters
        self._memory = Budget(self.limits.memory_per_worker)
        self.temporary_space = TemporarySpace(self.limits.temp_size_per_worker)
        self._annotation_memory = AnnotationMemory(self.limits.memory_per_worker)

    def check_temporary_files(self) -> None:
        """Check that temporary files can be written. Raises ``OSError``."""
        run_blocking(probe_temporary_file, self.temp_dir)

    def read(self, environ: dict[str, Any], body: RequestBody) -> CrashReport:
        """Read the report of one request.

        Raises ``Refusal`` and ``TemporaryFilesFailed``. Then all memory and temporary files of the report are released.
        """
        boundary = _boundary(environ.get("CONTENT_TYPE", ""))
        compressed = _is_gzip(environ.get("HTTP_CONTENT_ENCODING", ""))
        memory = Share(self._memory, self.limits.memory_per_report)
        room = ReportRoom(memory, self.temporary_space.share(body), self.temp_dir)
        with contextlib.ExitStack() as resources:
            parts = resources.enter_context(contextlib.closing(PartCollector(room, self.part_limits)))
            parser = MultipartParser(boundary, parts, max_header_size=self.part_limits.header_size)
            if compressed:
                self._feed_unpacked(parser, body)
            else:
                _feed(parser, body.pieces(), body.turn)
            parser.close()
            report = parts.report(self.checksum_algorithm, self._annotation_memory.share(resources))
            report.resources = resources.pop_all()
        report.payload_compressed = compressed
        report.payload_size = body.size
        report.user_agent = _user_agent(environ)
        return report

    def _feed_unpacked(self, parser: MultipartParser, body: RequestBody) -> None:
        """Inflate a gzipped body, and feed the parser with the content."""
        metrics.incr("gzipped_crash")
        unzipped = Gunzip(body.pieces(), max_size=self.limits.decompressed_size)
        result = "fail"
        try:
            metrics.histogram("crash_size_inflated", _feed(parser, unzipped, body.turn))
            result = "success"
        finally:
            metrics.timing("gzipped_crash_decompress", unzipped.seconds * 1000, tags=[f"result:{result}"])


def _feed(parser: MultipartParser, pieces: Iterable[bytes], turn: Turn) -> int:
    """Feed the parser with the body. Returns the number of bytes."""
    size = 0
    for piece in pieces:
        parser.feed(piece)
        turn.pass_on()
        size += len(piece)
    return size


def _boundary(content_type: str) -> bytes:
    if not content_type.strip():
        raise Refusal(Reason.NO_CONTENT_TYPE)
    media_type, parameters = parse_parameters(content_type)
    if media_type not in ("multipart/form-data", "multipart/mixed"):
        raise Refusal(Reason.WRONG_CONTENT_TYPE)
    boundary = parameters.get("boundary", "")
    if not 1 <= len(boundary) <= MAX_BOUNDARY_LENGTH:
        raise Refusal(Reason.NO_BOUNDARY)
    try:
        return boundary.encode("latin-1")  # as WSGI decoded it: PEP 3333
    except UnicodeEncodeError:
        # Only ``boundary*=utf-8''...`` (RFC 5987) has such characters.
        return boundary.encode("utf-8")


def _is_gzip(content_encoding: str) -> bool:
    match content_encoding.strip().lower():
        case "" | "identity":
            return False
        case "gzip" | "x-gzip":
            return True
    raise Refusal(Reason.UNSUPPORTED_ENCODING)


def _user_agent(environ: dict[str, Any]) -> str:
    """Return the header, or the string ``None`` if there is no header.

    WSGI decodes headers as ISO 8859-1 (PEP 3333). If the bytes are UTF-8, they are decoded as such.
    """
    user_agent: str = environ.get("HTTP_USER_AGENT", "").strip() or "None"
    try:
        return user_agent.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return user_agent
