# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Every limit on what a client may send, in one place."""

from antenna.config import ConfigManager, Option, bounded, parse_duration, parse_int, parse_size

# Bounds that no operator has a reason to change, for what no client has a reason to send.

# Request line and headers together. Gunicorn looks through them again whenever more of them arrives.
MAX_HEAD_SIZE = 32 * 1024
# Seconds from the first byte of a request to the end of its headers; and for the first byte on a new connection.
HEAD_TIMEOUT = 20.0
# Seconds that a client may leave an answer unread.
SEND_TIMEOUT = 20.0

# Of a chunk's size with its extensions, and of the trailers (RFC 9112 section 7.1).
MAX_CHUNK_HEAD = 4 * 1024
# Of all that together, over a whole body. A chunk costs about a microsecond, however small it is.
MAX_CHUNK_FRAMING = 8 * 1024 * 1024

# RFC 2046 section 5.1.1 allows 70 characters; some clients of old took more.
MAX_BOUNDARY_LENGTH = 256
# Lines of content that begin with the boundary. Clients choose one that does not occur at all (RFC 2046 section 5.1.1).
MAX_LINES_LIKE_BOUNDARIES = 10_000
# An inflater costs 10 us, a member 20 bytes. Parallel compressors write a member every 64 KiB or more.
MAX_GZIP_MEMBERS = 4096
# Headers of a part, their size over all parts, and parameters of one header.
MAX_PART_HEADERS = 32
MAX_ALL_PART_HEADERS_SIZE = 4 * 1024 * 1024
MAX_PARAMETERS = 32

# Python's JSON encoder and decoder recurse, and give up somewhere below 1,000.
MAX_JSON_DEPTH = 200
# Small values in JSON take 50 times their size in memory.
MAX_JSON_VALUES = 50_000
# What converting an integer costs grows with the square of its length.
MAX_JSON_DIGITS = 1000
# Characters of a number, as many as one of 64 bits is written with; and of all longer ones in a report together. No
# reporter sends any.
LONG_JSON_NUMBER = 24
MAX_LONG_JSON_NUMBERS_SIZE = 200_000
# Characters of TelemetryEnvironment that throttle rules look into: JSON in an annotation's text, which none of the
# above bounds. That of a small profile has 13,000.
MAX_TELEMETRY_ENVIRONMENT_SIZE = 512 * 1024
# Commas in it, in one of 28,000 characters some 1,100: 170,000 lists between them take 50 times as long.
MAX_TELEMETRY_ENVIRONMENT_COMMAS = 25_000
# Seconds that a report may wait for others to give memory back.
MEMORY_TIMEOUT = 30.0

# What is read after an early answer: a client has time to notice it before the connection goes.
DRAIN_SECONDS = 30.0
DRAIN_IDLE_SECONDS = 2.0
MAX_DRAIN_SIZE = 256 * 1024 * 1024


class Limits:
    """Limits on one request. Sizes are bytes, times are seconds."""

    class Config:
        """Defaults are far from what any real client sends."""

        max_payload_size = Option(
            default="25MiB",
            parser=bounded(parse_size, "1"),
            doc="Size of a request body on the wire, compressed or not. Over it: 413.",
        )
        max_decompressed_size = Option(
            default="200MiB",
            parser=bounded(parse_size, "1"),
            doc="Size of a request body after decompression. Over it: 413.",
        )
        body_timeout = Option(
            default="60s",
            parser=bounded(parse_duration, "0.1s"),
            doc="Time a client has to deliver its body. Later: 408.",
        )
        max_part_header_size = Option(
            default="16KiB",
            parser=bounded(parse_size, "256"),
            doc="Size of the headers of one part of the body. Over it: 413.",
        )
        max_annotations = Option(
            default="2000",
            parser=bounded(parse_int, "1"),
            doc="Number of annotations of a report. Over it: 413.",
        )
        max_annotations_size = Option(
            default="20MiB",
            parser=bounded(parse_size, "1"),
            doc="Size of all annotations of a report together. Over it: 413.",
        )
        max_annotation_name_size = Option(
            default="1KiB",
            parser=bounded(parse_size, "1"),
            doc="Length of the name of an annotation. Over it: 413.",
        )
        max_annotation_value_size = Option(
            default="20MiB",
            parser=bounded(parse_size, "1"),
            doc="Size of the value of an annotation that is a part of its own. Over it: 413.",
        )
        max_dumps = Option(
            default="32",
            parser=bounded(parse_int, "1"),
            doc="Number of dumps of a report. Over it: 413.",
        )
        memory_per_report = Option(
            default="768KiB",
            parser=parse_size,
            doc="Bytes of a report held in memory while it arrives; what is beyond goes to temporary files.",
        )
        memory_per_worker = Option(
            default="64MiB",
            parser=parse_size,
            doc="Bytes of all reports in one worker held in memory while they arrive, and as much again for decoded "
            "annotations. When there is no more, reports go to temporary files, and large annotations wait.",
        )
        temp_size_per_worker = Option(
            default="4GiB",
            parser=parse_size,
            doc="Bytes of all temporary files of one worker. When there is no more, arriving reports that take far "
            "more for each byte sent by their clients are answered with 413; without any, who needs more gets 503.",
        )

    def __init__(self, config: ConfigManager) -> None:
        """Read the limits from ``config``, whose namespace is ``BREAKPAD``."""
        self.config = config.with_options(self)
        self.payload_size: int = self.config("max_payload_size")
        self.decompressed_size: int = self.config("max_decompressed_size")
        self.body_timeout: float = self.config("body_timeout")
        self.part_header_size: int = self.config("max_part_header_size")
        self.annotations: int = self.config("max_annotations")
        self.annotations_size: int = self.config("max_annotations_size")
        self.annotation_name_size: int = self.config("max_annotation_name_size")
        self.annotation_value_size: int = self.config("max_annotation_value_size")
        self.dumps: int = self.config("max_dumps")
        self.memory_per_report: int = self.config("memory_per_report")
        self.memory_per_worker: int = self.config("memory_per_worker")
        self.temp_size_per_worker: int = self.config("temp_size_per_worker")
