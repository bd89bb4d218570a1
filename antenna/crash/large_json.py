# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""JSON of values that are too large to be encoded in one go: nothing else would run meanwhile, in no thread.

The standard library has ``iterencode`` for that. It hands each piece through a generator for each level of nesting, so
that what is nested 150 deep takes many times as long; and it encodes a text in one go, however long that is.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from json.encoder import encode_basestring_ascii as encode_text
from typing import Any

# Characters of a text that are encoded in one go. One takes 1 to 12 bytes.
_SLICE = 64 * 1024
# Tokens of JSON, and characters in them, that are put together to one piece.
_TOKENS = 4096
_PIECE = 64 * 1024

_encode = json.JSONEncoder().encode
# Of most values, in a tenth of the time.
_ENCODERS: dict[type, Callable[[Any], str]] = {
    int: int.__repr__,
    float: lambda number: repr(number) if math.isfinite(number) else _encode(number),
    bool: {True: "true", False: "false"}.__getitem__,
    type(None): lambda _: "null",
}


def encode_in_pieces(value: dict[str, Any]) -> Iterator[bytes]:
    """Yield what ``json.dumps`` with sorted keys makes of an object, in pieces that take some milliseconds each.

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
    # The containers that have begun and not ended, from the outermost to the innermost: what is left of each, and its
    # last bracket.
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
    """Yield what stands before each member of an object, its name included, and its value."""
    separator = ""
    for name in sorted(members):
        yield chain((separator,), _text(name), (": ",)), members[name]
        separator = ", "


def _items(items: list[Any]) -> Iterator[tuple[Iterable[str], Any]]:
    """Yield what stands before each item of an array, and the item."""
    return zip(chain([()], repeat((", ",))), items, strict=False)  # as many as there are items


def _text(text: str) -> Iterable[str]:
    return (encode_text(text),) if len(text) <= _SLICE else _slices(text)


def _slices(text: str) -> Iterator[str]:
    yield '"'
    # No character is cut in two: Python's strings have no surrogate pairs.
    for start in range(0, len(text), _SLICE):
        yield encode_text(text[start : start + _SLICE])[1:-1]
    yield '"'
