# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A push parser for multipart bodies (RFC 2046 section 5.1)."""

import re
from enum import Enum, auto
from typing import Protocol

from antenna.limits import MAX_ALL_PART_HEADERS_SIZE, MAX_LINES_LIKE_BOUNDARIES
from antenna.refusal import Reason, Refusal

# What follows a boundary in its line: two dashes if it is the closing one, and white space ("transport padding", RFC
# 2046 section 5.1.1). Any more of that than this is no padding that a client sends, and makes the line one of data.
_END_OF_LINE = re.compile(rb"(--)[ \t]{0,64}[\r\n]|[ \t]{0,64}(?=\r\n)")
_LONGEST_END = 2 + 64 + 1
_LINE_BREAK = b"\r\n"


class PartHandler(Protocol):
    """Takes the parts of a body as the parser finds them."""

    def part_begun(self, block: bytes) -> None:
        """Begin a part; ``antenna.payload.headers`` takes its block of headers apart."""

    def part_data(self, piece: bytes) -> None:
        """Take the next bytes of the part's content."""

    def part_ended(self) -> None:
        """End the part."""


class _State(Enum):
    """Where in the body the parser is."""

    PREAMBLE = auto()
    HEADERS = auto()
    CONTENT = auto()
    EPILOGUE = auto()


# Python 3.11 takes some time to find a member of an enum, and a body has many parts.
_PREAMBLE, _HEADERS, _CONTENT, _EPILOGUE = _State


class MultipartParser:
    """Splits a multipart body into parts while it arrives; holds no more of it than a part's headers.

    A boundary counts only as a whole line, so a line of data that merely begins with it stays data. Two kinds of body
    that break the rules are read all the same:

    * Something stands before the first boundary in its line, such as the byte order mark of a .NET writer. It is
      ignored like the rest of the preamble.
    * The headers of a part are followed at once by the next boundary: the line break that belongs to it is missing
      (Fenix and Focus until 2022), or the empty line after the headers. The part is empty.

    Preamble and epilogue are ignored. Raises ``Refusal``: ``TOO_LARGE`` for headers over
    ``max_header_size`` bytes, ``INVALID_PAYLOAD_STRUCTURE`` on ``close()`` without the closing boundary.
    """

    def __init__(self, boundary: bytes, handler: PartHandler, *, max_header_size: int) -> None:
        """``boundary`` as the Content-Type gives it, without the two dashes."""
        self._first_delimiter = b"--" + boundary
        self._delimiter = _LINE_BREAK + self._first_delimiter
        self._longest_line = len(self._delimiter) + _LONGEST_END
        self._handler = handler
        self._max_header_size = max_header_size
        # The first boundary may stand at the very start, without the line break before it.
        self._buffer = _LINE_BREAK
        self._state = _PREAMBLE
        # Bytes in front of the content that are not part of it: the line break at the end of the empty line after the
        # headers, which may also be the one that belongs to the boundary of an empty part.
        self._before_content = 0
        self._headers_size = 0
        # Bytes of a header block that have been searched, for when more of it comes.
        self._searched = 0
        self._lines_like_boundaries = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body, any number of them."""
        if self._state is _EPILOGUE:
            return
        self._buffer += data
        consumed = position = 0
        while position >= 0:
            consumed = position
            if self._state is _HEADERS:
                position = self._headers(position)
            elif self._state is _CONTENT:
                position = self._content(position)
            else:
                position = self._preamble(position) if self._state is _PREAMBLE else -1
        self._buffer = self._buffer[self._settled(consumed) :]

    def close(self) -> None:
        """End the body: the closing boundary must have come."""
        self.feed(_LINE_BREAK)  # the line break after the closing boundary is often left out
        if self._state is not _EPILOGUE:
            raise Refusal(Reason.INVALID_PAYLOAD_STRUCTURE, "no closing boundary")

    def _preamble(self, start: int) -> int:
        """Look for the first boundary; return where its line ends, or -1 if more bytes are needed."""
        while (line := self._find_boundary(self._first_delimiter, start, len(self._buffer))) is not None:
            # One that closes a body without parts is a line of its own.
            if line[1] is None or self._buffer.startswith(_LINE_BREAK, line.start() - len(self._delimiter)):
                return self._boundary_found(line)
            start = line.start()
        return -1

    def _headers(self, start: int) -> int:
        """Read a header block; return where to look for the boundary after it, or -1 if more bytes are needed.

        ``start`` is the line break at the end of the boundary line: with it, a block without any
        header also ends in an empty line.
        """
        resume = start + self._searched
        # The boundary first: where one follows the other, a search for the empty line would go to the end each time.
        early = self._find_boundary(self._delimiter, resume, len(self._buffer))
        before = len(self._buffer) if early is None else early.start() - len(self._delimiter)
        # The line break that belongs to the boundary may be that of the empty line, too.
        end = self._buffer.find(b"\r\n\r\n", resume, before + len(_LINE_BREAK))
        if end >= 0:
            early = None
        elif early is not None:
            end = before
        # Up to three bytes of the end may be here already.
        size = (end if end >= 0 else len(self._buffer) - 3) - start
        if size > self._max_header_size or self._headers_size + size > MAX_ALL_PART_HEADERS_SIZE:
            raise Refusal(Reason.TOO_LARGE, "part headers")
        if end < 0:
            self._searched = max(0, len(self._buffer) - start - self._longest_line)
            return -1
        self._searched = 0
        self._headers_size += size
        self._handler.part_begun(self._buffer[start:end])
        if early is not None:
            self._handler.part_ended()
            return self._boundary_found(early)
        self._state = _CONTENT
        self._before_content = len(_LINE_BREAK)
        return end + len(_LINE_BREAK)

    def _content(self, start: int) -> int:
        """Pass content on up to the next boundary; return where that line ends, or -1 if more bytes are needed."""
        line = self._find_boundary(self._delimiter, start, len(self._buffer))
        if line is None:
            return -1
        self._pass_on(start, line.start() - len(self._delimiter))
        self._handler.part_ended()
        return self._boundary_found(line)

    def _boundary_found(self, line: re.Match[bytes]) -> int:
        """Go on after a boundary, of whose line this is the rest; return where it ends."""
        self._state = _EPILOGUE if line[1] else _HEADERS
        return line.end()

    def _find_boundary(self, delimiter: bytes, start: int, end: int) -> re.Match[bytes] | None:
        """Return the rest of the line of the first boundary between ``start`` and ``end``."""
        found = self._buffer.find(delimiter, start, end)
        while found >= 0:
            line = _END_OF_LINE.match(self._buffer, found + len(delimiter))
            if line is not None:
                return line
            # One that may still turn out to be a boundary is met again with the bytes that come next. Those in headers
            # are few, as headers are bounded.
            if self._state is not _HEADERS:
                self._lines_like_boundaries += len(self._buffer) - found > self._longest_line
            if self._lines_like_boundaries > MAX_LINES_LIKE_BOUNDARIES:
                raise Refusal(Reason.INVALID_PAYLOAD_STRUCTURE, "boundary all over the content")
            found = self._buffer.find(delimiter, found + 1, end)
        return None

    def _pass_on(self, start: int, end: int) -> None:
        """Pass content on; ``start`` is where the search for the boundary began."""
        piece = self._buffer[start + self._before_content : end]
        self._before_content = 0
        if piece:
            self._handler.part_data(piece)

    def _settled(self, start: int) -> int:
        """Pass on, or forget, what cannot be part of a boundary line; return where the rest begins."""
        if self._state is _EPILOGUE:
            return len(self._buffer)
        if self._state is _PREAMBLE:
            return max(start, len(self._buffer) - self._longest_line)
        if self._state is _HEADERS:
            return start
        undecided = self._undecided(start)
        if undecided > start:
            self._pass_on(start, undecided)
        return undecided

    def _undecided(self, start: int) -> int:
        """Return where a boundary line that is not complete yet may begin."""
        begin = max(start, len(self._buffer) - self._longest_line)
        found = self._buffer.find(_LINE_BREAK, begin)
        while found >= 0:
            rest = self._buffer[found : found + len(self._delimiter)]
            if self._delimiter.startswith(rest):
                return found
            found = self._buffer.find(_LINE_BREAK, found + 1)
        return len(self._buffer) - self._buffer.endswith(b"\r")
