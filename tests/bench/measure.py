# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""One run of one case."""

import math
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Self

from tests.bench.backends import Backends, running_backends
from tests.bench.books import Books
from tests.bench.cases import Case
from tests.bench.collector import running_collector
from tests.bench.crashes import TRAFFIC, unit_seconds
from tests.bench.load import Order, Outcome, run_in_process
from tests.bench.processes import PeakMemory, cpu_seconds, machine_cpu_seconds, system_seconds
from tests.bench.setups import Setup

Profiler = Callable[[int, float], AbstractContextManager[object]]


@dataclass(frozen=True)
class Plan:
    """How all runs are done."""

    seconds: float
    #: Runs of each case with each setup.
    repeat: int
    #: ``tests.bench.backends.STORAGE`` and ``PUBSUB``: which of them are emulators.
    emulators: list[str]
    profiler: Profiler | None = None
    warm_up_seconds: float = 1.0
    #: CPU seconds that are spent on measuring the unit, for each crash of a case, before and after the load.
    unit_seconds: float = 0.3


class BenchmarkError(Exception):
    """The figures would be wrong, because the collector did not do what it was asked for."""


@dataclass(frozen=True)
class Clocks:
    """Times up to a moment, or between two moments: of the clock, and of the CPU by who used it."""

    wall: float
    collector: float
    collector_system: float
    sinks: float
    machine: float

    @classmethod
    def read(cls, pid: int, backends: Backends) -> Self:
        """Read the clocks."""
        return cls(
            time.monotonic(), cpu_seconds(pid), system_seconds(pid), backends.cpu_seconds(), machine_cpu_seconds()
        )

    def __sub__(self, other: Self) -> Self:
        pairs = zip(astuple(self), astuple(other), strict=True)
        return type(self)(*(mine - its for mine, its in pairs))


@dataclass(frozen=True)
class Run:
    """The measurements of one run. Times are in seconds, sizes in bytes."""

    setup: str
    case: str
    crashes: int
    #: CPU time of one zlib.decompress of the body (average of the crashes that are sent), before and after the load.
    unit: float
    #: CPU time of the collector for one crash.
    cpu: float
    #: The part of it that the kernel took.
    system_cpu: float
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
    #: CPU cores that all other programs on the machine were busy on: what the figures suffer from.
    other_cores: float

    @property
    def units(self) -> float:
        """CPU time of the collector for one crash, in units."""
        return self.cpu / self.unit

    @property
    def spread(self) -> float:
        """The latency of the slowest hundredth of the crashes, divided by the median."""
        return self.p99 / self.p50


def measure(plan: Plan, setup: Setup, code: Path, case: Case) -> Run:
    """Start backends and collector, warm up, send crashes for a while, and check that all of them arrived.

    Raises ``BenchmarkError`` if an answer was not the expected one, or a crash is not where it should be.
    """
    with tempfile.TemporaryDirectory(prefix="antenna-bench-") as name, ExitStack() as started:
        directory = Path(name)
        backends = started.enter_context(running_backends(case, plan.emulators, directory))
        server = started.enter_context(running_collector(setup, backends, code, directory))
        pid = server.program.pid
        warm_up = run_in_process(Order(server.port, case.traffic, case.clients, plan.warm_up_seconds))
        unit_before = _unit(plan, case)
        before = Clocks.read(pid, backends)
        with PeakMemory(pid) as watched, plan.profiler(pid, plan.seconds) if plan.profiler else nullcontext():
            outcome = run_in_process(Order(server.port, case.traffic, case.clients, plan.seconds))
        used = Clocks.read(pid, backends) - before
        unit_after = _unit(plan, case)
        check(setup, case, [warm_up, outcome], backends.books(), server.program.logs())
    latencies = sorted(outcome.latencies)
    return Run(
        setup=setup.name,
        case=case.name,
        crashes=len(latencies),
        unit=(unit_before + unit_after) / 2,
        cpu=used.collector / len(latencies),
        system_cpu=used.collector_system / len(latencies),
        rate=outcome.in_time / plan.seconds,
        p50=percentile(latencies, 50),
        p90=percentile(latencies, 90),
        p99=percentile(latencies, 99),
        longest=latencies[-1],
        rss_peak=watched.peak.rss,
        pss_peak=watched.peak.pss,
        start=server.start_seconds,
        load_cores=outcome.cpu_seconds / used.wall,
        sinks_cores=used.sinks / used.wall,
        other_cores=(used.machine - used.collector - used.sinks - outcome.cpu_seconds) / used.wall,
    )


def percentile(ordered: list[float], percent: float) -> float:
    """Return the smallest value that ``percent`` of the values do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def _unit(plan: Plan, case: Case) -> float:
    crashes = Counter(TRAFFIC[case.traffic]())
    units = (unit_seconds(crash.gzipped, plan.unit_seconds) * count for crash, count in crashes.items())
    return sum(units) / crashes.total()


def check(setup: Setup, case: Case, outcomes: list[Outcome], books: Books, log: str) -> None:
    """Compare the answers that the clients got with what the sinks got. Raises ``BenchmarkError`` if they differ."""
    problems = sum((outcome.problems for outcome in outcomes), Counter[str]())
    promised = {crash_id for outcome in outcomes for crash_id in outcome.crash_ids}
    expected_dumps = [[crash.dump_crc32c] for crash in TRAFFIC[case.traffic]()]
    problems += Counter(
        {
            "answered, not saved": len(promised - books.saved.keys()),
            "answered, not published": len(promised - set(books.published)),
            "saved, not answered": len((books.saved.keys() | set(books.partial)) - promised),
            "published, not answered": len(set(books.published) - promised),
            "stored with other dumps": sum(dumps not in expected_dumps for dumps in books.saved.values()),
            "in the wrong order": len(books.disorder),
            "answered with an id given before": sum(len(outcome.crash_ids) for outcome in outcomes) - len(promised),
            "no crash taken": int(not outcomes[-1].latencies),
        }
    )
    if problems:
        raise BenchmarkError(f"{setup.name}, {case.name}: {dict(problems)}\nEnd of the collector's log:\n{log[-3000:]}")
