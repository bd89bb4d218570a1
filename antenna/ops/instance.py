# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A table in memory that all workers of an instance share.

The master makes the table before it forks the first worker, and gives each worker a row. The first row belongs to the
instance: it has the conditions that hold for all workers, and how many workers have ended. A cell is a float of eight
bytes, which is written in one piece. So nobody waits for a lock, and a worker that is killed leaves nothing half
written. The sums of all metrics follow the rows in the same memory: see ``antenna.ops.series``.

The memory is a file that the master which SIGUSR2 starts gets as well, so the workers of both masters are one instance.
A master of another version, whose table has another layout, makes a new one. A collector without a master, as in tests
and tools, has a table of its own.
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

# Rows for workers, for their replacements while both exist, and for workers that SIGTTIN has added. A row has 500
# bytes.
MAX_WORKERS = 256
# Seconds. If a worker has not written to its row for this long, it hangs or is gone, and another becomes the speaker.
_ALIVE = 5.0
# Seconds after the last sign of a worker until its row may be free. By then its master would have recorded its end,
# unless the master was killed.
_LONG_GONE = 120.0

#: The conditions of an instance as a whole. Each is logged once when it begins and once when it ends.
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

#: The ways in which a worker can end: it was told to, it was killed by SIGKILL (in most cases because memory ran out),
#: it was stuck, another signal ended it, or it ended itself with an error.
ENDINGS = ("stopped", "killed", "stuck", "crashed", "failed")


class Worker(IntEnum):
    """The cells in the row of a worker. Times are of the monotonic clock, which all processes share."""

    PID = 0
    #: The time when the worker last wrote to its row.
    BEAT = 1
    CONNECTIONS = 2
    MOST_CONNECTIONS = 3
    #: Seconds by which the loop was late at most in the last second.
    LOOP_LAG = 4
    #: Seconds of CPU that the worker has used.
    CPU = 5
    #: Bytes of memory.
    MEMORY = 6
    DESCRIPTORS = 7
    MOST_DESCRIPTORS = 8
    #: Bytes of the temporary files, and the most that they may have.
    TEMP_SIZE = 9
    MOST_TEMP_SIZE = 10
    #: For each backend: 1 while this worker finds it down or silent, and the time since when.
    STORAGE_DOWN = 11
    STORAGE_SINCE = 12
    PUBLISH_DOWN = 13
    PUBLISH_SINCE = 14


#: For each backend, the cells that say whether a worker finds it down, and since when.
BACKENDS = {
    "storage": (Worker.STORAGE_DOWN, Worker.STORAGE_SINCE),
    "publish": (Worker.PUBLISH_DOWN, Worker.PUBLISH_SINCE),
}


class Shared(IntEnum):
    """The cells in the row of the instance. The cells of the lists above follow them."""

    WORKERS_STARTED = 0
    WORKERS_STARTED_TOLD = 1
    #: Number of rows, from the first, that have ever been given to a worker.
    ROWS_USED = 2


# The cells at which the lists begin in the row of the instance. Each condition has the time since when it holds (0 if
# it does not), in seconds since the epoch, and the time when it was last noted, by the monotonic clock.
_SINCE = len(Shared)
_NOTED = _SINCE + len(CONDITIONS)
_ENDINGS = _NOTED + len(CONDITIONS)
_ENDINGS_TOLD = _ENDINGS + len(ENDINGS)
_BACK = _ENDINGS_TOLD + len(ENDINGS)
# Each check has its level, and the time since when it has had this level, in seconds since the epoch.
_LEVELS = _BACK + len(BACKENDS)
_LEVELS_SINCE = _LEVELS + len(CHECKS)

#: Number of cells in a row. The row of the instance needs the most, and leaves some free for further lists.
WIDTH = 64


class Row:
    """One row of the table."""

    def __init__(self, cells: "Cells") -> None:
        """``cells`` are the floats of the row."""
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
    """The table of an instance, as one process uses it. The instance itself is a master with its workers."""

    def __init__(self, workers: int = MAX_WORKERS, descriptor: int | None = None) -> None:
        """Make a table for this many workers. This process has the row of the first of them, until it calls ``join``.

        ``descriptor`` is that of the file that ``antenna.ops.shared_table`` has made. Without it, processes share the
        table if they are forked from this one.
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

    # Methods that the master calls.

    def admit(self) -> Row:
        """Return the row for a worker that is about to be forked.

        If there are too many workers, the last two share one.
        """
        with self.locked():  # the other master may be about to fork, too
            self.shared[Shared.WORKERS_STARTED] += 1
            number = next((number for number, row in enumerate(self.rows) if _is_free(row)), len(self.rows) - 1)
            self.shared[Shared.ROWS_USED] = max(self.shared[Shared.ROWS_USED], number + 1)
            row = self.rows[number]
            row.clear()
            row[Worker.BEAT] = time.monotonic()  # this marks the row as taken
        return row

    def dismiss(self, row: Row, ending: str) -> None:
        """Record that the worker of ``row`` has ended. ``ending`` is one of ``ENDINGS``."""
        self.shared[_ENDINGS + ENDINGS.index(ending)] += 1
        row.clear()

    def locked(self) -> AbstractContextManager[bool]:
        """Lock the cells that several processes write. The value of ``with`` says whether this process has the lock."""
        if self._descriptor is None:
            return nullcontext(os.getpid() == self._made_by)
        return locked(self._descriptor, 0, 1)

    # Methods that a worker calls.

    def join(self, other: "Instance", row: Row) -> None:
        """Make this process the worker of ``row`` in the table of ``other``, which its master has made."""
        self.shared, self.rows, self.row = other.shared, other.rows, row
        self.series.join(other.series, self.rows.index(row), other.locked)
        row[Worker.PID] = os.getpid()
        self.beat()

    def sums(self) -> list[float]:
        """Return the sum of each cell of the metrics over all workers, also those that have ended."""
        return self.series.sums(max(1, int(self.shared[Shared.ROWS_USED])))

    def beat(self) -> None:
        """Record that this worker is alive."""
        self.row[Worker.BEAT] = time.monotonic()

    def workers(self) -> Iterator[Row]:
        """Yield the rows of the workers that are alive."""
        oldest = time.monotonic() - _ALIVE
        for row in self.rows:
            if row[Worker.PID] and row[Worker.BEAT] >= oldest:
                yield row

    @property
    def is_speaker(self) -> bool:
        """Whether this worker is the one that reports what holds for all workers. It is the first one that is alive."""
        return next(self.workers(), None) is self.row

    # Methods for the row of the instance, which any process calls.

    def changes(self, condition: str, *, holds: bool) -> bool:
        """Record whether one of ``CONDITIONS`` holds. Returns whether that has changed for the instance."""
        number = CONDITIONS.index(condition)
        if holds:
            self.shared[_NOTED + number] = time.monotonic()
        if bool(self.shared[_SINCE + number]) == holds:
            return False
        self.shared[_SINCE + number] = time.time() if holds else 0.0
        return True

    def since(self, condition: str) -> float:
        """Return when a condition began to hold, in seconds since the epoch. If it does not hold, return 0."""
        return self.shared[_SINCE + CONDITIONS.index(condition)]

    def is_quiet(self, condition: str, seconds: float) -> bool:
        """Whether a condition still counts as true, but nobody has noted it in the last ``seconds``."""
        number = CONDITIONS.index(condition)
        return self.shared[_SINCE + number] > 0 and time.monotonic() - self.shared[_NOTED + number] > seconds

    def came_back(self, backend: str) -> None:
        """Record that a backend works again."""
        self.shared[_BACK + list(BACKENDS).index(backend)] = time.monotonic()

    def back_at(self, backend: str) -> float:
        """Return when a worker last saw that a backend works again, by the monotonic clock."""
        return self.shared[_BACK + list(BACKENDS).index(backend)]

    def check_ended(self, check: str, level: int) -> tuple[bool, float]:
        """Record the result of one of ``CHECKS``. Returns whether it has changed, and the time since when it is so."""
        number = CHECKS.index(check)
        is_news = self.shared[_LEVELS + number] != level  # at first every check counts as passed
        if is_news or not self.shared[_LEVELS_SINCE + number]:
            self.shared[_LEVELS + number] = level
            self.shared[_LEVELS_SINCE + number] = time.time()
        return is_news, self.shared[_LEVELS_SINCE + number]

    def untold_starts(self) -> int:
        """Return how many workers have started since the last call, in any process.

        The next call does not count them.
        """
        started, told = self.shared[Shared.WORKERS_STARTED], self.shared[Shared.WORKERS_STARTED_TOLD]
        self.shared[Shared.WORKERS_STARTED_TOLD] = started
        return int(started - told)

    def untold_endings(self) -> dict[str, int]:
        """Return how many workers have ended in each way since the last call, in any process.

        The next call does not count them.
        """
        untold = {}
        for number, ending in enumerate(ENDINGS):
            ended, told = self.shared[_ENDINGS + number], self.shared[_ENDINGS_TOLD + number]
            self.shared[_ENDINGS_TOLD + number] = ended
            if ended > told:
                untold[ending] = int(ended - told)
        return untold


def _is_free(row: Row) -> bool:
    """Whether a row belongs to no worker.

    If a master was killed, the rows of its workers still look as if they were taken.
    """
    if not row[Worker.PID]:
        return not row[Worker.BEAT]
    if time.monotonic() - row[Worker.BEAT] < _LONG_GONE:
        return False  # the worker is alive, or its master is about to record its end
    try:
        os.kill(int(row[Worker.PID]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False
