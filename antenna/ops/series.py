# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The sums of all metrics, for Prometheus, in memory that all workers share.

Prometheus asks one worker, and is to hear of all of them. So the sums lie in one table:

* A series is a metric with values for its tags. The directory, a text that only grows, says which series there are and
  where the cells of each begin: one for a counter, a bucket each and the sum for a histogram.
* Each place for a worker has all these cells. A worker adds to its own, so nobody waits for a lock, and a cell of eight
  bytes is written in one piece. What a series has come to is the sum over all places.
* The worker that takes the place of one that has ended goes on from its sums. So they never fall, nothing is merged,
  and a thousand restarts take no more room than one.
* Gauges are of the instance. They have one place together, and with each value the time when it was set: those that
  nobody has set for a while are left out.

The table of an instance is in the memory that ``antenna.ops.instance`` has from the master.
"""

import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Cells = memoryview[float]

#: Cells that each worker has. The metrics known beforehand take 400; the others are names of rules, as a rule.
CELLS = 4096
#: Bytes of the directory.
DIRECTORY_SIZE = 256 * 1024
# The directory begins with its length in bytes, in so many digits.
_LENGTH = 8
# Characters of the value of a tag. Longer ones are cut.
_LONGEST_VALUE = 100
#: Keeps other processes out while it is held; says whether it is.
Lock = Callable[[], AbstractContextManager[bool]]

#: Seconds after which a gauge is no news any more: three times as long as they are sent.
STALE = 30.0


@dataclass(frozen=True, slots=True)
class Series:
    """One series: the name of its metric, the values of its tags, and where its cells are."""

    name: str
    values: tuple[str, ...]
    start: int
    width: int


class SeriesTable:
    """The table, as one process sees it."""

    def __init__(self, memory: memoryview, places: int, lock: Lock) -> None:
        """``memory``: bytes for the directory, the gauges and so many places for workers, as ``table_size`` says.

        ``lock`` keeps other processes out of the directory. While it is not to be had, no series is added.
        """
        self._directory = memory[:DIRECTORY_SIZE]
        cells: Cells = memory[DIRECTORY_SIZE:].cast("d")
        self._gauges, *self.places = [cells[start : start + CELLS] for start in range(0, len(cells), CELLS)]
        #: Where this process adds.
        self.cells: Cells = self.places[0]
        self._lock = lock
        self._read = 0
        self._free = 0
        self._series: dict[tuple[str, tuple[str, ...]], Series] = {}

    def join(self, other: "SeriesTable", place: int, lock: Lock) -> None:
        """From now on this process is the worker of a place in ``other``. What it has counted comes along."""
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
        """Return all series, of whichever worker, in the order in which they came."""
        self._read_on()
        return list(self._series.values())

    def find(self, name: str, values: tuple[str, ...], width: int) -> Series | None:
        """Return a series, a new one if need be; None if there is no room for it."""
        values = tuple(value[:_LONGEST_VALUE] for value in values)
        if (name, values) not in self._series and self._free + width <= CELLS:
            with self._lock() as is_held:
                self._read_on()
                if is_held and (name, values) not in self._series:
                    self._add(name, values, width)
        found = self._series.get((name, values))
        return found if found is not None and found.width == width else None

    def set_gauge(self, series: Series, value: float) -> None:
        """Set a gauge, which has two cells."""
        self._gauges[series.start] = value
        self._gauges[series.start + 1] = time.monotonic()

    def gauge(self, series: Series) -> float | None:
        """Return what a gauge was set to; None if that was too long ago."""
        value, set_at = self._gauges[series.start], self._gauges[series.start + 1]
        return value if set_at and time.monotonic() - set_at < STALE else None

    def sums(self, places: int) -> list[float]:
        """Return the sums of all cells, over so many places from the first."""
        self._read_on()
        rows = [array("d", self.places[place][: self._free]) for place in range(places)]
        return [sum(column) for column in zip(*rows, strict=True)]

    def _add(self, name: str, values: tuple[str, ...], width: int) -> None:
        line = "\t".join([str(width), name, *(value.replace("\t", " ") for value in values)]).encode("utf-8", "replace")
        end = self._read + len(line) + 1
        if b"\n" in line or end > DIRECTORY_SIZE - _LENGTH or self._free + width > CELLS:
            return
        self._directory[_LENGTH + self._read : _LENGTH + end] = line + b"\n"
        # Last: nobody reads beyond it.
        self._directory[:_LENGTH] = b"%0*d" % (_LENGTH, end)
        self._read_on()

    def _read_on(self) -> None:
        """Read what was added to the directory since the last time, by this worker or another."""
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
    """Return the bytes of a table for so many workers. Memory is taken for what has been written only."""
    return DIRECTORY_SIZE + (places + 1) * CELLS * 8
