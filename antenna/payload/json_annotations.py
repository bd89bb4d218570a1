# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Annotations in JSON: decoded as they came, or refused. What is decoded can always be written again.

Annotations that are all text, as crash reporters send them, do not come here: ``antenna.fast.texts`` decodes them. For
everything else there is a limit on each thing that a client could make expensive.
"""

import json
import math
import sys
from collections import Counter
from typing import Any, NoReturn

from antenna.hub import Turn
from antenna.limits import (
    LONG_JSON_NUMBER,
    MAX_ANNOTATIONS,
    MAX_JSON_DEPTH,
    MAX_JSON_DIGITS,
    MAX_LONG_JSON_NUMBERS_SIZE,
)
from antenna.payload.notes import note_repeated
from antenna.payload.surrogates import replace_halves
from antenna.refusal import Reason, Refusal

# So many digits tell any double from all others.
_DOUBLE_DIGITS = 17
_SMALLEST_NORMAL = sys.float_info.min

# Numbers and objects that are decoded before other greenlets have their turn: 1 ms.
_TURN_AFTER = 1000


class LongNumbers:
    """Bounds the long numbers in all JSON of a report: what it costs to read one grows faster than its length."""

    def __init__(self) -> None:
        """There are none yet."""
        self._size = 0

    def add(self, size: int) -> None:
        """Take one of ``size`` characters into account. Raises ``Refusal`` (``TOO_LARGE``) if it is too much."""
        self._size += size
        if self._size > MAX_LONG_JSON_NUMBERS_SIZE:
            raise Refusal(Reason.TOO_LARGE, "long numbers in JSON")


def decode_json(data: bytes, long_numbers: LongNumbers | None = None) -> tuple[dict[str, Any], list[str]]:
    """Decode the annotations of a JSON part; returns them and notes on what was changed.

    Values stay as they came. ``antenna.json_size`` counts what this builds, before. ``long_numbers`` are those of the
    report's other JSON parts, if it has any. Raises ``Refusal``: ``INVALID_JSON`` for what is not JSON (RFC 8259; so no
    NaN) in UTF-8, ``INVALID_JSON_VALUE`` for anything but an object, ``TOO_LARGE`` for too many annotations, and as
    ``LongNumbers``.
    """
    turn = Turn()
    occasional_turn = _OccasionalTurn(turn)
    objects = _Objects(occasional_turn)
    numbers = _Numbers(long_numbers or LongNumbers(), occasional_turn)
    try:
        # RFC 8259 section 8.1: a byte order mark may be ignored.
        value = json.loads(
            data.decode("utf-8-sig"),
            object_pairs_hook=objects,
            parse_int=numbers.integer,
            parse_float=numbers.fraction,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError) as error:
        raise Refusal(Reason.INVALID_JSON, type(error).__name__) from error
    turn.pass_on()
    _check_depth(value)  # first: how deep Python itself goes depends on its version
    if not isinstance(value, dict):
        raise Refusal(Reason.INVALID_JSON_VALUE)
    if len(value) > MAX_ANNOTATIONS:
        raise Refusal(Reason.TOO_LARGE, "annotations")
    turn.pass_on()
    repeated = objects.repeated
    notes: list[str] = []
    # Only an escape can bring in half of a surrogate pair: decoding UTF-8 does not, and json joins whole pairs.
    if b"\\ud" in data or b"\\uD" in data:
        value, repeated, notes = replace_halves(value, repeated)
    rounded = [f"Rounded {numbers.rounded} numbers to double precision."] if numbers.rounded else []
    return value, [*map(note_repeated, repeated), *rounded, *notes]


class _OccasionalTurn:
    """The turn of this greenlet while ``json`` decodes, which calls Python for numbers and objects only."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._calls = 0

    def pass_on(self) -> None:
        """Let others go on now and then. The time is not looked at each time: that takes as long as a number."""
        self._calls += 1
        if self._calls >= _TURN_AFTER:
            self._calls = 0
            self._turn.pass_on()


class _Objects:
    """Makes a dict of each JSON object; remembers names that the outermost one, which comes last, repeats."""

    def __init__(self, turn: _OccasionalTurn) -> None:
        self.repeated: list[str] = []
        self._turn = turn

    def __call__(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        self._turn.pass_on()
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

    def __init__(self, long_numbers: LongNumbers, turn: _OccasionalTurn) -> None:
        self.rounded = 0
        self._long_numbers = long_numbers
        self._turn = turn

    def integer(self, text: str) -> int:
        """Read a number that has neither fraction nor exponent."""
        self._turn.pass_on()
        if len(text) > LONG_JSON_NUMBER:
            if len(text) > MAX_JSON_DIGITS:
                raise ValueError("integer too long")
            self._long_numbers.add(len(text))
        return int(text)

    def fraction(self, text: str) -> float:
        """Read any other number."""
        self._turn.pass_on()
        if len(text) > LONG_JSON_NUMBER:
            self._long_numbers.add(len(text))
        number = float(text)
        size = abs(number)
        if size == math.inf:
            # It would be written again as Infinity, which is not JSON.
            raise ValueError("number out of range")
        # Most are short, and neither zero nor next to it: looking at digits takes several times as long as reading.
        if size < _SMALLEST_NORMAL:
            self.rounded += self._is_rounded_to_zero(text) if not size else self._is_rounded_tiny(text, number)
        elif len(text) > _DOUBLE_DIGITS:
            self.rounded += len(_digits(text)) > _DOUBLE_DIGITS
        return number

    def _is_rounded_to_zero(self, text: str) -> bool:
        return bool(text.strip("-0.")) and bool(_digits(text))

    def _is_rounded_tiny(self, text: str, number: float) -> bool:
        """Whether a double that has fewer digits than others, as it is so small, has lost some. To ask takes 5 us."""
        self._long_numbers.add(LONG_JSON_NUMBER)
        digits = _digits(text)
        return len(digits) > _DOUBLE_DIGITS or digits != _digits(repr(number))


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
