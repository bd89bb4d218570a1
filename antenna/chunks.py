# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Takes apart bodies that are sent in chunks (RFC 9112 section 7.1)."""

import re

# The line break after the previous chunk, and the size of the next chunk. Extensions are ignored.
_CHUNK_HEAD = re.compile(rb"\r\n([0-9A-Fa-f]{1,16})(?:[ \t]*;[^\r\n]*)?\r\n")
_PART_OF_CHUNK_HEAD = re.compile(rb"\r?|\r\n[0-9A-Fa-f]{0,16}[ \t]*(?:;[^\r\n]*)?\r?")


class BadChunks(Exception):
    """The bytes are not framed as RFC 9112 section 7.1 says, or the size line of a chunk is too long."""


class TooMuchFraming(BadChunks):
    """The chunk sizes, extensions and trailers of a body together take more bytes than they may."""


class Chunks:
    """Removes the framing from a body while it arrives. Chunk extensions and trailers are ignored."""

    def __init__(self, *, max_head_size: int, max_framing_size: int) -> None:
        """Begin before the first chunk. Sizes are in bytes.

        ``max_head_size`` bounds the size line of one chunk with its extensions, and the trailers. ``max_framing_size``
        bounds all framing of the body together.
        """
        self._max_head_size = max_head_size
        self._max_framing_size = max_framing_size
        self._rest = b"\r\n"  # stands for the line break after a previous chunk
        self._left = 0
        self._framing_size = 0
        self._in_trailers = False
        #: Whether the end of the body has been reached.
        self.ended = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Take the next bytes. Return the content in them, and the bytes after the end of the body.

        Raises ``BadChunks`` or ``TooMuchFraming``.
        """
        buffer = self._rest + data
        pieces: list[bytes] = []
        position = 0
        while not self._in_trailers:
            if self._left:
                piece = buffer[position : position + self._left]
                pieces.append(piece)
                position += len(piece)
                self._left -= len(piece)
            if self._left or not (head := _CHUNK_HEAD.match(buffer, position)):
                break
            position = head.end()
            self._left = int(head[1], 16)
            if not self._left:
                self._in_trailers = True
                position -= len(b"\r\n")  # with this line break, a section without trailers ends in an empty line, too
        content = b"".join(pieces)
        self._framing_size += len(data) - len(content)
        self._rest = buffer[position:]
        beyond = self._end_trailers() if self._in_trailers else b""
        self._check()
        return content, beyond

    def _end_trailers(self) -> bytes:
        _, empty_line, beyond = self._rest.partition(b"\r\n\r\n")
        if not empty_line:
            return b""
        self.ended = True
        self._rest = b""
        return beyond

    def _check(self) -> None:
        """Raise ``BadChunks`` if no further bytes can make a chunk head, or the end of the trailers, of the rest."""
        may_go_on = self._in_trailers or _PART_OF_CHUNK_HEAD.fullmatch(self._rest)
        if not may_go_on or len(self._rest) > self._max_head_size:
            raise BadChunks
        if self._framing_size > self._max_framing_size:
            raise TooMuchFraming
