# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Where the time goes: py-spy on all processes of the collector while a case runs."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Samples a second.
_RATE = 200
_TOP = 25


class Profiling:
    """Writes a flame graph, and says which functions and libraries the time is spent in."""

    def __init__(self, flame_graph: Path) -> None:
        """``flame_graph`` is an SVG file; samples go beside it, as text."""
        self._flame_graph = flame_graph
        self._samples = flame_graph.with_suffix(".txt")

    @contextmanager
    def __call__(self, pid: int, seconds: float) -> Iterator[None]:
        """Profile a program and its children during the ``with`` block."""
        recorders = [
            subprocess.Popen(self._command(pid, seconds, style, path), stdout=subprocess.DEVNULL)
            for style, path in (("flamegraph", self._flame_graph), ("raw", self._samples))
        ]
        try:
            yield
        finally:
            for recorder in recorders:
                recorder.wait(60)

    def _command(self, pid: int, seconds: float, style: str, path: Path) -> list[str]:
        program = [
            str(Path(sys.executable).with_name("py-spy")),
            "record",
            "--subprocesses",
            "--nonblocking",
            "--full-filenames",
        ]
        return [
            *program,
            "--pid",
            str(pid),
            "--duration",
            str(int(seconds)),
            "--rate",
            str(_RATE),
            "--format",
            style,
            "--output",
            str(path),
        ]

    def summary(self) -> str:
        """Return the shares of functions and libraries in the samples of the last run."""
        own: Counter[str] = Counter()
        libraries: Counter[str] = Counter()
        for line in self._samples.read_text().splitlines():
            stack, _, count = line.rpartition(" ")
            frames = stack.split(";")
            own[_short(frames[-1])] += int(count)
            libraries[_library(frames[-1])] += int(count)
        return f"{_shares('by library', libraries)}\n{_shares('by function, own time', own)}"


def _library(frame: str) -> str:
    path = frame.partition("(")[2]
    for mark in ("site-packages/", "/antenna/", "/lib/python"):
        if mark in path:
            name = path.rpartition(mark)[2].partition("/")[0].partition(":")[0]
            return {"/antenna/": "antenna", "/lib/python": "Python"}.get(mark, name)
    return frame


def _short(frame: str) -> str:
    for mark in ("site-packages/", "/antenna/", "/lib/python3"):
        if mark in frame:
            name, _, path = frame.partition(" (")
            prefix = "antenna/" if mark == "/antenna/" else ""
            return f"{name} ({prefix}{path.rpartition(mark)[2].partition(':')[0].rstrip(')')})"
    return frame


def _shares(title: str, counts: Counter[str]) -> str:
    total = counts.total() or 1
    lines = [f"  {count / total:6.1%}  {name}" for name, count in counts.most_common(_TOP)]
    return "\n".join([f"\n{title} ({total} samples)", *lines])
