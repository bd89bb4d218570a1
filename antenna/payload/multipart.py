# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A push parser for multipart bodies (RFC 2046 section 5.1) and for the parameters of MIME headers."""

import re
from itertools import islice
from typing import Protocol

from antenna.limits import MAX_ALL_PART_HEADERS_SIZE, MAX_LINES_LIKE_BOUNDARIES, MAX_PARAMETERS, MAX_PART_HEADERS
from antenna.refusal import Reason, Refusal

# What follows a boundary in its line: two dashes if it is the closing one, and white space ("transport padding", RFC
# 2046 section 5.1.1). Any more of that than this is no padding that a client sends, and makes the line one of data.
_END_OF_LINE = re.compile(rb"(--)[ \t]{0,64}[\r\n]|[ \t]{0,64}(?=\r\n)")
_LONGEST_END = 2 + 64 + 1
# A parameter of a MIME header; its value is a quoted string (RFC 2045 section 5.1), of which the end may be missing, or
# goes on to the next semicolon.
_PARAMETER = re.compile(r';([^=;]*)=[ \t]*(?:"([^"\\]*(?:\\.[^"\\]*)*)(?:"|\Z)|([^;]*))', re.DOTALL)
# RFC 5322 section 2.2.3: a header goes on in the next line if that begins with white space.
_FOLD = re.compile(rb"\r\n(?=[ \t])")


class PartHandler(Protocol):
    """Takes the parts of a body as the parser finds them."""

    def part_begun(self, block: bytes) -> None:
        """Begin a part; ``parse_headers`` takes its block of headers apart."""

    def part_data(self, piece: bytes) -> None:
        """Take the next bytes of the part's content."""

    def part_ended(self) -> None:
        """End the part."""


class MultipartParser:
    """Splits a multipart body into parts while it arrives; holds no more of it than a part's headers.

    A boundary counts only as a whole line, so a line of data that merely begins with it stays data.
    Preamble and epilogue are ignored. Raises ``Refusal``: ``TOO_LARGE`` for headers over
    ``max_header_size`` bytes, ``INVALID_PAYLOAD_STRUCTURE`` on ``close()`` without the closing boundary.
    """

    def __init__(self, boundary: bytes, handler: PartHandler, *, max_header_size: int) -> None:
        """``boundary`` as the Content-Type gives it, without the two dashes."""
        self._delimiter = b"\r\n--" + boundary
        self._handler = handler
        self._max_header_size = max_header_size
        # The first boundary may stand at the very start, without the line break before it.
        self._buffer = b"\r\n"
        self._headers_size = 0
        self._lines_like_boundaries = 0
        self._in_headers = False
        self._in_part = False
        self._closed = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body, any number of them."""
        if self._closed:
            return
        self._buffer += data
        consumed = position = 0
        while position >= 0:
            consumed = position
            position = self._headers(position) if self._in_headers else self._content(position)
        if not self._in_headers:
            consumed = self._emit_settled(consumed)
        self._buffer = self._buffer[consumed:]

    def close(self) -> None:
        """End the body: the closing boundary must have come."""
        if not self._closed:
            self.feed(b"\r\n")  # the line break after the closing boundary is often left out
        if not self._closed:
            raise Refusal(Reason.INVALID_PAYLOAD_STRUCTURE, "no closing boundary")

    def _headers(self, start: int) -> int:
        """Read a header block; return where the content begins, or -1 if more bytes are needed.

        ``start`` is the line break at the end of the boundary line: with it, a block without any
        header also ends in an empty line.
        """
        end = self._buffer.find(b"\r\n\r\n", start)
        # Up to three bytes of the end may be here already.
        size = (end if end >= 0 else len(self._buffer) - 3) - start
        if size > self._max_header_size or self._headers_size + size > MAX_ALL_PART_HEADERS_SIZE:
            raise Refusal(Reason.TOO_LARGE, "part headers")
        if end < 0:
            return -1
        self._headers_size += size
        self._in_headers = False
        self._in_part = True
        self._handler.part_begun(self._buffer[start:end])
        return end + 4

    def _content(self, start: int) -> int:
        """Pass content on up to the next boundary; return where that line ends, or -1 if more bytes are needed."""
        found = self._buffer.find(self._delimiter, start)
        while found >= 0:
            end = _END_OF_LINE.match(self._buffer, found + len(self._delimiter))
            if end is not None:
                self._end_part(self._buffer[start:found])
                self._closed = end[1] is not None
                self._in_headers = not self._closed
                return -1 if self._closed else end.end()
            # One that may still turn out to be a boundary is met again with the bytes that come next.
            self._lines_like_boundaries += len(self._buffer) - found > len(self._delimiter) + _LONGEST_END
            if self._lines_like_boundaries > MAX_LINES_LIKE_BOUNDARIES:
                raise Refusal(Reason.INVALID_PAYLOAD_STRUCTURE, "boundary all over the content")
            found = self._buffer.find(self._delimiter, found + 1)
        return -1

    def _end_part(self, last: bytes) -> None:
        if self._in_part:
            if last:
                self._handler.part_data(last)
            self._handler.part_ended()
            self._in_part = False

    def _emit_settled(self, start: int) -> int:
        """Pass on the content that cannot be part of a boundary line; return where the rest begins."""
        if self._closed:
            return len(self._buffer)
        found = self._undecided(start)
        if found > start:
            if self._in_part:
                self._handler.part_data(self._buffer[start:found])
            return found
        return start

    def _undecided(self, start: int) -> int:
        """Return where a boundary line that is not complete yet may begin."""
        begin = max(start, len(self._buffer) - len(self._delimiter) - _LONGEST_END)
        found = self._buffer.find(b"\r\n", begin)
        while found >= 0:
            rest = self._buffer[found : found + len(self._delimiter)]
            if self._delimiter.startswith(rest):
                return found
            found = self._buffer.find(b"\r\n", found + 1)
        return len(self._buffer) - self._buffer.endswith(b"\r")


def parse_headers(block: bytes) -> dict[str, str]:
    """Parse the headers of a part. A line without a colon is no header and is passed over.

    Text is UTF-8 as RFC 7578 section 5.1 has it; bytes that are not are read as ISO 8859-1.
    Raises ``Refusal`` (``TOO_LARGE``) for too many lines.
    """
    if block.count(b"\r\n") > MAX_PART_HEADERS:
        raise Refusal(Reason.TOO_LARGE, "part headers")
    headers: dict[str, str] = {}
    for line in _FOLD.sub(b"", block).split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if colon:
            headers.setdefault(_decode(name).strip().lower(), _decode(value).strip())
    return headers


def parse_parameters(header: str) -> tuple[str, dict[str, str]]:
    """Split ``form-data; name="a"; filename=b`` into the value in lower case and its parameters.

    Parameter names come in lower case; values may be quoted or not (Fenix does not quote). What comes after the first
    few is ignored.
    """
    value, semicolon, rest = header.partition(";")
    parameters: dict[str, str] = {}
    for match in islice(_PARAMETER.finditer(semicolon + rest), MAX_PARAMETERS):
        name, quoted, plain = match.groups()
        text = plain.strip() if quoted is None else _unescape(quoted)
        parameters.setdefault(name.strip().lower(), text)
    return value.strip().lower(), parameters


def _unescape(quoted: str) -> str:
    """Take the backslashes away that quote a quotation mark or another backslash; clients leave others unquoted."""
    return "\\".join(piece.replace('\\"', '"') for piece in quoted.split("\\\\"))


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("iso-8859-1")
