# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Shows where the time goes: py-spy samples all processes of the collector while a case runs."""

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
    """Writes a flame graph, or writes samples as text and sums them up by function and library.

    Samples are taken of threads that are ready to run, even if they have no core. So if there is more work than cores,
    calls that wake another process up (``send``) look more expensive than they are.
    """

    def __init__(self, path: Path) -> None:
        """``path`` is an SVG file for a flame graph; samples are written to any other."""
        self._path = path
        self._is_graph = path.suffix == ".svg"

    @contextmanager
    def __call__(self, pid: int, seconds: float) -> Iterator[None]:
        """Profile a program and its children during the ``with`` block. An earlier profile is overwritten."""
        options = {
            "--pid": pid,
            "--duration": int(seconds),
            "--rate": _RATE,
            "--format": "flamegraph" if self._is_graph else "raw",
            "--output": self._path,
        }
        command = [str(Path(sys.executable).with_name("py-spy")), "record", "--subprocesses", "--nonblocking"]
        command += ["--full-filenames", *(str(word) for option in options.items() for word in option)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as recorder:
            yield
            recorder.wait(60)

    def summary(self) -> str:
        """Return where the samples of the last run were taken."""
        if self._is_graph:
            return f"Flame graph: {self._path}"
        libraries: Counter[str] = Counter()
        own: Counter[str] = Counter()
        callers: Counter[str] = Counter()
        for line in self._path.read_text().splitlines():
            stack, _, count = line.rpartition(" ")
            # py-spy puts the processes before the functions.
            frames = [frame for frame in stack.split(";") if not frame.startswith("process ")]
            if frames:
                libraries[_library(frames[-1])] += int(count)
                own[_short(frames[-1])] += int(count)
                callers.update(dict.fromkeys(map(_short, frames), int(count)))
        return "\n".join(
            [
                _shares("by library", libraries, libraries.total()),
                _shares("by function, own time", own, own.total()),
                _shares("by function, with those that it calls", callers, own.total()),
            ]
        )


def _library(frame: str) -> str:
    return _location(frame)[0]


def _short(frame: str) -> str:
    """Return ``function (path within its library)``."""
    return f"{frame.partition(' (')[0]} ({_location(frame)[1]})"


def _location(frame: str) -> tuple[str, str]:
    """Return the library that a frame belongs to, and the file in it. py-spy gives ``function (path:line)``."""
    path = frame.partition(" (")[2].rpartition(":")[0]
    _, is_library, file = path.rpartition("/site-packages/")
    if is_library:
        return file.partition("/")[0], file
    _, is_ours, file = path.rpartition("/antenna/")
    if is_ours:
        return "antenna", f"antenna/{file}"
    return "Python", path.rpartition("/lib/python")[2] or path


def _shares(title: str, counts: Counter[str], total: int) -> str:
    lines = [f"  {count / (total or 1):6.1%}  {name}" for name, count in counts.most_common(_TOP)]
    return "\n".join([f"\n{title} ({total} samples)", *lines])
