# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Tables of what was measured, in reStructuredText."""

import platform
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.cases import CASES
from tests.bench.measure import Run

MIB = 1 << 20


@dataclass(frozen=True)
class Column:
    """A figure of a run, and how it is shown."""

    heading: str
    value: Callable[[Run], float]
    format: str
    #: Whether minimum and maximum are shown, too.
    has_range: bool = False


UNITS = Column("CPU units", lambda run: run.units, ".2f", has_range=True)
RATE = Column("crashes/s", lambda run: run.rate, ".0f", has_range=True)
P50 = Column("p50 ms", lambda run: run.p50 * 1000, ".0f")
P99 = Column("p99 ms", lambda run: run.p99 * 1000, ".0f", has_range=True)
RSS = Column("RSS MiB", lambda run: run.rss_peak / MIB, ".0f")
START = Column("start s", lambda run: run.start, ".2f")
RESULTS = [UNITS, RATE, P50, P99, Column("p99/p50", lambda run: run.spread, ".1f"), RSS, START]
DETAILS = [
    Column("crashes", lambda run: run.crashes, ".0f"),
    Column("unit ms", lambda run: run.unit * 1000, ".3f"),
    Column("CPU ms", lambda run: run.cpu * 1000, ".2f"),
    Column("of it system", lambda run: run.system_cpu * 1000, ".2f"),
    Column("p90 ms", lambda run: run.p90 * 1000, ".0f"),
    Column("longest ms", lambda run: run.longest * 1000, ".0f"),
    Column("PSS MiB", lambda run: run.pss_peak / MIB, ".0f"),
    Column("load cores", lambda run: run.load_cores, ".2f"),
    Column("sink cores", lambda run: run.sinks_cores, ".2f"),
    Column("other cores", lambda run: run.other_cores, ".2f"),
]
RATIOS = [UNITS, RATE, P50, P99, RSS, START]


def machine() -> str:
    """Return a description of the machine and of the versions on which the figures depend."""
    models = [
        line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / (1 << 20)
    model = models[0] if models else platform.machine()
    return (
        f"{len(models)} x {model}, {memory:.0f} GiB, Linux {platform.release()}, "
        f"{platform.python_implementation()} {platform.python_version()}"
    )


def figures_table(runs: Sequence[Run], columns: Sequence[Column]) -> str:
    """Return a table with a line for each case. The figures are medians of its runs."""
    headings = ["case", "clients"]
    for column in columns:
        headings += [column.heading, "min..max"] if column.has_range else [column.heading]
    lines = []
    for case in _cases(runs):
        line = [CASES[case].doc, str(CASES[case].clients)]
        for column in columns:
            line += _cells([column.value(run) for run in runs if run.case == case], column.format, column.has_range)
        lines.append(line)
    return table(headings, lines)


def ratios_table(first: Sequence[Run], other: Sequence[Run]) -> str:
    """Return a table of the figures of ``other`` divided by those of the first setup.

    Each run is compared with its neighbour.
    """
    headings = ["case"]
    for column in RATIOS:
        headings += [column.heading.rpartition(" ")[0] or column.heading, "min..max"]
    lines = []
    for case in _cases(first):
        sides = ([run for run in runs if run.case == case] for runs in (first, other))
        pairs = list(zip(*sides, strict=True))
        line = [CASES[case].doc]
        for column in RATIOS:
            line += _cells([column.value(b) / column.value(a) for a, b in pairs], ".2f", has_range=True)
        lines.append(line)
    return table(headings, lines)


def _cells(values: Sequence[float], form: str, has_range: bool) -> list[str]:
    cells = [format(statistics.median(values), form)]
    return [*cells, f"{min(values):{form}}..{max(values):{form}}"] if has_range else cells


def table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a simple table; all columns but the first are aligned to the right."""
    rows = [list(headings), *map(list, lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = "  ".join("=" * width for width in widths)
    texts = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
    return "\n".join([rule, texts[0], rule, *texts[1:], rule])


def _cases(runs: Iterable[Run]) -> list[str]:
    """Return the names of the cases, each once, in their order."""
    return list(dict.fromkeys(run.case for run in runs))
