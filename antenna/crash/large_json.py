# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Encodes large values as JSON, piece by piece. Encoding in one go would let no other thread run meanwhile.

The standard library's ``iterencode`` is not used. It passes each piece through one generator for each level of nesting,
so a value that is nested 150 deep takes many times as long. And it encodes each text in one go, however long it is.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from json.encoder import encode_basestring_ascii as encode_text
from typing import Any

# Characters of a text that are encoded in one go. Each becomes 1 to 12 bytes.
_SLICE = 64 * 1024
# Tokens of JSON, and characters in them, that are joined to one piece at most.
_TOKENS = 4096
_PIECE = 64 * 1024

_encode = json.JSONEncoder().encode
# Encoders for most types of values. They take a tenth of the time of ``_encode``.
_ENCODERS: dict[type, Callable[[Any], str]] = {
    int: int.__repr__,
    float: lambda number: repr(number) if math.isfinite(number) else _encode(number),
    bool: {True: "true", False: "false"}.__getitem__,
    type(None): lambda _: "null",
}


def encode_in_pieces(value: dict[str, Any]) -> Iterator[bytes]:
    """Yield the JSON of an object, the same as ``json.dumps`` with sorted keys, in pieces that take a few milliseconds.

    Names in objects have to be strings.
    """
    tokens: list[str] = []
    size = 0
    for token in _tokens(value):
        tokens.append(token)
        size += len(token)
        if size >= _PIECE or len(tokens) >= _TOKENS:
            yield "".join(tokens).encode("ascii")
            tokens.clear()
            size = 0
    yield "".join(tokens).encode("ascii")


def _tokens(value: dict[str, Any]) -> Iterator[str]:
    # The containers that have begun and not ended yet, from the outermost to the innermost. Each has its remaining
    # members and its closing bracket.
    open_containers = [(_members(value), "}")]
    yield "{"
    while open_containers:
        members, end = open_containers[-1]
        for before, item in members:
            yield from before
            if isinstance(item, str):
                yield from _text(item)
            elif isinstance(item, dict):
                yield "{"
                open_containers.append((_members(item), "}"))
                break
            elif isinstance(item, list):
                yield "["
                open_containers.append((_items(item), "]"))
                break
            else:
                yield _ENCODERS.get(type(item), _encode)(item)
        else:
            yield end
            open_containers.pop()


def _members(members: dict[str, Any]) -> Iterator[tuple[Iterable[str], Any]]:
    """Yield each member of an object: the text before its value, which includes its name, and the value."""
    separator = ""
    for name in sorted(members):
        yield chain((separator,), _text(name), (": ",)), members[name]
        separator = ", "


def _items(items: list[Any]) -> Iterator[tuple[Iterable[str], Any]]:
    """Yield each item of an array: the text before it, and the item."""
    return zip(chain([()], repeat((", ",))), items, strict=False)  # the separators are endless, the items are not


def _text(text: str) -> Iterable[str]:
    return (encode_text(text),) if len(text) <= _SLICE else _slices(text)


def _slices(text: str) -> Iterator[str]:
    yield '"'
    # This cuts no character in two, since Python's strings have no surrogate pairs.
    for start in range(0, len(text), _SLICE):
        yield encode_text(text[start : start + _SLICE])[1:-1]
    yield '"'
