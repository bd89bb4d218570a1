# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Every limit on what a client may send.

The constants are bounds that no operator has a reason to change, and that no known client comes near. ``Limits`` has
those that are options. If a report goes over a limit, it is refused, in most cases with 413. docs/reasons.rst has the
answers. Tests are in ``tests/test_breakpad_resource.py``, ``tests/payload`` and ``tests/server``.
"""

from dataclasses import dataclass

from antenna.config import ConfigManager, Option, bounded, parse_duration, parse_size

# Bytes of the request line and the headers together. Gunicorn searches all of them again whenever more of them arrives.
MAX_HEAD_SIZE = 32 * 1024
# Seconds from the first byte of a request to the end of its headers. Also the seconds that a new connection may wait
# before its first byte.
HEAD_TIMEOUT = 20.0
# Seconds that a client may leave an answer unread. Then the connection is closed.
SEND_TIMEOUT = 20.0

# Bytes of one chunk's size line with its extensions, and of the trailers (RFC 9112 section 7.1).
MAX_CHUNK_HEAD = 4 * 1024
# Bytes of all chunk size lines and trailers of one body together. Each chunk costs about a microsecond, however small
# it is, and its framing has at least five bytes. Clients send chunks of 4 KiB and more.
MAX_CHUNK_FRAMING = 2 * 1024 * 1024

# Characters of a boundary. RFC 2046 section 5.1.1 allows 70. Some old clients used more.
MAX_BOUNDARY_LENGTH = 256
# Lines of the content that begin with the boundary. Clients choose a boundary that does not occur in the content at all
# (RFC 2046 section 5.1.1).
MAX_LINES_LIKE_BOUNDARIES = 10_000
# Gzip members in one body. A member costs 10 us of CPU and as few as 20 bytes. Parallel compressors write one for every
# 64 KiB or more.
MAX_GZIP_MEMBERS = 4096
# Headers of a part, bytes of the headers of one part and of all parts together, and parameters of one header.
MAX_PART_HEADERS = 32
MAX_PART_HEADER_SIZE = 16 * 1024
MAX_ALL_PART_HEADERS_SIZE = 4 * 1024 * 1024
MAX_PARAMETERS = 32

# Annotations of one report, and characters of an annotation's name. A report of Firefox has some 60 annotations with
# names of up to 50 characters. They take 0.2 MiB together.
MAX_ANNOTATIONS = 2000
MAX_ANNOTATION_NAME_SIZE = 1024
# Bytes of all annotations of a report as they were sent. More would not fit into the memory that one request may take.
MAX_ANNOTATIONS_SIZE = 8 * 1024 * 1024
# Bytes of memory that the annotations of a report may take at the same time. Decoded, a single character beyond U+FFFF
# makes every character of its text take four bytes. Encoded again, a control character takes six bytes.
MAX_ANNOTATIONS_MEMORY = 48 * 1024 * 1024
# Bytes of all parts with a Content-Transfer-Encoding together, as they were sent. Decoding them takes more CPU than
# inflating gzip. Hardly any client sends such parts. The largest minidumps, those of games, have some 20 MB.
MAX_ENCODED_SIZE = 32 * 1024 * 1024
# Equals signs in quoted-printable that do not begin an escape. If there are more, the content is not quoted-printable.
MAX_BARE_EQUALS_SIGNS = 10_000
# Dumps of one report. There is one for each process, and some files beside them.
MAX_DUMPS = 32
# Notes on one report that its client can cause. Further notes are left out.
MAX_NOTES = 100

# Nesting of containers in JSON. Python's encoder and decoder recurse, and give up somewhere below 1,000.
MAX_JSON_DEPTH = 200
# Containers, names and values in all JSON parts of a report together. Each takes up to 120 bytes of memory and 2 us.
MAX_JSON_ITEMS = 100_000
# Digits of an integer in JSON. The cost of converting an integer grows with the square of its length.
MAX_JSON_DIGITS = 1000
# A number in JSON with more characters than this counts as long. A 64-bit number is never longer.
LONG_JSON_NUMBER = 24
# Characters of all long numbers of a report together. No crash reporter sends long numbers.
MAX_LONG_JSON_NUMBERS_SIZE = 200_000
# JSON in an annotation that throttle rules read, such as a TelemetryEnvironment: its characters, and its containers,
# names and values. That of a small profile has 13,000 characters and 1,000 items. Decoding takes at most 20 ms and 8
# MiB. If it is larger, the rules see an empty text.
MAX_READ_JSON_SIZE = 512 * 1024
MAX_READ_JSON_ITEMS = 40_000
# Seconds that a report may wait until other reports release memory. Then it is answered with 503.
MEMORY_TIMEOUT = 30.0

# After an early answer the collector reads on, so that the client can see the answer before the connection is closed.
# It reads for at most this many seconds in all, seconds without a byte, and bytes.
DRAIN_SECONDS = 30.0
DRAIN_IDLE_SECONDS = 2.0
MAX_DRAIN_SIZE = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PartLimits:
    """Limits on the parts of one report, in a form in which tests can make them smaller. Sizes are in bytes."""

    header_size: int = MAX_PART_HEADER_SIZE
    annotations: int = MAX_ANNOTATIONS
    annotations_size: int = MAX_ANNOTATIONS_SIZE
    annotation_name_size: int = MAX_ANNOTATION_NAME_SIZE
    dumps: int = MAX_DUMPS
    encoded_size: int = MAX_ENCODED_SIZE


PART_LIMITS = PartLimits()


class Limits:
    """The limits on one request that are options. Sizes are in bytes, times in seconds."""

    class Config:
        """The options. Their defaults are far from what any real client sends."""

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
        """Read the limits from ``config``, which has the namespace ``BREAKPAD``."""
        self.config = config.with_options(self)
        self.payload_size: int = self.config("max_payload_size")
        self.decompressed_size: int = self.config("max_decompressed_size")
        self.body_timeout: float = self.config("body_timeout")
        self.memory_per_report: int = self.config("memory_per_report")
        self.memory_per_worker: int = self.config("memory_per_worker")
        self.temp_size_per_worker: int = self.config("temp_size_per_worker")
