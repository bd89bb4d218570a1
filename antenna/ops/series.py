# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The sums of all metrics for Prometheus, in memory that all workers share.

Prometheus asks one worker, and expects the metrics of all workers. So the sums are in one table:

* A series is a metric with certain values of its tags. The directory is a text that only grows. It says which series
  exist, and where the cells of each begin. A counter has one cell. A histogram has a cell for each bucket and one for
  the sum.
* Each worker has a place with all these cells. It adds only to its own cells, so nobody waits for a lock, and a cell of
  eight bytes is written in one piece. The value of a series is the sum of its cells at all places.
* If a worker ends, the next worker at its place goes on from its sums. So the sums never fall, nothing has to be
  merged, and a thousand restarts take no more room than one.
* Gauges belong to the instance, so there is one place for all of them. Each has the time when it was set. If a gauge
  was not set for a while, it is left out.

The table of an instance is in the memory that ``antenna.ops.instance`` gets from the master.
"""

import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Cells = memoryview[float]

#: Number of cells of each worker. The series that are known beforehand take 400 of them. Most other series are for
#: names of rules. If there are no cells left, a new series is dropped and counted.
CELLS = 4096
#: Bytes of the directory. A series takes some 50. If the directory is full, a new series is dropped and counted.
DIRECTORY_SIZE = 256 * 1024
# The directory begins with its length in bytes, which has this many digits.
_LENGTH = 8
# Characters of the value of a tag. A longer value is cut.
_LONGEST_VALUE = 100
#: A lock that keeps other processes out. Its value says whether it is held.
Lock = Callable[[], AbstractContextManager[bool]]

#: Seconds after which a gauge is out of date. Gauges are sent three times in this time.
STALE = 30.0


@dataclass(frozen=True, slots=True)
class Series:
    """One series: the name of its metric, the values of its tags, and where its cells are."""

    name: str
    values: tuple[str, ...]
    start: int
    width: int


class SeriesTable:
    """The table of all series. A process adds to the cells at its own place."""

    def __init__(self, memory: memoryview, places: int, lock: Lock) -> None:
        """``memory`` has the bytes of the directory, the gauges and ``places`` places for workers: see ``table_size``.

        ``lock`` keeps other processes out of the directory. If it cannot be had, no series is added.
        """
        self._directory = memory[:DIRECTORY_SIZE]
        cells: Cells = memory[DIRECTORY_SIZE:].cast("d")
        self._gauges, *self.places = [cells[start : start + CELLS] for start in range(0, len(cells), CELLS)]
        #: The cells to which this process adds.
        self.cells: Cells = self.places[0]
        self._lock = lock
        self._read = 0
        self._free = 0
        self._series: dict[tuple[str, tuple[str, ...]], Series] = {}

    def join(self, other: "SeriesTable", place: int, lock: Lock) -> None:
        """Make this process the worker of a place in ``other``. The counts so far are added there."""
        before = [(series, list(self.cells[series.start : series.start + series.width])) for series in self.known()]
        self._directory, self._gauges, self.places = other._directory, other._gauges, other.places  # noqa: SLF001
        self.cells = self.places[place]
        self._lock = lock
        self._read, self._free, self._series = 0, 0, {}
        for series, values in before:
            found = self.find(series.name, series.values, series.width)
            if found is not None:
                for number, value in enumerate(values):
                    self.cells[found.start + number] += value

    def known(self) -> list[Series]:
        """Return all series of all workers, in the order in which they were added."""
        self._read_on()
        return list(self._series.values())

    def find(self, name: str, values: tuple[str, ...], width: int) -> Series | None:
        """Return a series. If it does not exist, add it. Returns None if there is no room for it."""
        values = tuple(value[:_LONGEST_VALUE] for value in values)
        if (name, values) not in self._series and self._free + width <= CELLS:
            with self._lock() as is_held:
                self._read_on()
                if is_held and (name, values) not in self._series:
                    self._add(name, values, width)
        found = self._series.get((name, values))
        return found if found is not None and found.width == width else None

    def set_gauge(self, series: Series, value: float) -> None:
        """Set a gauge. It has two cells."""
        self._gauges[series.start] = value
        self._gauges[series.start + 1] = time.monotonic()

    def gauge(self, series: Series) -> float | None:
        """Return the value of a gauge, or None if it was set too long ago."""
        value, set_at = self._gauges[series.start], self._gauges[series.start + 1]
        return value if set_at and time.monotonic() - set_at < STALE else None

    def sums(self, places: int) -> list[float]:
        """Return the sum of each cell over the first ``places`` places."""
        self._read_on()
        rows = [array("d", self.places[place][: self._free]) for place in range(places)]
        return [sum(column) for column in zip(*rows, strict=True)]

    def _add(self, name: str, values: tuple[str, ...], width: int) -> None:
        line = "\t".join([str(width), name, *(value.replace("\t", " ") for value in values)]).encode("utf-8", "replace")
        end = self._read + len(line) + 1
        if b"\n" in line or end > DIRECTORY_SIZE - _LENGTH or self._free + width > CELLS:
            return
        self._directory[_LENGTH + self._read : _LENGTH + end] = line + b"\n"
        # The length is written last, because other processes read only so far.
        self._directory[:_LENGTH] = b"%0*d" % (_LENGTH, end)
        self._read_on()

    def _read_on(self) -> None:
        """Read what this worker or another has added to the directory since the last time."""
        end = int(bytes(self._directory[:_LENGTH]).strip(b"\0") or b"0")
        for series in self._parse(bytes(self._directory[_LENGTH + self._read : _LENGTH + end])):
            self._series[series.name, series.values] = series
        self._read = end

    def _parse(self, text: bytes) -> Iterator[Series]:
        for line in text.decode("utf-8").split("\n")[:-1]:
            width, name, *values = line.split("\t")
            yield Series(name, tuple(values), self._free, int(width))
            self._free += int(width)


def table_size(places: int) -> int:
    """Return the bytes of a table for ``places`` workers. Only the part that was written takes memory."""
    return DIRECTORY_SIZE + (places + 1) * CELLS * 8
