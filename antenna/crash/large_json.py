# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""JSON of values that are too large to be encoded in one go: nothing else would run meanwhile, in no thread."""

import json
from collections.abc import Callable
from io import BytesIO
from json.encoder import encode_basestring_ascii
from typing import Any

# Characters that are encoded in one go. One takes 1 to 12 bytes.
_PIECE = 64 * 1024

_encode = json.JSONEncoder().encode


def encode(value: Any, pass_on: Callable[[], object]) -> bytes:
    """Return what ``json.dumps`` with sorted keys does. ``pass_on`` is called again and again on the way.

    Names in objects have to be strings.
    """
    encoder = _Encoder(pass_on)
    encoder.value(value)
    return encoder.output.getvalue()


class _Encoder:
    """Writes values piece by piece."""

    def __init__(self, pass_on: Callable[[], object]) -> None:
        # Unlike a list of pieces, it is not copied in the end.
        self.output = BytesIO()
        self._write = self.output.write
        self._pass_on = pass_on

    def value(self, value: Any) -> None:
        """Write a value."""
        if isinstance(value, str):
            self._text(value)
        elif isinstance(value, dict) and value:
            self._object(value)
        elif isinstance(value, list) and value:
            self._array(value)
        else:
            self._write(_encode(value).encode("ascii"))
            self._pass_on()

    def _text(self, text: str) -> None:
        self._write(b'"')
        # No character is cut in two: Python's strings have no surrogate pairs.
        for start in range(0, len(text), _PIECE):
            self._write(encode_basestring_ascii(text[start : start + _PIECE])[1:-1].encode("ascii"))
            self._pass_on()
        self._write(b'"')

    def _object(self, members: dict[str, Any]) -> None:
        before = b"{"
        for name in sorted(members):
            self._write(before)
            self._text(name)
            self._write(b": ")
            self.value(members[name])
            before = b", "
        self._write(b"}")

    def _array(self, values: list[Any]) -> None:
        before = b"["
        for value in values:
            self._write(before)
            self.value(value)
            before = b", "
        self._write(b"]")
