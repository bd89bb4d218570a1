# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Measures the cost of an outage: ``python -m tests.bench.outage --help``.

A collector with two workers gets a steady load. After a while its backends go away, and later come back. Then the
backlog is delivered, with or without load. At the end every id that a client got is looked for.
"""

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import requests

from tests.bench import steady
from tests.bench.load import Order as FullLoad
from tests.bench.load import run_in_process
from tests.support.programs import Program, free_port
from tests.support.server import PROJECT_ROOT, AntennaServer

# The signals that make sinks go away and come back.
_SIGNALS = {"refused": (signal.SIGUSR1, signal.SIGUSR2), "hung": (signal.SIGSTOP, signal.SIGCONT)}
# Seconds from the beginning of an outage until the breakers are open: the time-out of a save, and some crashes more.
_ONSET = 8.0
_DELIVERY_SECONDS = 600.0


class Sinks:
    """A process that stands for one backend."""

    def __init__(self, directory: Path, name: str) -> None:
        self.port = free_port()
        self._program = Program(
            [sys.executable, "-m", "tests.bench.outage_sinks", str(self.port), "0", "0"],
            log_file=directory / f"{name}.log",
            directory=PROJECT_ROOT,
        )

    def __enter__(self) -> Self:
        self._program.wait_until(self._answers)
        return self

    def __exit__(self, *_: object) -> None:
        self._program.kill()

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self._program.pid, number)

    def books(self) -> dict[str, Any]:
        """Return what arrived."""
        books: dict[str, Any] = requests.get(f"http://127.0.0.1:{self.port}/books", timeout=60).json()
        return books

    def _answers(self) -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/books", timeout=5).ok
        except requests.ConnectionError:
            return False


def main() -> None:
    """Measure, and print the results as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.outage", description=__doc__)
    parser.add_argument("--fault", choices=_SIGNALS, default="refused", help="default: %(default)s")
    parser.add_argument("--gone", nargs="+", choices=["storage", "publish"], default=["storage", "publish"])
    parser.add_argument("--rate", type=float, default=50.0, help="crashes a second (default: %(default)s)")
    parser.add_argument("--clients", type=int, help="instead: so many clients, as fast as they can")
    parser.add_argument("--traffic", default="kept", help="of tests.bench.crashes (default: %(default)s)")
    parser.add_argument("--healthy", type=float, default=20.0, help="seconds before (default: %(default)s)")
    parser.add_argument("--outage", type=float, default=60.0, help="seconds (default: %(default)s)")
    parser.add_argument("--directory", type=Path, help="where the spool is (default: a temporary one)")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=arguments.directory)))
        sinks = {name: stack.enter_context(Sinks(directory, name)) for name in ("storage", "publish")}
        server = AntennaServer(_environment(sinks, directory), directory)
        stack.callback(server.kill)
        server.wait_until_serving()
        time.sleep(1)
        measure = _measure_full if arguments.clients else _measure_steady
        print(json.dumps(measure(arguments, sinks, server, directory), indent=1))


def _environment(sinks: dict[str, Sinks], directory: Path) -> dict[str, str]:
    (directory / "reports").mkdir()
    return {
        "GUNICORN_WORKERS": "2",
        "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{sinks['storage'].port}",
        "CRASHMOVER_CRASHSTORAGE_CLASS": "antenna.ext.gcs.crashstorage.GcsCrashStorage",
        "CRASHMOVER_CRASHSTORAGE_BUCKET_NAME": "crashes",
        "PUBSUB_EMULATOR_HOST": f"127.0.0.1:{sinks['publish'].port}",
        "CRASHMOVER_CRASHPUBLISH_CLASS": "antenna.ext.pubsub.crashpublish.PubSubCrashPublish",
        "CRASHMOVER_CRASHPUBLISH_PROJECT_ID": "test",
        "CRASHMOVER_CRASHPUBLISH_TOPIC_NAME": "crash-ids",
        "CRASHMOVER_SPOOL_DIR": str(directory / "spool"),
        "BREAKPAD_TEMP_DIR": str(directory / "reports"),
    }


def _measure_steady(
    arguments: argparse.Namespace, sinks: dict[str, Sinks], server: AntennaServer, directory: Path
) -> dict[str, Any]:
    """Measure with the same load all the time, also while the backlog is delivered."""
    begin, end = arguments.healthy, arguments.healthy + arguments.outage
    load = steady.start(
        steady.Order(server.port, arguments.traffic, arguments.rate, end + max(arguments.healthy, arguments.outage / 2))
    )
    start = time.monotonic()
    for moment, which in ((begin, 0), (end, 1)):
        time.sleep(max(0.0, start + moment - time.monotonic()))
        _signal(arguments, sinks, which)
    backlog, seconds = _wait_for_delivery(directory / "spool")
    outcome = steady.end(load)
    _wait_for_delivery(directory / "spool")
    phases = {
        "healthy": (0.0, begin),
        "onset": (begin, begin + _ONSET),
        "outage": (begin + _ONSET, end),
        "after": (end, float("inf")),
    }
    return {
        "phases": {name: _phase(outcome, *times) for name, times in phases.items()},
        "problems": outcome.problems,
        "delivery": _rate(backlog, seconds),
        **_check([crash_id for _, _, crash_id in outcome.answers if crash_id], sinks),
    }


def _measure_full(
    arguments: argparse.Namespace, sinks: dict[str, Sinks], server: AntennaServer, directory: Path
) -> dict[str, Any]:
    """Measure with as much load as the collector takes, before the outage and in it.

    The backlog is delivered without load.
    """
    crash_ids: list[str] = []
    phases = {}
    lengths = {"healthy": arguments.healthy, "onset": _ONSET, "outage": arguments.outage - _ONSET}
    for name, seconds in lengths.items():
        if name == "onset":
            _signal(arguments, sinks, 0)
        outcome = run_in_process(FullLoad(server.port, arguments.traffic, arguments.clients, seconds))
        crash_ids += outcome.crash_ids
        phases[name] = {
            "crashes/s": round(outcome.in_time / seconds, 1),
            "problems": outcome.problems,
            **_latencies(outcome.latencies),
        }
    _signal(arguments, sinks, 1)
    backlog, seconds = _wait_for_delivery(directory / "spool")
    return {"phases": phases, "delivery": _rate(backlog, seconds), **_check(crash_ids, sinks)}


def _signal(arguments: argparse.Namespace, sinks: dict[str, Sinks], which: int) -> None:
    for name in arguments.gone:
        sinks[name].send(_SIGNALS[arguments.fault][which])


def _wait_for_delivery(spool: Path) -> tuple[int, float]:
    """Wait until the spool is empty; return how many entries were in it, and seconds."""
    start = time.monotonic()
    backlog = waiting = _waiting(spool)
    while waiting and time.monotonic() - start < _DELIVERY_SECONDS:
        time.sleep(0.1)
        waiting = _waiting(spool)
    return backlog, time.monotonic() - start


def _waiting(spool: Path) -> int:
    return sum(len(os.listdir(spool / kind)) for kind in ("save", "publish"))  # noqa: PTH208 - thousands, often


def _phase(outcome: steady.Outcome, begin: float, end: float) -> dict[str, Any]:
    answers = [answer for answer in outcome.answers if begin <= answer[0] < end]
    heartbeats = [seconds for at, seconds in outcome.heartbeats if begin <= at < end]
    return {
        "crashes": len(answers),
        "answered with an id, %": round(100 * sum(crash_id is not None for *_, crash_id in answers) / len(answers), 3),
        **_latencies([seconds for _, seconds, crash_id in answers if crash_id]),
        "heartbeat, ms": _latencies(heartbeats),
    }


def _latencies(seconds: Sequence[float]) -> dict[str, float]:
    """Return percentiles in milliseconds."""
    if not seconds:
        return {}
    points = statistics.quantiles([*seconds, *seconds], n=1000, method="inclusive")
    return {
        "p50": round(points[499] * 1000, 1),
        "p95": round(points[949] * 1000, 1),
        "p99": round(points[989] * 1000, 1),
        "max": round(max(seconds) * 1000, 1),
    }


def _rate(entries: int, seconds: float) -> dict[str, float]:
    return {"entries": entries, "seconds": round(seconds, 1), "entries/s": round(entries / seconds, 1)}


def _check(crash_ids: Sequence[str], sinks: dict[str, Sinks]) -> dict[str, Any]:
    """Check that every crash that was answered with an id has arrived."""
    saved = sinks["storage"].books()
    published = Counter(sinks["publish"].books()["published"])
    return {
        "promised": len(crash_ids),
        "lost": len(set(crash_ids) - saved["saved"].keys()),
        "never published": len(set(crash_ids) - published.keys()),
        "published twice, %": round(100 * sum(count > 1 for count in published.values()) / max(1, len(published)), 3),
        "disorder": len(saved["disorder"]),
    }


if __name__ == "__main__":
    main()
