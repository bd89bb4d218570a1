# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A push parser for multipart bodies (RFC 2046 section 5.1) and for the parameters of MIME headers."""

import re
from typing import Protocol

from antenna.reasons import MalformedCrashReport, Reason

# RFC 2046 section 5.1.1 allows white space ("transport padding") after a boundary. Any more than
# this is no padding that a client sends, and is taken for data.
_AFTER_BOUNDARY = re.compile(rb"(--)?[ \t]{0,64}")
_QUOTED_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED_QUOTE = re.compile(r'\\(["\\])')
# RFC 5322 section 2.2.3: a header goes on in the next line if that begins with white space.
_FOLD = re.compile(rb"\r\n(?=[ \t])")


class PartHandler(Protocol):
    """Takes the parts of a body as the parser finds them."""

    def part_begun(self, headers: dict[str, str]) -> None:
        """Begin a part; header names are in lower case."""

    def part_data(self, piece: bytes) -> None:
        """Take the next bytes of the part's content."""

    def part_ended(self) -> None:
        """End the part."""


class MultipartParser:
    """Splits a multipart body into parts while it arrives; holds no more of it than a part's headers.

    A boundary counts only as a whole line, so a line of data that merely begins with it stays data.
    Preamble and epilogue are ignored. Raises ``MalformedCrashReport``: ``TOO_LARGE`` for headers over
    ``max_header_size`` bytes, ``INVALID_PAYLOAD_STRUCTURE`` on ``close()`` without the closing boundary.
    """

    def __init__(self, boundary: bytes, handler: PartHandler, *, max_header_size: int) -> None:
        """``boundary`` as the Content-Type gives it, without the two dashes."""
        self._delimiter = b"\r\n--" + boundary
        self._handler = handler
        self._max_header_size = max_header_size
        # The first boundary may stand at the very start, without the line break before it.
        self._buffer = b"\r\n"
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
            raise MalformedCrashReport(Reason.INVALID_PAYLOAD_STRUCTURE, "no closing boundary")

    def _headers(self, start: int) -> int:
        """Read a header block; return where the content begins, or -1 if more bytes are needed.

        ``start`` is the line break at the end of the boundary line: with it, a block without any
        header also ends in an empty line.
        """
        end = self._buffer.find(b"\r\n\r\n", start)
        size = (end if end >= 0 else len(self._buffer)) - start
        if size > self._max_header_size:
            raise MalformedCrashReport(Reason.TOO_LARGE, "part headers")
        if end < 0:
            return -1
        self._in_headers = False
        self._in_part = True
        self._handler.part_begun(parse_headers(self._buffer[start:end]))
        return end + 4

    def _content(self, start: int) -> int:
        """Pass content on up to the next boundary; return where that line ends, or -1 if more bytes are needed."""
        buffer, delimiter = self._buffer, self._delimiter
        found = buffer.find(delimiter, start)
        while found >= 0:
            after = found + len(delimiter)
            match = _AFTER_BOUNDARY.match(buffer, after)
            end = match.end() if match else after
            if len(buffer) - end < len(b"\r\n"):
                return -1  # undecided until the end of the line is here
            closing = match is not None and match[1] is not None
            if buffer.startswith(b"\r\n", end) or (closing and buffer[end] in b"\r\n"):
                self._end_part(buffer[start:found])
                self._closed = closing
                self._in_headers = not closing
                return -1 if closing else end
            found = buffer.find(delimiter, found + 1)
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
        tail = len(self._delimiter) + 70  # dashes, padding and half a line break may follow the boundary
        begin = max(start, len(self._buffer) - tail)
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
    """
    headers: dict[str, str] = {}
    for line in _FOLD.sub(b"", block).split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if colon:
            headers.setdefault(_decode(name).strip().lower(), _decode(value).strip())
    return headers


def parse_parameters(header: str) -> tuple[str, dict[str, str]]:
    """Split ``form-data; name="a"; filename=b`` into the value in lower case and its parameters.

    Parameter names come in lower case; values may be quoted or not (Fenix does not quote).
    """
    value, semicolon, rest = header.partition(";")
    parameters: dict[str, str] = {}
    position = 0
    while semicolon:
        equals = rest.find("=", position)
        if equals < 0:
            break
        name = rest[position:equals].rpartition(";")[2].strip().lower()
        position = equals + 1
        while rest[position : position + 1] in (" ", "\t"):
            position += 1
        if rest.startswith('"', position):
            match = _QUOTED_STRING.match(rest, position)
            content = match[1] if match else rest[position + 1 :]
            text = _ESCAPED_QUOTE.sub(r"\1", content) if "\\" in content else content
            position = match.end() if match else len(rest)
        else:
            end = rest.find(";", position)
            end = end if end >= 0 else len(rest)
            text = rest[position:end].strip()
            position = end
        parameters.setdefault(name, text)
    return value.strip().lower(), parameters


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("iso-8859-1")
