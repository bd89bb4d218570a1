# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Tables of what was measured, in reStructuredText."""

import platform
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tests.bench.cases import CASES
from tests.bench.measure import Run

MIB = 1 << 20

# Heading, value, format.
_COLUMNS: list[tuple[str, Callable[[Run], float], str]] = [
    ("CPU units", lambda run: run.units, ".2f"),
    ("CPU ms", lambda run: run.cpu * 1000, ".2f"),
    ("crashes/s", lambda run: run.rate, ".0f"),
    ("p50 ms", lambda run: run.p50 * 1000, ".0f"),
    ("p90 ms", lambda run: run.p90 * 1000, ".0f"),
    ("p99 ms", lambda run: run.p99 * 1000, ".0f"),
    ("p99/p50", lambda run: run.spread, ".1f"),
    ("RSS MiB", lambda run: run.rss_peak / MIB, ".0f"),
    ("PSS MiB", lambda run: run.pss_peak / MIB, ".0f"),
    ("start s", lambda run: run.start, ".2f"),
    ("unit ms", lambda run: run.unit * 1000, ".2f"),
    ("load cores", lambda run: run.load_cores, ".2f"),
    ("sink cores", lambda run: run.sinks_cores, ".2f"),
]
# With minimum and maximum.
_SPREAD = ("CPU units", "crashes/s", "p99 ms")
_RATIOS = ("CPU units", "crashes/s", "p50 ms", "p99 ms", "RSS MiB", "start s")


def machine() -> str:
    """Return what the figures depend on."""
    models = [
        line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / (1 << 20)
    model = models[0] if models else platform.machine()
    return (
        f"{len(models)} x {model}, {memory:.0f} GiB, Linux {platform.release()}, "
        f"{platform.python_implementation()} {platform.python_version()}"
    )


def results_table(runs: Sequence[Run]) -> str:
    """Return a table with a line for each case: medians, and minimum to maximum where runs differ most."""
    headings = ["case", "clients"]
    for heading, _, _ in _COLUMNS:
        headings += [heading, "min..max"] if heading in _SPREAD else [heading]
    lines = []
    for case in _names(run.case for run in runs):
        same = [run for run in runs if run.case == case]
        line = [CASES[case].doc, str(CASES[case].clients)]
        for heading, value, form in _COLUMNS:
            values = [value(run) for run in same]
            line.append(format(statistics.median(values), form))
            if heading in _SPREAD:
                line.append(f"{min(values):{form}}..{max(values):{form}}")
        lines.append(line)
    return table(headings, lines)


def ratios_table(first: Sequence[Run], other: Sequence[Run]) -> str:
    """Return a table of how much more of everything ``other`` has than ``first``: each run with its neighbour."""
    headings = ["case"]
    for heading in _RATIOS:
        headings += [heading.split(maxsplit=1)[0] if heading != "CPU units" else "CPU", "min..max"]
    lines = []
    for case in _names(run.case for run in first):
        pairs = list(zip([r for r in first if r.case == case], [r for r in other if r.case == case], strict=True))
        line = [CASES[case].doc]
        for heading, value, _ in _COLUMNS:
            if heading in _RATIOS:
                ratios = [value(b) / value(a) for a, b in pairs]
                line += [f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f}..{max(ratios):.2f}"]
        lines.append(line)
    return table(headings, lines)


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


def _names(names: Iterable[str]) -> list[str]:
    """Return each name once, in their order."""
    return list(dict.fromkeys(names))
