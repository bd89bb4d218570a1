# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Decodes annotations in JSON. The values stay as the client sent them, and can always be encoded as JSON again.

Annotations that are all text, which crash reporters send, are decoded by ``antenna.fast.texts`` instead. For all other
JSON there is a limit on each thing that a client could make expensive.
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

# Significant digits that distinguish any double from all others.
_DOUBLE_DIGITS = 17
_SMALLEST_NORMAL = sys.float_info.min

# Numbers and objects that are decoded before other greenlets have their turn. It takes about 1 ms.
_TURN_AFTER = 1000


class LongNumbers:
    """Bounds the long numbers in all JSON of a report together.

    The cost of reading a number grows faster than its length.
    """

    def __init__(self) -> None:
        """At first, no long numbers have been counted."""
        self._size = 0

    def add(self, size: int) -> None:
        """Count a number of ``size`` characters. Raises ``Refusal`` (``TOO_LARGE``) if there are too many in all."""
        self._size += size
        if self._size > MAX_LONG_JSON_NUMBERS_SIZE:
            raise Refusal(Reason.TOO_LARGE, "long numbers in JSON")


def decode_json(data: bytes, long_numbers: LongNumbers | None = None) -> tuple[dict[str, Any], list[str]]:
    """Decode the annotations of a JSON part. Returns them, and notes on what was changed.

    Call this only after ``antenna.json_size`` has counted what it will build. ``long_numbers`` counts those of all JSON
    parts of the report. Raises ``Refusal``: ``INVALID_JSON`` if the data is not JSON in UTF-8 (RFC 8259, so without
    NaN); ``INVALID_JSON_VALUE`` if it is not an object; ``TOO_LARGE`` if there are too many annotations or long
    numbers.
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
    _check_depth(value)  # before anything else, since Python's own limit on depth depends on its version
    if not isinstance(value, dict):
        raise Refusal(Reason.INVALID_JSON_VALUE)
    if len(value) > MAX_ANNOTATIONS:
        raise Refusal(Reason.TOO_LARGE, "annotations")
    turn.pass_on()
    repeated = objects.repeated
    notes: list[str] = []
    # Only an escape can produce half of a surrogate pair. Decoding UTF-8 cannot, and json joins the halves of a pair.
    if b"\\ud" in data or b"\\uD" in data:
        value, repeated, notes = replace_halves(value, repeated)
    rounded = [f"Rounded {numbers.rounded} numbers to double precision."] if numbers.rounded else []
    return value, [*map(note_repeated, repeated), *rounded, *notes]


class _OccasionalTurn:
    """A turn for the time in which ``json`` decodes. ``json`` calls Python code only for numbers and objects."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._calls = 0

    def pass_on(self) -> None:
        """Let other greenlets run from time to time.

        The clock is not read at each call, which would take as long as a number.
        """
        self._calls += 1
        if self._calls >= _TURN_AFTER:
            self._calls = 0
            self._turn.pass_on()


class _Objects:
    """Builds a dict from each JSON object. Remembers the repeated names of the outermost object, which comes last."""

    def __init__(self, turn: _OccasionalTurn) -> None:
        self.repeated: list[str] = []
        self._turn = turn

    def __call__(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        self._turn.pass_on()
        result = dict(pairs)
        if len(result) < len(pairs):
            # The names are put in the order of their last occurrence. Names that differ only in halves of surrogate
            # pairs become equal later, and then the last one has to win.
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
    """Reads numbers. Counts those that a double cannot hold exactly (RFC 8259 section 6)."""

    def __init__(self, long_numbers: LongNumbers, turn: _OccasionalTurn) -> None:
        self.rounded = 0
        self._long_numbers = long_numbers
        self._turn = turn

    def integer(self, text: str) -> int:
        """Read a number that has neither a fraction nor an exponent."""
        self._turn.pass_on()
        if len(text) > LONG_JSON_NUMBER:
            if len(text) > MAX_JSON_DIGITS:
                raise ValueError("integer too long")
            self._long_numbers.add(len(text))
        return int(text)

    def fraction(self, text: str) -> float:
        """Read a number that has a fraction or an exponent."""
        self._turn.pass_on()
        if len(text) > LONG_JSON_NUMBER:
            self._long_numbers.add(len(text))
        number = float(text)
        size = abs(number)
        if size == math.inf:
            # Infinity would be written as ``Infinity``, which is not JSON.
            raise ValueError("number out of range")
        # Most numbers are short and not close to zero. For these, comparing digits would take several times as long as
        # reading.
        if size < _SMALLEST_NORMAL:
            self.rounded += self._is_rounded_to_zero(text) if not size else self._is_rounded_tiny(text, number)
        elif len(text) > _DOUBLE_DIGITS:
            self.rounded += len(_digits(text)) > _DOUBLE_DIGITS
        return number

    def _is_rounded_to_zero(self, text: str) -> bool:
        return bool(text.strip("-0.")) and bool(_digits(text))

    def _is_rounded_tiny(self, text: str, number: float) -> bool:
        """Whether digits of a very small number were lost. A double close to zero holds fewer digits.

        The check takes 5 us.
        """
        self._long_numbers.add(LONG_JSON_NUMBER)
        digits = _digits(text)
        return len(digits) > _DOUBLE_DIGITS or digits != _digits(repr(number))


def _digits(number: str) -> str:
    """Return the significant digits of a number, without its sign, point, exponent and outer zeros."""
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
