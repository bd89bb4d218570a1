# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Bounded streaming gunzip (RFC 1952)."""

import time
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from antenna.files import PIECE_SIZE
from antenna.limits import MAX_GZIP_MEMBERS
from antenna.payload.libdeflate import Libdeflate
from antenna.payload.memory import Share
from antenna.refusal import Reason, Refusal

try:
    from isal import isal_zlib
except ImportError:  # no wheel for this platform
    _fast_zlib: Any = zlib
else:
    # Inflates at more than twice the speed of zlib; the result is the same.
    _fast_zlib = isal_zlib

_GZIP = 16 + zlib.MAX_WBITS
_MAGIC = b"\x1f\x8b"
# RFC 1952 section 2.3: magic, method, flags.
_START_SIZE = 4
# Flags of what clients send: nothing optional, or a file name only.
_USUAL_FLAGS = frozenset({b"\x00", b"\x08"})
# The stream ends in the size of the content (RFC 1952 section 2.3.1), if it is one member and nothing after it.
_SIZE_FIELD = 4
#: Bytes of a stream that is inflated in one go. Nobody else goes on meanwhile: 0.5 ms for a real report, 35 ms for one
#: that is made of nothing but the starts of blocks.
SMALL_STREAM = 256 * 1024
# An inflater copies what is left of its input each time its output is full.
_INPUT_SIZE = 64 * 1024
# What real streams inflate to in a second on a slow machine, and what a call takes there, however little it gets. A
# stream of nothing but the starts of blocks takes a hundred times as long: when it is so many seconds behind, it gets
# its input in smaller pieces, and then an end.
_SLOWEST = 50_000_000
_CALL_SECONDS = 10e-6
_SLOW = 0.005
_TOO_SLOW = 0.1
_SLOW_INPUT_SIZE = 4 * 1024


class Gunzip:
    """Iterates over the content of a gzip stream, in pieces of at most 256 KiB.

    Several members in a row are one stream (RFC 1952 section 2.2); what follows the last member and
    is no member is ignored, as ``gzip -d`` does. Raises ``Refusal``: ``BAD_GZIP`` for
    what is no gzip, damaged or cut off, ``TOO_LARGE`` over ``max_size`` bytes of output and for what
    takes many times the CPU of real content. The libraries are not equally strict with codes that no
    compressor writes; all compare checksum and size.
    """

    def __init__(
        self, pieces: Iterable[bytes], *, max_size: int, memory: Share | None = None, whole: Libdeflate | None = None
    ) -> None:
        """``pieces`` of the stream, of any size. With ``whole``, a small one waits in ``memory`` until all is there."""
        self._pieces = iter(pieces)
        self._max_size = max_size
        self._memory = memory
        self._whole = whole
        #: CPU time spent on inflating so far.
        self.seconds = 0.0
        # By how much that is more than it may be for a real stream.
        self._lag = 0.0

    def __iter__(self) -> Iterator[bytes]:
        """Yield the content."""
        if self._whole is not None and self._memory is not None:
            content = self._small(self._whole, self._memory)
            if content is not None:
                yield from content
                return
        size = 0
        for output in self._members():
            size += len(output)
            if size > self._max_size:
                raise Refusal(Reason.TOO_LARGE, "decompressed body")
            if self._lag > _TOO_SLOW:
                raise Refusal(Reason.TOO_LARGE, "time to decompress")
            yield output

    def _small(self, whole: Libdeflate, memory: Share) -> list[bytes] | None:
        """Return the content of a small stream, None for a large or unusual one, of which nothing is used up then."""
        held = bytearray()  # not a list: a client may send a byte at a time
        if self._gather(held, memory) and (content := self._at_once(whole, bytes(held))) is not None:
            return content
        self._pieces = chain(_cut(bytes(held)), self._pieces)
        return None

    def _gather(self, held: bytearray, memory: Share) -> bool:
        """Add pieces to ``held``; say whether that is all of the stream, and it is small."""
        taken = 0
        try:
            for piece in self._pieces:
                held += piece
                if (
                    len(held) > SMALL_STREAM
                    or not _is_usual(bytes(held[:_START_SIZE]))
                    or not memory.reserve(len(piece))
                ):
                    return False
                taken += len(piece)
            return True
        finally:
            memory.release(taken)

    def _at_once(self, whole: Libdeflate, stream: bytes) -> list[bytes] | None:
        largest = min(whole.capacity, self._max_size)
        if int.from_bytes(stream[-_SIZE_FIELD:], "little") > largest:
            return None
        start = time.thread_time()
        inflated = whole.inflate(stream)
        self.seconds += time.thread_time() - start
        if inflated is None:
            return None
        content, used = inflated
        if sum(map(len, content)) > largest or stream.startswith(_MAGIC, used):
            return None
        return content

    def _members(self) -> Iterator[bytes]:
        rest = self._at_least(_START_SIZE, b"")
        for _ in range(MAX_GZIP_MEMBERS):
            inflater = _inflater(rest)
            while not inflater.eof:
                # The inflater may hold output back when all its input is used up: only then ask for more.
                rest = rest or next(self._pieces, b"")
                later = b""
                if self._lag > _SLOW:
                    rest, later = rest[:_SLOW_INPUT_SIZE], rest[_SLOW_INPUT_SIZE:]
                output = self._inflate(inflater, rest)
                if not output and not rest:
                    raise Refusal(Reason.BAD_GZIP, "cut off")
                rest = (inflater.unused_data if inflater.eof else inflater.unconsumed_tail) + later
                yield output
            rest = self._at_least(_START_SIZE, rest)
            if not rest.startswith(_MAGIC):
                for _ in self._pieces:  # the body still has to be read to its end
                    pass
                return
        raise Refusal(Reason.TOO_LARGE, "gzip members")

    def _at_least(self, size: int, data: bytes) -> bytes:
        """Return ``data`` and what comes until there are ``size`` bytes, or no more."""
        while len(data) < size and (piece := next(self._pieces, b"")):
            data += piece
        return data

    def _inflate(self, inflater: Any, data: bytes) -> bytes:
        start = time.thread_time()
        try:
            output: bytes = inflater.decompress(data, PIECE_SIZE)
        except (zlib.error, _fast_zlib.error, EOFError, ValueError) as error:
            raise Refusal(Reason.BAD_GZIP, "damaged") from error
        seconds = time.thread_time() - start
        self.seconds += seconds
        # What comes cheaply is no credit for what is expensive later.
        self._lag = max(self._lag + seconds - _CALL_SECONDS - len(output) / _SLOWEST, -_TOO_SLOW)
        return output


def _is_usual(start: bytes) -> bool:
    """Whether this may be, or become, the start of a stream as clients send it."""
    return start[:2] == _MAGIC[: len(start)] and (len(start) < _START_SIZE or start[3:4] in _USUAL_FLAGS)


def _cut(data: bytes) -> Iterator[bytes]:
    return (data[start : start + _INPUT_SIZE] for start in range(0, len(data), _INPUT_SIZE))


def _inflater(start: bytes) -> Any:
    """Return an inflater for the member that begins with ``start``."""
    # isal takes a header with several optional fields for damaged if it comes in pieces.
    library = _fast_zlib if _is_usual(start) else zlib
    return library.decompressobj(wbits=_GZIP)
