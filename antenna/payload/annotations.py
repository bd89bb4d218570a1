# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Annotations off the wire: text in its charset, and JSON that is safe to keep and to write again."""

import json
import math
import re
import sys
from collections import Counter
from collections.abc import Iterable
from typing import Any, NoReturn

from antenna.hub import Turn
from antenna.limits import (
    LONG_JSON_NUMBER,
    MAX_JSON_DEPTH,
    MAX_JSON_DIGITS,
    MAX_JSON_VALUES,
    MAX_LONG_JSON_NUMBERS_SIZE,
)
from antenna.refusal import Reason, Refusal

try:
    import jiter
except ImportError:  # no wheel for this platform
    _fast_json: Any = None
else:
    # Decodes at twice the speed of json; the result is the same.
    _fast_json = jiter

# The charsets of text annotations that are honoured, by the names clients use; any other is read as UTF-8.
_CODECS = {
    "us-ascii": "ascii",
    "ascii": "ascii",
    "iso-8859-1": "iso-8859-1",
    "latin1": "iso-8859-1",
    "windows-1252": "cp1252",
    "cp1252": "cp1252",
}

# Annotations with a large environment take some 100 KiB. Other content of this size could take 50 times the memory.
_MAX_FAST_SIZE = 256 * 1024

# Up to a comma that stands between values: one in a string does not.
_UP_TO_COMMA = re.compile(rb'(?:[^",]++|"[^"\\]*+(?:\\.[^"\\]*+)*+"?)*+,', re.DOTALL)
# Characters that are looked at without a look at other connections.
_PIECE = 50_000

# So many digits tell any double from all others.
_DOUBLE_DIGITS = 17

_TEXT_ONLY = frozenset([str])

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def are_texts(values: Iterable[object]) -> bool:
    """Whether all of ``values`` are strings."""
    return _TEXT_ONLY.issuperset(map(type, values))


def note_repeated(name: str) -> str:
    """Return the note on an annotation that came more than once."""
    return f"Repeated annotation {shorten(name)}: the last one was kept."


def shorten(name: str) -> str:
    """Return a client's name for something as it may stand in a note."""
    return name[:100]


def decode_text(data: bytes, charset: str) -> str | None:
    """Decode a text annotation; ``None`` if it is not valid in its charset."""
    try:
        return data.decode(_CODECS.get(charset.lower(), "utf-8"))
    except UnicodeDecodeError:
        return None


def count_values(data: bytes) -> int:
    """Return how many values JSON text holds, at most. Raises ``Refusal`` (``TOO_LARGE``) if too many.

    To be called before the text is decoded, which is what takes the memory.
    """
    count = data.count(b",")
    if count < MAX_JSON_VALUES:
        return count + 1
    # Most commas may be in strings.
    count = 1
    position = 0
    while comma := _UP_TO_COMMA.match(data, position):
        count += 1
        position = comma.end()
        if count > MAX_JSON_VALUES:
            raise Refusal(Reason.TOO_LARGE, "JSON values")
    return count


def decode_texts(data: bytes) -> dict[str, str] | None:
    """Decode the annotations of a JSON part in half the time if they are as crash reporters send them: all text.

    Returns what ``decode_json`` would, which then has no notes; ``None`` for anything else, be it JSON or not.
    """
    if _fast_json is None or len(data) > _MAX_FAST_SIZE:
        return None
    if len(data) > MAX_JSON_VALUES and data.count(b",") > MAX_JSON_VALUES:
        return None  # it will be refused
    try:
        value = _fast_json.from_json(data, allow_inf_nan=False, cache_mode="none", catch_duplicate_keys=True)
    except ValueError:
        return None
    if isinstance(value, dict) and are_texts(value.values()):
        return value
    return None


class LongNumbers:
    """Bounds the long numbers in all JSON of a report."""

    def __init__(self) -> None:
        """There are none yet."""
        self._size = 0

    def add(self, number: str) -> None:
        """Take one more into account. Raises ``Refusal`` (``TOO_LARGE``) if it is too much."""
        self._size += len(number)
        if self._size > MAX_LONG_JSON_NUMBERS_SIZE:
            raise Refusal(Reason.TOO_LARGE, "long numbers in JSON")


def decode_json(data: bytes, long_numbers: LongNumbers | None = None) -> tuple[dict[str, Any], list[str]]:
    """Decode the annotations of a JSON part; returns them and notes on what was changed.

    Values stay as they came. ``long_numbers`` are those of the report's other JSON parts, if it has any. Raises
    ``Refusal``: ``INVALID_JSON`` for what is not JSON (RFC 8259; so no NaN) in UTF-8,
    ``INVALID_JSON_VALUE`` for anything but an object, ``TOO_LARGE`` as ``LongNumbers``.
    """
    objects = _Objects()
    numbers = _Numbers(long_numbers or LongNumbers())
    turn = Turn()
    try:
        # RFC 8259 section 8.1: a byte order mark may be ignored.
        text = data.decode("utf-8-sig")
        value = json.loads(
            text,
            object_pairs_hook=objects,
            parse_int=numbers.integer,
            parse_float=numbers.fraction,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError) as error:
        raise Refusal(Reason.INVALID_JSON, type(error).__name__) from error
    _check_depth(value)  # first: how deep Python itself goes depends on its version
    if not isinstance(value, dict):
        raise Refusal(Reason.INVALID_JSON_VALUE)
    turn.pass_on()
    replacing = _Replacing(objects.repeated, turn)
    # Only an escape can bring in half of a surrogate pair: decoding UTF-8 does not, and json joins whole pairs.
    if b"\\ud" in data or b"\\uD" in data:
        value = replacing.annotations(value)
    notes = [note_repeated(name) for name in replacing.repeated]
    if numbers.rounded:
        notes.append(f"Rounded {numbers.rounded} numbers to double precision.")
    return value, notes + replacing.notes


class _Objects:
    """Makes a dict of each JSON object; remembers names that the outermost one, which comes last, repeats."""

    def __init__(self) -> None:
        self.repeated: list[str] = []

    def __call__(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            # In the order of the last ones: names that differ in halves of surrogate pairs come out the same.
            result = {}
            for name, value in pairs:
                result.pop(name, None)
                result[name] = value
            counts = Counter(name for name, _ in pairs)
            self.repeated = sorted(name for name, count in counts.items() if count > 1)
        else:
            self.repeated = []
        return result


class _Numbers:
    """Reads numbers; counts those with a fraction or an exponent that a double cannot hold (RFC 8259 section 6)."""

    def __init__(self, long_numbers: LongNumbers) -> None:
        self.rounded = 0
        self._long_numbers = long_numbers

    def integer(self, text: str) -> int:
        """Read a number that has neither fraction nor exponent."""
        if len(text) > LONG_JSON_NUMBER:
            if len(text) > MAX_JSON_DIGITS:
                raise ValueError("integer too long")
            self._long_numbers.add(text)
        return int(text)

    def fraction(self, text: str) -> float:
        """Read any other number."""
        if len(text) > LONG_JSON_NUMBER:
            self._long_numbers.add(text)
        number = float(text)
        if math.isinf(number):
            # It would be written again as Infinity, which is not JSON.
            raise ValueError("number out of range")
        is_tiny = abs(number) < sys.float_info.min
        # Most are short: looking at digits takes several times as long as reading the number.
        if len(text) > _DOUBLE_DIGITS or is_tiny:
            digits = _digits(text)
            if len(digits) > _DOUBLE_DIGITS or (is_tiny and digits != _digits(repr(number))):
                self.rounded += 1
        return number


def _digits(number: str) -> str:
    """Return the digits that count, without those that only say how large the number is."""
    mantissa, _, _ = number.lower().partition("e")
    return mantissa.replace("-", "").replace(".", "").strip("0")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _check_depth(value: Any) -> None:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_JSON_DEPTH):
        level = [
            child
            for container in level
            for child in (container.values() if isinstance(container, dict) else container)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise Refusal(Reason.INVALID_JSON, "nested too deeply")


class _Replacing:
    """Replaces halves of surrogate pairs, which have no form in UTF-8, in names and strings at any depth.

    Names that come out the same are as good as repeated.
    """

    def __init__(self, repeated: Iterable[str], turn: Turn) -> None:
        self._turn = turn
        # For the order, and for one note on each name however many come out the same.
        self.repeated = dict.fromkeys(_clean_text(name, turn) for name in repeated)
        self._notes: dict[str, None] = {}
        self._lost = False

    @property
    def notes(self) -> list[str]:
        """Notes on what was changed, but for repeated annotations."""
        return list(self._notes)

    def annotations(self, annotations: dict[str, Any]) -> dict[str, Any]:
        """Return the annotations as they may be kept."""
        result: dict[str, Any] = {}
        for name, value in annotations.items():
            self._lost = False
            clean_name, clean_value = _clean_text(name, self._turn), self._clean(value)
            if clean_name != name or clean_value != value:
                self._notes[f"Replaced half of a surrogate pair in {shorten(clean_name)}."] = None
            if self._lost:
                self._notes[f"Repeated name in {shorten(clean_name)}: the last one was kept."] = None
            if clean_name in result:
                self.repeated[clean_name] = None
            result[clean_name] = clean_value
        return result

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return _clean_text(value, self._turn)
        if isinstance(value, list):
            return [self._clean(item) for item in value]
        if isinstance(value, dict):
            result = {_clean_text(name, self._turn): self._clean(item) for name, item in value.items()}
            self._lost |= len(result) < len(value)
            return result
        return value


def _clean_text(text: str, turn: Turn) -> str:
    if text.isascii():
        return text
    try:
        text.encode("utf-8")  # several times as fast as a search
    except UnicodeEncodeError:
        pieces = []
        for start in range(0, len(text), _PIECE):
            pieces.append(_LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text[start : start + _PIECE]))
            turn.pass_on()
        return "".join(pieces)
    return text
