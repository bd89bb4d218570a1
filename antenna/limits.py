# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Every limit on what a client may send, in one place."""

from dataclasses import dataclass

from antenna.config import ConfigManager, Option, bounded, parse_duration, parse_size

# Bounds that no operator has a reason to change, for what no client has a reason to send.

# Request line and headers together. Gunicorn looks through them again whenever more of them arrives.
MAX_HEAD_SIZE = 32 * 1024
# Seconds from the first byte of a request to the end of its headers; and for the first byte on a new connection.
HEAD_TIMEOUT = 20.0
# Seconds that a client may leave an answer unread.
SEND_TIMEOUT = 20.0

# Of a chunk's size with its extensions, and of the trailers (RFC 9112 section 7.1).
MAX_CHUNK_HEAD = 4 * 1024
# Of all that together, over a whole body. A chunk costs about a microsecond, however small it is, and takes at least
# five bytes. Clients send chunks of 4 KiB and more.
MAX_CHUNK_FRAMING = 2 * 1024 * 1024

# RFC 2046 section 5.1.1 allows 70 characters; some clients of old took more.
MAX_BOUNDARY_LENGTH = 256
# Lines of content that begin with the boundary. Clients choose one that does not occur at all (RFC 2046 section 5.1.1).
MAX_LINES_LIKE_BOUNDARIES = 10_000
# An inflater costs 10 us, a member 20 bytes. Parallel compressors write a member every 64 KiB or more.
MAX_GZIP_MEMBERS = 4096
# Headers of a part, the bytes of those of one part and of all parts, and parameters of one header.
MAX_PART_HEADERS = 32
MAX_PART_HEADER_SIZE = 16 * 1024
MAX_ALL_PART_HEADERS_SIZE = 4 * 1024 * 1024
MAX_PARAMETERS = 32

# Of one report. Those of Firefox have some 60, whose names have up to 50 characters; together they take 0.2 MiB.
MAX_ANNOTATIONS = 2000
MAX_ANNOTATION_NAME_SIZE = 1024
# Bytes of all annotations of a report as they came. More of them cannot be had within the memory of one request.
MAX_ANNOTATIONS_SIZE = 8 * 1024 * 1024
# Bytes that annotations take at the same time: decoded, where one character beyond U+FFFF makes every other of the same
# text take four bytes, and encoded again, where a control character takes six.
MAX_ANNOTATIONS_MEMORY = 48 * 1024 * 1024
# Bytes of all parts of a report together that have a transfer encoding, as they came. Decoding them takes more CPU than
# inflating them. Hardly anybody sends any, and minidumps of games, the largest, have some 20 MB.
MAX_ENCODED_SIZE = 32 * 1024 * 1024
# Sequences in quoted-printable that are no escapes. More of them tell that the content is no quoted-printable.
MAX_BARE_EQUALS_SIGNS = 10_000
# Dumps of one report: those of its processes, and files that go with them.
MAX_DUMPS = 32
# Notes on a report that its client can cause.
MAX_NOTES = 100

# Python's JSON encoder and decoder recurse, and give up somewhere below 1,000.
MAX_JSON_DEPTH = 200
# Containers, names and values in all JSON parts of a report together. Each takes up to 120 bytes of memory, and 2 us.
MAX_JSON_ITEMS = 100_000
# What converting an integer costs grows with the square of its length.
MAX_JSON_DIGITS = 1000
# Characters of a number, as many as one of 64 bits is written with; and of all longer ones in a report together. No
# reporter sends any.
LONG_JSON_NUMBER = 24
MAX_LONG_JSON_NUMBERS_SIZE = 200_000
# JSON that throttle rules look into, such as a TelemetryEnvironment: its characters, and the containers, names and
# values in it. That of a small profile has 13,000 characters and 1,000 items. Decoding takes 20 ms and 8 MiB at most.
MAX_READ_JSON_SIZE = 512 * 1024
MAX_READ_JSON_ITEMS = 40_000
# Seconds that a report may wait for others to give memory back.
MEMORY_TIMEOUT = 30.0

# What is read after an early answer: a client has time to notice it before the connection goes.
DRAIN_SECONDS = 30.0
DRAIN_IDLE_SECONDS = 2.0
MAX_DRAIN_SIZE = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PartLimits:
    """Limits on the parts of one report, as tests may have them smaller. Sizes are bytes."""

    header_size: int = MAX_PART_HEADER_SIZE
    annotations: int = MAX_ANNOTATIONS
    annotations_size: int = MAX_ANNOTATIONS_SIZE
    annotation_name_size: int = MAX_ANNOTATION_NAME_SIZE
    dumps: int = MAX_DUMPS
    encoded_size: int = MAX_ENCODED_SIZE


PART_LIMITS = PartLimits()


class Limits:
    """Limits on one request. Sizes are bytes, times are seconds."""

    class Config:
        """Defaults are far from what any real client sends."""

        max_payload_size = Option(
            default="25MiB",
            parser=bounded(parse_size, "1"),
            doc="Largest body of a request as it is sent, compressed or not. A larger one is refused with 413.",
        )
        max_decompressed_size = Option(
            default="200MiB",
            parser=bounded(parse_size, "1"),
            doc="Largest body of a request after decompression. A larger one is refused with 413.",
        )
        body_timeout = Option(
            default="60s",
            parser=bounded(parse_duration, "0.1s"),
            doc="Time in which a client must deliver its body. If it takes longer, it is answered with 408.",
        )
        memory_per_report = Option(
            default="768KiB",
            parser=parse_size,
            doc="Memory that one report may take while it arrives. The rest of it goes to temporary files.",
        )
        memory_per_worker = Option(
            default="64MiB",
            parser=parse_size,
            doc="Memory that all reports of one worker may take while they arrive. Their decoded annotations may take "
            "as much again. If it is used up, reports go to temporary files and large annotations wait.",
        )
        temp_size_per_worker = Option(
            default="4GiB",
            parser=parse_size,
            doc="Size that all temporary files of one worker may have. If it is used up, reports that are still "
            "arriving and that take far more room than their clients have sent are refused with 413. If there is no "
            "such report, one that needs more room is answered with 503.",
        )

    def __init__(self, config: ConfigManager) -> None:
        """Read the limits from ``config``, whose namespace is ``BREAKPAD``."""
        self.config = config.with_options(self)
        self.payload_size: int = self.config("max_payload_size")
        self.decompressed_size: int = self.config("max_decompressed_size")
        self.body_timeout: float = self.config("body_timeout")
        self.memory_per_report: int = self.config("memory_per_report")
        self.memory_per_worker: int = self.config("memory_per_worker")
        self.temp_size_per_worker: int = self.config("temp_size_per_worker")
