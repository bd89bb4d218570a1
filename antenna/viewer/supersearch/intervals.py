# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads the intervals of histograms: the widths of the ranges in which values are counted."""

import re
from dataclasses import dataclass

from antenna.viewer.supersearch.conditions import QueryError
from antenna.viewer.supersearch.fields import Field, Kind

_TEXT = re.compile(r"(?P<count>\d{0,6})(?P<unit>[A-Za-z]+)", re.ASCII)
# The seconds of each unit, which has two names.
_UNITS = {
    **dict.fromkeys(("s", "second"), 1),
    **dict.fromkeys(("m", "minute"), 60),
    **dict.fromkeys(("h", "hour"), 3600),
    **dict.fromkeys(("d", "day"), 86400),
    **dict.fromkeys(("w", "week"), 7 * 86400),
}
_MONTH, _YEAR = frozenset({"M", "month", "1M"}), frozenset({"y", "year", "1y"})
# 1970 began on a Thursday; weeks begin on Mondays.
_MONDAY = 4 * 86400


@dataclass(frozen=True, slots=True)
class Interval:
    """The width of the ranges of a histogram."""

    size: float = 0
    start: float = 0
    """The beginning of one of the ranges."""
    calendar: str = ""
    """``month`` or ``year``, whose lengths vary. It is empty for ranges of a fixed ``size``."""

    def lower_bound(self, value: str) -> str:
        """Return the SQL for the lower bound of the range in which ``value`` lies, which is SQL as well."""
        if self.calendar:
            return f"CAST(strftime('%s', {value}, 'unixepoch', 'start of {self.calendar}') AS INTEGER)"
        steps = f"({value} - {self.start}) / {self.size}"
        whole = f"CAST({steps} AS INTEGER)"
        # The cast rounds towards zero. For a negative value that is up, so 1 is subtracted.
        return f"(({whole} - ({steps} < {whole})) * {self.size} + {self.start})"


def parse_interval(field: Field, text: str) -> Interval:
    """Read an interval: a number, or for a date a text such as 1d, 12h or week. Raises ``QueryError``."""
    if field.kind is Kind.NUMBER:
        if not re.fullmatch(r"\d{1,15}", text, re.ASCII) or not int(text):
            raise QueryError(f"_histogram_interval.{field.name}: {text!r} is no whole number above 0")
        return Interval(float(text))
    if text in _MONTH:
        return Interval(calendar="month")
    if text in _YEAR:
        return Interval(calendar="year")
    match = _TEXT.fullmatch(text)
    seconds = _UNITS.get(match["unit"], 0) * int(match["count"] or 1) if match else 0
    if not seconds:
        raise QueryError(f"_histogram_interval.{field.name}: {text!r} is no interval: write 1d, 12h, 1w or month")
    return Interval(float(seconds), _MONDAY if match and match["unit"] in {"w", "week"} else 0)
