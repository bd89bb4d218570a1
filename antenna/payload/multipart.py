# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A push parser for multipart bodies (RFC 2046 section 5.1)."""

import re
from enum import Enum, auto
from typing import Protocol

from antenna.limits import MAX_ALL_PART_HEADERS_SIZE, MAX_LINES_LIKE_BOUNDARIES
from antenna.refusal import Reason, Refusal

# The rest of a line after the boundary: two dashes if it is the closing boundary, and up to 64 characters of white
# space ("transport padding", RFC 2046 section 5.1.1). No client sends as much. A line with more is content.
_END_OF_LINE = re.compile(rb"(--)[ \t]{0,64}[\r\n]|[ \t]{0,64}(?=\r\n)")
_LONGEST_END = 2 + 64 + 1
_LINE_BREAK = b"\r\n"


class PartHandler(Protocol):
    """Takes the parts of a body from the parser as it finds them."""

    def part_begun(self, block: bytes) -> None:
        """Begin a part. ``antenna.payload.headers`` can parse its block of headers."""

    def part_data(self, piece: bytes) -> None:
        """Take the next bytes of the part's content."""

    def part_ended(self) -> None:
        """End the part."""


class _State(Enum):
    """The place in the body that the parser has reached."""

    PREAMBLE = auto()
    HEADERS = auto()
    CONTENT = auto()
    EPILOGUE = auto()


# In Python 3.11 the lookup of an enum's member is slow, and a body has many parts.
_PREAMBLE, _HEADERS, _CONTENT, _EPILOGUE = _State


class MultipartParser:
    """Splits a multipart body into parts while it arrives. It holds no more of the body than the headers of one part.

    A boundary counts only if it is a whole line. A line of content that merely begins with the boundary is content. Two
    kinds of body break the rules and are read all the same:

    * Something stands before the first boundary in its line, such as the byte order mark of a .NET writer. It is
      ignored like the rest of the preamble.
    * The next boundary follows the headers of a part at once. Either the line break that belongs to it is missing
      (Fenix and Focus until 2022), or the empty line after the headers. The part is empty.

    Preamble and epilogue are ignored. Raises ``Refusal``: ``TOO_LARGE`` if headers have over ``max_header_size`` bytes,
    ``INVALID_PAYLOAD_STRUCTURE`` in ``close()`` if the closing boundary is missing.
    """

    def __init__(self, boundary: bytes, handler: PartHandler, *, max_header_size: int) -> None:
        """``boundary`` is the one of the Content-Type, without the two dashes. ``max_header_size`` is in bytes."""
        self._first_delimiter = b"--" + boundary
        self._delimiter = _LINE_BREAK + self._first_delimiter
        self._longest_line = len(self._delimiter) + _LONGEST_END
        self._handler = handler
        self._max_header_size = max_header_size
        # The first boundary may be at the very start of the body, where no line break stands before it.
        self._buffer = _LINE_BREAK
        self._state = _PREAMBLE
        # Bytes before the content that do not belong to it: the line break at the end of the empty line after the
        # headers. In an empty part, the same line break may belong to the boundary.
        self._before_content = 0
        self._headers_size = 0
        # Bytes of a block of headers that were searched already, so that they are not searched again when more arrives.
        self._searched = 0
        self._lines_like_boundaries = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body. There may be any number of them."""
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
        """End the body. Raises ``Refusal`` (``INVALID_PAYLOAD_STRUCTURE``) if there was no closing boundary."""
        self.feed(_LINE_BREAK)  # the line break after the closing boundary is often left out
        if self._state is not _EPILOGUE:
            raise Refusal(Reason.INVALID_PAYLOAD_STRUCTURE, "no closing boundary")

    def _preamble(self, start: int) -> int:
        """Look for the first boundary. Returns where its line ends, or -1 if more bytes are needed."""
        while (line := self._find_boundary(self._first_delimiter, start, len(self._buffer))) is not None:
            # The closing boundary of a body without parts has to begin its line.
            if line[1] is None or self._buffer.startswith(_LINE_BREAK, line.start() - len(self._delimiter)):
                return self._boundary_found(line)
            start = line.start()
        return -1

    def _headers(self, start: int) -> int:
        """Read a block of headers. Returns where to look for the boundary after it, or -1 if more bytes are needed.

        ``start`` is the line break at the end of the boundary's line. With this line break, a block without any header
        also ends in an empty line.
        """
        resume = start + self._searched
        # The boundary is looked for first. If many boundaries follow one another, a search for the empty line would run
        # to the end of the buffer each time.
        early = self._find_boundary(self._delimiter, resume, len(self._buffer))
        before = len(self._buffer) if early is None else early.start() - len(self._delimiter)
        # The line break before the boundary may also be the one of the empty line.
        end = self._buffer.find(b"\r\n\r\n", resume, before + len(_LINE_BREAK))
        if end >= 0:
            early = None
        elif early is not None:
            end = before
        # The last three bytes may be the beginning of the empty line.
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
        """Pass content on up to the next boundary.

        Returns where the boundary's line ends, or -1 if more bytes are needed.
        """
        line = self._find_boundary(self._delimiter, start, len(self._buffer))
        if line is None:
            return -1
        self._pass_on(start, line.start() - len(self._delimiter))
        self._handler.part_ended()
        return self._boundary_found(line)

    def _boundary_found(self, line: re.Match[bytes]) -> int:
        """Continue after a boundary. ``line`` is the rest of its line. Returns where the line ends."""
        self._state = _EPILOGUE if line[1] else _HEADERS
        return line.end()

    def _find_boundary(self, delimiter: bytes, start: int, end: int) -> re.Match[bytes] | None:
        """Find the first boundary between ``start`` and ``end``. Returns the match of the rest of its line."""
        found = self._buffer.find(delimiter, start, end)
        while found >= 0:
            line = _END_OF_LINE.match(self._buffer, found + len(delimiter))
            if line is not None:
                return line
            # A line that may still become a boundary is found again when the next bytes are there, so it is not counted
            # now. Lines in headers are not counted, because headers are bounded themselves.
            if self._state is not _HEADERS:
                self._lines_like_boundaries += len(self._buffer) - found > self._longest_line
            if self._lines_like_boundaries > MAX_LINES_LIKE_BOUNDARIES:
                raise Refusal(Reason.INVALID_PAYLOAD_STRUCTURE, "boundary all over the content")
            found = self._buffer.find(delimiter, found + 1, end)
        return None

    def _pass_on(self, start: int, end: int) -> None:
        """Pass content on to the handler. ``start`` is where the search for the boundary began."""
        piece = self._buffer[start + self._before_content : end]
        self._before_content = 0
        if piece:
            self._handler.part_data(piece)

    def _settled(self, start: int) -> int:
        """Pass on or forget the bytes that cannot belong to a boundary's line.

        Returns the position of the first byte that has to stay in the buffer.
        """
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
        """Return the first position at which an incomplete boundary line may begin."""
        begin = max(start, len(self._buffer) - self._longest_line)
        found = self._buffer.find(_LINE_BREAK, begin)
        while found >= 0:
            rest = self._buffer[found : found + len(self._delimiter)]
            if self._delimiter.startswith(rest):
                return found
            found = self._buffer.find(_LINE_BREAK, found + 1)
        return len(self._buffer) - self._buffer.endswith(b"\r")
