# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""One run of one case."""

import math
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.cases import Case
from tests.bench.collector import running_collector, running_sinks
from tests.bench.crashes import TRAFFIC, unit_seconds
from tests.bench.load import Order, Outcome, run_in_process
from tests.bench.processes import PeakMemory, cpu_seconds
from tests.bench.setups import Setup

WARM_UP_SECONDS = 1.0

Profiler = Callable[[int, float], AbstractContextManager[object]]


class BenchmarkError(Exception):
    """The figures would be wrong: the collector did not do what it was asked for."""


@dataclass(frozen=True)
class Run:
    """What was measured in one run. Times in seconds, sizes in bytes."""

    setup: str
    case: str
    crashes: int
    #: CPU time of one zlib.decompress of the body (average of the crashes that are sent), before and after the load.
    unit: float
    #: CPU time of the collector for one crash.
    cpu: float
    #: Crashes answered in a second.
    rate: float
    p50: float
    p90: float
    p99: float
    longest: float
    rss_peak: int
    pss_peak: int
    start: float
    #: CPU cores that load generator and sinks were busy on: if near 1, they are what is measured.
    load_cores: float
    sinks_cores: float

    @property
    def units(self) -> float:
        """CPU time of the collector for one crash, in units."""
        return self.cpu / self.unit

    @property
    def spread(self) -> float:
        """How much longer than the median the slowest hundredth waited."""
        return self.p99 / self.p50


def measure(setup: Setup, case: Case, code: Path, seconds: float, profiler: Profiler | None = None) -> Run:
    """Start sinks and collector, warm up, send crashes for ``seconds``, and look whether all of them arrived.

    Raises ``BenchmarkError`` if an answer was not the expected one, or a crash is not where it should be.
    """
    with tempfile.TemporaryDirectory(prefix="antenna-bench-") as name:
        directory = Path(name)
        with running_sinks(case, directory) as sinks, running_collector(setup, case, code, directory, sinks) as server:
            pid = server.program.pid
            warm_up = run_in_process(Order(server.port, case.traffic, case.clients, WARM_UP_SECONDS))
            unit_before = _unit(case)
            cpu_before, sinks_before = cpu_seconds(pid), sinks.books()["cpu_seconds"]
            with PeakMemory(pid) as watched, profiler(pid, seconds) if profiler else nullcontext():
                outcome = run_in_process(Order(server.port, case.traffic, case.clients, seconds))
            cpu = cpu_seconds(pid) - cpu_before
            books = sinks.books()
            unit_after = _unit(case)
            _check(case, [warm_up, outcome], books, server.program.logs())
        latencies = sorted(outcome.latencies)
        return Run(
            setup=setup.name,
            case=case.name,
            crashes=len(latencies),
            unit=(unit_before + unit_after) / 2,
            cpu=cpu / len(latencies),
            rate=outcome.in_time / seconds,
            p50=percentile(latencies, 50),
            p90=percentile(latencies, 90),
            p99=percentile(latencies, 99),
            longest=latencies[-1],
            rss_peak=watched.peak.rss,
            pss_peak=watched.peak.pss,
            start=server.start_seconds,
            load_cores=outcome.cpu_seconds / seconds,
            sinks_cores=(books["cpu_seconds"] - sinks_before) / seconds,
        )


def percentile(ordered: list[float], percent: float) -> float:
    """Return the smallest value that ``percent`` of the values do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def _unit(case: Case) -> float:
    crashes = Counter(TRAFFIC[case.traffic]())
    return sum(unit_seconds(crash.gzipped) * count for crash, count in crashes.items()) / crashes.total()


def _check(case: Case, outcomes: list[Outcome], books: dict[str, Any], log: str) -> None:
    """Compare what the clients were told with what the sinks got."""
    problems = sum((outcome.problems for outcome in outcomes), Counter[str]())
    promised = {crash_id for outcome in outcomes for crash_id in outcome.crash_ids}
    checksums = {crash.dump_crc32c for crash in TRAFFIC[case.traffic]()}
    for crash_id in promised:
        dumps = books["crashes"].get(crash_id)
        if dumps is None:
            problems["kept, but not saved and then published"] += 1
        elif len(dumps) != 1 or dumps[0] not in checksums:
            problems["another dump was stored than the one that was sent"] += 1
    problems["saved, but not promised"] = len((set(books["crashes"]) | set(books["incomplete"])) - promised)
    if sum(len(outcome.crash_ids) for outcome in outcomes) != len(promised):
        problems["crash ids given twice"] += 1
    if not outcomes[-1].latencies:
        problems["no crash was taken"] += 1
    if +problems:
        raise BenchmarkError(f"{case.name}: {dict(+problems)}\nEnd of the collector's log:\n{log[-3000:]}")
