# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Counts what decoding JSON will build, before anything is decoded.

Decoded JSON may take fifty times as much memory as its text, and gzip may shrink the text to a hundredth on the wire.
So code that decodes JSON from a client calls ``count_built`` first. Tests are in ``tests/test_json_size.py``.
"""

from collections.abc import Iterator
from itertools import accumulate

from antenna.hub import Turn

# Outside strings, each container, name and value begins after one of these: a bracket, a comma or a colon.
_BEGINNINGS = b"[{,:"
_ENDINGS = b"]}"
_ALL = bytes(range(256))
_BUT_BEGINNINGS = bytes(set(_ALL) - set(_BEGINNINGS))
_BUT_STRUCTURE = bytes(set(_ALL) - set(_BEGINNINGS + _ENDINGS + b'"'))
# The change of the depth by each bracket, as a signed byte.
_DEPTHS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")

# Bytes that are examined before other greenlets have their turn. It takes a millisecond or two.
_PIECE = 64 * 1024


def count_built(data: bytes, most: int) -> int:
    """Return how many containers, names and values JSON in UTF-8 has.

    If it has more than ``most``, return any larger number. The count is never too low. It may be too high, but at most
    by as much as ``most`` allows, if strings contain commas, colons or brackets. An empty container counts as if it had
    an item. Counting takes some 2 ns for each byte, and other greenlets have their turn meanwhile.
    """
    turn = Turn()
    count = 1
    for start in range(0, len(data), _PIECE):
        count += len(data[start : start + _PIECE].translate(None, _BUT_BEGINNINGS))
        if count > most:
            break
        turn.pass_on()
    else:
        return count
    count = 1
    for structure in _outside_strings(data):
        count += len(structure.translate(None, _ENDINGS))
        if count > most:
            break
    return count


def is_nested_deeper(data: bytes, depth: int, most: int) -> bool:
    """Whether containers in JSON are nested deeper than ``depth``.

    Only about the first ``most`` containers are examined.
    """
    now = count = 0
    for structure in _outside_strings(data):
        brackets = structure.translate(_DEPTHS, b",:")
        depths = list(accumulate(memoryview(brackets).cast("b"), initial=now))
        if max(depths) > depth:
            return True
        now = depths[-1]
        count += len(brackets)
        if count > most:
            break
    return False


def _outside_strings(data: bytes) -> Iterator[bytes]:
    """Yield the brackets, commas and colons that are not inside strings, piece by piece."""
    turn = Turn()
    inside = 0
    position = 0
    while position < len(data):
        piece = data[position : position + _PIECE]
        # The piece must not end between a backslash and the character that it escapes.
        if (len(piece) - len(piece.rstrip(b"\\"))) % 2:
            piece = data[position : position + _PIECE + 1]
        position += len(piece)
        without_escapes = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
        # After this, every quotation mark begins or ends a string.
        split = without_escapes.translate(None, _BUT_STRUCTURE).split(b'"')
        yield b"".join(split[inside::2])
        inside = (inside + len(split) - 1) % 2
        turn.pass_on()


def holds_more(value: object, most_characters: int, most_items: int) -> bool:
    """Whether a decoded value has more than ``most_characters`` of text or ``most_items`` items, names and values."""
    left = [value]
    characters = items = 0
    while left:
        value = left.pop()
        if isinstance(value, str):
            characters += len(value)
        elif isinstance(value, list):
            items += len(value)
            left += value
        elif isinstance(value, dict):
            items += 2 * len(value)
            left += value
            left += value.values()
        if characters > most_characters or items > most_items:
            return True
    return False
