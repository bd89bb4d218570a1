# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Inflates a gzip stream piece by piece (RFC 1952), within limits on its size and its cost."""

import time
from collections.abc import Iterable, Iterator

from antenna.fast.inflate import Inflater, errors, inflater
from antenna.files import PIECE_SIZE
from antenna.limits import MAX_GZIP_MEMBERS
from antenna.refusal import Reason, Refusal

_MAGIC = b"\x1f\x8b"
# RFC 1952 section 2.3: magic, method, flags.
_START_SIZE = 4
# Flags of the gzip streams that clients send: no optional field, or only a file name.
_USUAL_FLAGS = frozenset({b"\x00", b"\x08"})
# A hostile stream can take a hundred times the CPU time of a real one: it consists of nothing but the beginnings of
# blocks. A stream may take a second for each _SLOWEST bytes of content, which is what a real one takes on a slow
# machine, and _CALL_SECONDS for each call of the library. If a stream is _SLOW seconds behind that, it gets its input
# in pieces of _SLOW_INPUT_SIZE bytes. If it is _TOO_SLOW seconds behind, it is refused.
_SLOWEST = 50_000_000
_CALL_SECONDS = 10e-6
_SLOW = 0.005
_TOO_SLOW = 0.1
_SLOW_INPUT_SIZE = 4 * 1024


class Gunzip:
    """Iterates over the content of a gzip stream, in pieces of at most 256 KiB.

    Several members in a row are one stream (RFC 1952 section 2.2). Bytes after the last member that do not begin
    another one are ignored, as by ``gzip -d``. Raises ``Refusal``: ``BAD_GZIP`` if the stream is not gzip, is damaged
    or is cut off; ``TOO_LARGE`` if the content has over ``max_size`` bytes, or takes many times the CPU time of real
    content. The two libraries for inflating differ in how strictly they check codes that no compressor writes. Both
    compare checksum and size.
    """

    def __init__(self, pieces: Iterable[bytes], *, max_size: int) -> None:
        """``pieces`` are the bytes of the stream, in pieces of any size."""
        self._pieces = iter(pieces)
        self._max_size = max_size
        #: CPU time in seconds that inflating has taken so far.
        self.seconds = 0.0
        # Seconds that the stream is behind, see _SLOWEST.
        self._lag = 0.0

    def __iter__(self) -> Iterator[bytes]:
        """Yield the content."""
        size = 0
        for output in self._members():
            size += len(output)
            if size > self._max_size:
                raise Refusal(Reason.TOO_LARGE, "decompressed body")
            if self._lag > _TOO_SLOW:
                raise Refusal(Reason.TOO_LARGE, "time to decompress")
            yield output

    def _members(self) -> Iterator[bytes]:
        rest = self._at_least(_START_SIZE, b"")
        for _ in range(MAX_GZIP_MEMBERS):
            member = inflater(has_plain_header=_is_usual(rest))
            while not member.eof:
                data = b""
                if member.needs_input:
                    data, rest = rest or next(self._pieces, b""), b""
                    if not data:
                        raise Refusal(Reason.BAD_GZIP, "cut off")
                    if self._lag > _SLOW:
                        data, rest = data[:_SLOW_INPUT_SIZE], data[_SLOW_INPUT_SIZE:]
                yield self._inflate(member, data)
            rest = member.unused_data + rest
            rest = self._at_least(_START_SIZE, rest)
            if not rest.startswith(_MAGIC):
                for _ in self._pieces:  # the body still has to be read to its end
                    pass
                return
        raise Refusal(Reason.TOO_LARGE, "gzip members")

    def _at_least(self, size: int, data: bytes) -> bytes:
        """Return ``data`` with as many further bytes as make it ``size`` bytes long, if there are as many."""
        while len(data) < size and (piece := next(self._pieces, b"")):
            data += piece
        return data

    def _inflate(self, member: Inflater, data: bytes) -> bytes:
        start = time.thread_time()
        try:
            output = member.decompress(data, PIECE_SIZE)
        except errors() as error:
            raise Refusal(Reason.BAD_GZIP, "damaged") from error
        seconds = time.thread_time() - start
        self.seconds += seconds
        # The lag is bounded from below, so that a cheap beginning does not pay for an expensive rest.
        self._lag = max(self._lag + seconds - _CALL_SECONDS - len(output) / _SLOWEST, -_TOO_SLOW)
        return output


def _is_usual(start: bytes) -> bool:
    """Whether a member that begins with these bytes has no optional field except a file name."""
    return start.startswith(_MAGIC) and start[3:4] in _USUAL_FLAGS
