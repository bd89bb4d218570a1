# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""How much decoding JSON builds, counted before anything is decoded.

A client's JSON may take fifty times its size once it is decoded, and gzip takes it to a hundredth of that size on the
wire. Whatever decodes JSON that a client sent asks ``count_built`` first.
"""

from collections.abc import Iterator
from itertools import accumulate

from antenna.hub import Turn

# Outside strings, each container begins with one of these, and so does each name and each value: after the bracket or
# comma before it, or after the colon.
_BEGINNINGS = b"[{,:"
_ENDINGS = b"]}"
_ALL = bytes(range(256))
_BUT_BEGINNINGS = bytes(set(_ALL) - set(_BEGINNINGS))
_BUT_STRUCTURE = bytes(set(_ALL) - set(_BEGINNINGS + _ENDINGS + b'"'))
# By how much each bracket changes the depth, as a signed byte.
_DEPTHS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")

# Bytes that are looked at in one go: it takes a millisecond or two.
_PIECE = 64 * 1024


def count_built(data: bytes, most: int) -> int:
    """Return how many containers, names and values JSON in UTF-8 holds, or a number over ``most`` if there are more.

    The count is never too low. It is too high for JSON with commas, colons or brackets in its strings, but only up to
    ``most``; and a container that is empty counts as if it held something. It takes some 2 ns for each byte, and other
    greenlets have their turn.
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
    """Whether containers in JSON are nested deeper than ``depth`` before there are ``most`` of them, or little more."""
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
    """Yield the brackets, commas and colons that are not in strings, piece by piece."""
    turn = Turn()
    inside = 0
    position = 0
    while position < len(data):
        piece = data[position : position + _PIECE]
        if (len(piece) - len(piece.rstrip(b"\\"))) % 2:  # it would end between a backslash and what that escapes
            piece = data[position : position + _PIECE + 1]
        position += len(piece)
        without_escapes = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
        # Now every quotation mark begins or ends a string.
        split = without_escapes.translate(None, _BUT_STRUCTURE).split(b'"')
        yield b"".join(split[inside::2])
        inside = (inside + len(split) - 1) % 2
        turn.pass_on()


def holds_more(value: object, most_characters: int, most_items: int) -> bool:
    """Whether a decoded value has more characters in its text, or more items, names and values, than these."""
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
