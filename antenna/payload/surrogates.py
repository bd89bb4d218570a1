# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

r"""Replaces halves of surrogate pairs in decoded JSON. An escape such as ``\ud800`` produces them.

UTF-8 cannot encode them (RFC 3629 section 3). So each becomes U+FFFD, and a note is added.
"""

import re
from collections.abc import Iterable
from typing import Any

from antenna.hub import Turn
from antenna.payload.notes import shorten

_HALF = re.compile("[\ud800-\udfff]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# Characters that are searched before other greenlets have their turn.
_PIECE = 50_000


def replace_halves(annotations: dict[str, Any], repeated: Iterable[str]) -> tuple[dict[str, Any], list[str], list[str]]:
    """Replace halves of surrogate pairs in annotations.

    Returns the annotations, the names that are repeated, and notes. ``repeated`` are the names that the client
    repeated. Different names may become equal. They then count as repeated, too, and the last one wins.
    """
    replacing = _Replacing()
    # These are dicts and not sets, because a dict keeps the order. They hold each name and each note once.
    now_repeated = {replacing.in_text(name): None for name in repeated}
    notes: dict[str, None] = {}
    result: dict[str, Any] = {}
    for name, value in annotations.items():
        replacing.replaced = replacing.lost = False
        clean_name, clean_value = replacing.in_text(name), replacing.in_value(value)
        if clean_name in result:
            now_repeated[clean_name] = None
        if replacing.replaced:
            notes[f"Replaced half of a surrogate pair in {shorten(clean_name)}."] = None
        if replacing.lost:
            notes[f"Repeated name in {shorten(clean_name)}: the last one was kept."] = None
        result[clean_name] = clean_value
    return result, list(now_repeated), list(notes)


class _Replacing:
    """Replaces halves in texts and values. Its flags say what happened since the caller last set them to False."""

    def __init__(self) -> None:
        self.replaced = False
        #: Whether an object has lost a name because another name became equal to it.
        self.lost = False
        self._turn = Turn()

    def in_value(self, value: Any) -> Any:
        """Return ``value`` without halves of surrogate pairs."""
        if isinstance(value, str):
            return self.in_text(value)
        if isinstance(value, list):
            self._turn.pass_on()
            return [self.in_value(item) for item in value]
        if isinstance(value, dict):
            self._turn.pass_on()
            result = {self.in_text(name): self.in_value(item) for name, item in value.items()}
            self.lost |= len(result) < len(value)
            return result
        return value

    def in_text(self, text: str) -> str:
        """Return ``text`` without halves of surrogate pairs."""
        if text.isascii():
            return text
        if len(text) <= _PIECE:
            text, count = _HALF.subn(_REPLACEMENT, text)
            self.replaced |= count > 0
            return text
        pieces = []
        for start in range(0, len(text), _PIECE):
            piece, count = _HALF.subn(_REPLACEMENT, text[start : start + _PIECE])
            pieces.append(piece)
            self.replaced |= count > 0
            self._turn.pass_on()
        return "".join(pieces)
