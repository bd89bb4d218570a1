# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""CPU and memory of a program and its children, from /proc."""

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_TICKS = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """Return the ids of a process and all that descend from it."""
    parents: dict[int, int] = {}
    for directory in Path("/proc").glob("[0-9]*"):
        stat = _stat(int(directory.name))
        if stat:
            parents[int(directory.name)] = int(stat[1])
    members = [pid]
    for member in members:
        members += [child for child, parent in parents.items() if parent == member]
    return members


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the third on (proc_pid_stat(5)).

    If the process has ended, return no fields.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def cpu_seconds(pid: int) -> float:
    """Return the CPU time, user and system, of a process and its descendants, also of those that have ended."""
    # Fields 14 to 17 are utime, stime, cutime and cstime.
    return sum(int(ticks) for member in family(pid) for ticks in _stat(member)[11:15]) / _TICKS


def system_seconds(pid: int) -> float:
    """Return the part of ``cpu_seconds`` that the kernel took."""
    return sum(int(ticks) for member in family(pid) for ticks in _stat(member)[12:15:2]) / _TICKS


def machine_cpu_seconds() -> float:
    """Return the CPU time of this machine, and the time that was given to other machines (proc_stat(5))."""
    user, nice, system, _, _, *others = map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9])
    return (user + nice + system + sum(others)) / _TICKS


@dataclass(frozen=True)
class Memory:
    """Resident memory in bytes. PSS counts a page that n processes share as one nth in each."""

    rss: int = 0
    pss: int = 0


def memory(pid: int) -> Memory:
    """Return the memory of a process and its descendants, summed."""
    rss = pss = 0
    for member in family(pid):
        try:
            lines = Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        sizes = {line.split()[0]: int(line.split()[1]) * 1024 for line in lines[1:]}
        rss += sizes.get("Rss:", 0)
        pss += sizes.get("Pss:", 0)
    return Memory(rss, pss)


class PeakMemory:
    """Watches the memory of a program while a ``with`` block runs; ``peak`` has the largest sums seen."""

    def __init__(self, pid: int, every_seconds: float = 0.5) -> None:
        self._pid = pid
        self._every = every_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.peak = Memory()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            now = memory(self._pid)
            self.peak = Memory(max(self.peak.rss, now.rss), max(self.peak.pss, now.pss))
            if self._ended.wait(self._every):
                return
