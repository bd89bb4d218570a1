# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Computes the memory that annotations will take when they are decoded, and encoded again to be stored.

Python stores each character of a text in as many bytes as the widest character of the text needs: 1, 2 or 4. The raw
crash has six or twelve bytes for a control character and for each character beyond ASCII. The bytes of the annotations
tell how many of these characters there are, and counting bytes is far cheaper than decoding them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from antenna.hub import Turn
from antenna.limits import MAX_ANNOTATIONS_MEMORY
from antenna.payload.charsets import DEFAULT, codec_of
from antenna.refusal import Reason, Refusal

# If all annotations together have no more bytes than this, they take at most 16 times as much, which needs no check.
_SMALL = 2 * 1024 * 1024

_PRINTABLE = bytes(range(0x20, 0x7F))
_ASCII = bytes(range(0x80))
# In UTF-8: the bytes that do not begin a character, and the bytes that do not begin a character beyond U+FFFF.
_CONTINUATION = bytes(range(0x80, 0xC0))
_BUT_WIDEST = bytes(range(0xF0))


@dataclass(frozen=True, slots=True)
class _Cost:
    """Bytes that the annotations of one part take: decoded, encoded again, and only while they are being decoded."""

    decoded: int
    encoded: int
    meanwhile: int = 0


def check_memory(parts: Iterable[tuple[bytes, str | None]]) -> None:
    """Raise ``Refusal`` (``TOO_LARGE``) if the annotations would take too much memory.

    ``parts`` has the bytes of each part and its charset. The charset is ``None`` if the part is JSON.
    """
    parts = list(parts)
    size = sum(len(data) for data, _ in parts)
    if size <= _SMALL:
        return
    turn = Turn()
    costs = []
    for data, charset in parts:
        costs.append(_cost_of_json(data) if charset is None else _cost_of_text(data, codec_of(charset)))
        turn.pass_on()
    decoded = sum(cost.decoded for cost in costs)
    while_decoding = size + decoded + max(cost.meanwhile for cost in costs)
    while_encoding = decoded + sum(cost.encoded for cost in costs)
    if max(while_decoding, while_encoding) > MAX_ANNOTATIONS_MEMORY:
        raise Refusal(Reason.TOO_LARGE, "memory for annotations")


def _cost_of_text(data: bytes, codec: str) -> _Cost:
    beyond_ascii = len(data.translate(None, _ASCII))
    unprintable = len(data.translate(None, _PRINTABLE)) - beyond_ascii
    quoted = data.count(b'"') + data.count(b"\\")
    encoded = len(data) + quoted + 5 * unprintable
    if codec == DEFAULT:
        # In the raw crash, a character of two or three bytes takes six bytes, one of four bytes takes twelve.
        return _Cost(_characters(data) * _width(data), encoded + 2 * beyond_ascii)
    width = 2 if codec == "cp1252" and beyond_ascii else 1
    return _Cost(len(data) * width, encoded + 5 * beyond_ascii)


def _cost_of_json(data: bytes) -> _Cost:
    beyond_ascii = len(data.translate(None, _ASCII))
    characters = _characters(data)
    text = characters * _width(data)
    decoded = max(text, characters * _width_of_escapes(data))
    # While a text with escapes is decoded, it grows, so it has a quarter more than it needs. The text before the escape
    # is in memory as well.
    growing = text + decoded // 4 if b"\\" in data else 0
    # An escape takes as many bytes in the raw crash as it took here.
    encoded = len(data) + 2 * beyond_ascii + 5 * data.count(b"\x7f")
    return _Cost(decoded, encoded, meanwhile=text + growing)


def _characters(data: bytes) -> int:
    return len(data) if data.isascii() else len(data.translate(None, _CONTINUATION))


def _width(data: bytes) -> int:
    """Return how many bytes Python needs for each character of this UTF-8 text."""
    if data.isascii():
        return 1
    return 4 if data.translate(None, _BUT_WIDEST) else 2


def _width_of_escapes(data: bytes) -> int:
    r"""Return how many bytes Python needs for each character that is escaped in JSON, such as ``\u00e9``."""
    if b"\\ud" in data or b"\\uD" in data:
        return 4
    return 2 if b"\\u" in data else 1
