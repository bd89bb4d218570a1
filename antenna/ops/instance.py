# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""What the workers of an instance know together: a table in memory that all of them share.

The master makes the table before it forks the first worker, and gives each worker a row of its own. The first row is of
the instance: what holds for all workers, and how many of them have ended. A cell is a float of eight bytes, which is
written in one piece; so nobody waits for a lock, and a worker that is killed leaves nothing half written.
Behind the rows, in the same memory, are the sums of all metrics: see ``antenna.ops.series``.

The memory is a file that the master which SIGUSR2 starts has as well: the workers of both are one instance. A master of
another version, whose table is laid out in another way, makes a new one.
A collector without a master, as in tests and tools, has a table of its own.
"""

import mmap
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from enum import IntEnum
from typing import TYPE_CHECKING

from antenna.ops.series import SeriesTable, table_size
from antenna.shared_file import locked

if TYPE_CHECKING:
    Cells = memoryview[float]

# Rows: workers, their replacements while both are there, and those that SIGTTIN has added. One is 500 bytes.
MAX_WORKERS = 256
# A worker that has not written to its row for so many seconds hangs, or is gone. Others do its common work.
_ALIVE = 5.0
# Seconds after which nobody takes note any more that a worker has ended: its master has been killed.
_LONG_GONE = 120.0

#: What can go wrong with an instance as a whole. It is logged once when it begins and once when it ends.
CONDITIONS = (
    "storage_down",
    "publish_down",
    "spool_refuses_crash",
    "spool_refuses_id",
    "temporary_files",
    "losing",
    "wrong_path",
)

#: The checks of ``/__heartbeat__``.
CHECKS = ("storage", "publish", "spool", "temporary_files", "set_aside", "rules")

#: How a worker can end: told to, killed by SIGKILL (out of memory, as a rule), stuck, by another signal, by itself.
ENDINGS = ("stopped", "killed", "stuck", "crashed", "failed")


class Worker(IntEnum):
    """Cells in the row of a worker. Times are of the monotonic clock, which is one for all processes."""

    PID = 0
    #: When the worker wrote to its row last.
    BEAT = 1
    CONNECTIONS = 2
    MOST_CONNECTIONS = 3
    #: The longest time, in seconds, that the loop was late in the last second.
    LOOP_LAG = 4
    #: Seconds of CPU since the worker began.
    CPU = 5
    #: Bytes.
    MEMORY = 6
    DESCRIPTORS = 7
    MOST_DESCRIPTORS = 8
    #: Bytes of temporary files, and how many there may be.
    TEMP_SIZE = 9
    MOST_TEMP_SIZE = 10
    #: For each backend: 1 while this worker finds it down or silent, and since when.
    STORAGE_DOWN = 11
    STORAGE_SINCE = 12
    PUBLISH_DOWN = 13
    PUBLISH_SINCE = 14


#: For each backend: whether a worker finds it down, and since when.
BACKENDS = {
    "storage": (Worker.STORAGE_DOWN, Worker.STORAGE_SINCE),
    "publish": (Worker.PUBLISH_DOWN, Worker.PUBLISH_SINCE),
}


class Shared(IntEnum):
    """Cells in the row of the instance, before those of the lists above."""

    WORKERS_STARTED = 0
    WORKERS_STARTED_TOLD = 1
    #: So many rows, from the first, have ever been given to a worker.
    ROWS_USED = 2


# Where the lists begin. For a condition: since when it holds (0: it does not), in seconds since the epoch; and when it
# was noted last, by the monotonic clock.
_SINCE = len(Shared)
_NOTED = _SINCE + len(CONDITIONS)
_ENDINGS = _NOTED + len(CONDITIONS)
_ENDINGS_TOLD = _ENDINGS + len(ENDINGS)
_BACK = _ENDINGS_TOLD + len(ENDINGS)
# For a check: its level, and since when.
_LEVELS = _BACK + len(BACKENDS)
_LEVELS_SINCE = _LEVELS + len(CHECKS)

#: Cells in a row.
WIDTH = 64


class Row:
    """One row of the table."""

    def __init__(self, cells: "Cells") -> None:
        """``cells``: floats."""
        self._cells = cells

    def __getitem__(self, cell: int) -> float:
        value: float = self._cells[cell]
        return value

    def __setitem__(self, cell: int, value: float) -> None:
        self._cells[cell] = value

    def clear(self) -> None:
        """Set all cells to 0."""
        for cell in range(len(self._cells)):
            self._cells[cell] = 0.0


class Instance:
    """The table, as one process sees it."""

    def __init__(self, workers: int = MAX_WORKERS, descriptor: int | None = None) -> None:
        """Make a table for so many workers. This process has the row of the first of them, until it ``joins``.

        ``descriptor``: of the file that ``antenna.ops.shared_table`` has made. Without it, processes share the table if
        they are forked from this one.
        """
        self._descriptor = descriptor
        self._made_by = os.getpid()
        rows_size = (workers + 1) * WIDTH * 8
        memory = memoryview(mmap.mmap(-1 if descriptor is None else descriptor, rows_size + table_size(workers)))
        cells: Cells = memory[:rows_size].cast("d")
        rows = [Row(cells[start : start + WIDTH]) for start in range(0, len(cells), WIDTH)]
        self.shared, *self.rows = rows
        self.row = self.rows[0]
        self.series = SeriesTable(memory[rows_size:], workers, self.locked)

    # What the master does.

    def admit(self) -> Row:
        """Return the row for a worker that is about to be forked. If there are too many, the last two share one."""
        with self.locked():  # the other master may be about to fork, too
            self.shared[Shared.WORKERS_STARTED] += 1
            number = next((number for number, row in enumerate(self.rows) if _is_free(row)), len(self.rows) - 1)
            self.shared[Shared.ROWS_USED] = max(self.shared[Shared.ROWS_USED], number + 1)
            row = self.rows[number]
            row.clear()
            row[Worker.BEAT] = time.monotonic()  # it is taken
        return row

    def dismiss(self, row: Row, ending: str) -> None:
        """Take note that the worker of ``row`` has ended. ``ending`` is one of ``ENDINGS``."""
        self.shared[_ENDINGS + ENDINGS.index(ending)] += 1
        row.clear()

    def locked(self) -> AbstractContextManager[bool]:
        """Keep other processes out of what more than one of them writes to. Says whether that works."""
        if self._descriptor is None:
            return nullcontext(os.getpid() == self._made_by)
        return locked(self._descriptor, 0, 1)

    # What a worker does.

    def join(self, other: "Instance", row: Row) -> None:
        """From now on this process is the worker of ``row`` in the table of ``other``, which its master has made."""
        self.shared, self.rows, self.row = other.shared, other.rows, row
        self.series.join(other.series, self.rows.index(row), other.locked)
        row[Worker.PID] = os.getpid()
        self.beat()

    def sums(self) -> list[float]:
        """Return what the metrics have come to, over all workers that there are and have been."""
        return self.series.sums(max(1, int(self.shared[Shared.ROWS_USED])))

    def beat(self) -> None:
        """Show that this worker is alive."""
        self.row[Worker.BEAT] = time.monotonic()

    def workers(self) -> Iterator[Row]:
        """Yield the rows of the workers that are alive."""
        oldest = time.monotonic() - _ALIVE
        for row in self.rows:
            if row[Worker.PID] and row[Worker.BEAT] >= oldest:
                yield row

    @property
    def is_speaker(self) -> bool:
        """Whether this worker is the one that says what holds for all of them: the first that is alive."""
        return next(self.workers(), None) is self.row

    # What is common.

    def changes(self, condition: str, *, holds: bool) -> bool:
        """Take note whether one of ``CONDITIONS`` holds; say whether that is news for the instance."""
        number = CONDITIONS.index(condition)
        if holds:
            self.shared[_NOTED + number] = time.monotonic()
        if bool(self.shared[_SINCE + number]) == holds:
            return False
        self.shared[_SINCE + number] = time.time() if holds else 0.0
        return True

    def since(self, condition: str) -> float:
        """Return when a condition began to hold, in seconds since the epoch; 0 if it does not hold."""
        return self.shared[_SINCE + CONDITIONS.index(condition)]

    def is_quiet(self, condition: str, seconds: float) -> bool:
        """Whether a condition that holds was not noted again for so long."""
        number = CONDITIONS.index(condition)
        return self.shared[_SINCE + number] > 0 and time.monotonic() - self.shared[_NOTED + number] > seconds

    def came_back(self, backend: str) -> None:
        """Take note that a backend works again."""
        self.shared[_BACK + list(BACKENDS).index(backend)] = time.monotonic()

    def back_at(self, backend: str) -> float:
        """Return when some worker saw last that a backend works again, by the monotonic clock."""
        return self.shared[_BACK + list(BACKENDS).index(backend)]

    def check_ended(self, check: str, level: int) -> tuple[bool, float]:
        """Take note of the outcome of one of ``CHECKS``; say whether it is another one than before, and since when."""
        number = CHECKS.index(check)
        is_news = self.shared[_LEVELS + number] != level  # at first all is well
        if is_news or not self.shared[_LEVELS_SINCE + number]:
            self.shared[_LEVELS + number] = level
            self.shared[_LEVELS_SINCE + number] = time.time()
        return is_news, self.shared[_LEVELS_SINCE + number]

    def untold_starts(self) -> int:
        """Return how many workers have started since the last call in any process."""
        started, told = self.shared[Shared.WORKERS_STARTED], self.shared[Shared.WORKERS_STARTED_TOLD]
        self.shared[Shared.WORKERS_STARTED_TOLD] = started
        return int(started - told)

    def untold_endings(self) -> dict[str, int]:
        """Return how many workers have ended in which way since the last call in any process."""
        untold = {}
        for number, ending in enumerate(ENDINGS):
            ended, told = self.shared[_ENDINGS + number], self.shared[_ENDINGS_TOLD + number]
            self.shared[_ENDINGS_TOLD + number] = ended
            if ended > told:
                untold[ending] = int(ended - told)
        return untold


def _is_free(row: Row) -> bool:
    """Whether nobody has a row. A master that was killed has not taken note that its workers have ended."""
    if not row[Worker.PID]:
        return not row[Worker.BEAT]
    if time.monotonic() - row[Worker.BEAT] < _LONG_GONE:
        return False  # it is alive, or its master is about to dismiss it
    try:
        os.kill(int(row[Worker.PID]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False
