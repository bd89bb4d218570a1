# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The collector and its backends, started for one run."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import AF_INET, SOCK_DGRAM, socket
from typing import Any

import requests

from tests.bench.cases import Case
from tests.bench.setups import Setup
from tests.programs import Program, free_port
from tests.server import INHERITED, PROJECT_ROOT

START_SECONDS = 60.0


@dataclass(frozen=True)
class Sinks:
    """A running stand-in for the backends."""

    program: Program
    port: int

    def books(self) -> dict[str, Any]:
        """Return what arrived: see ``tests.bench.books``."""
        books: dict[str, Any] = requests.get(f"http://127.0.0.1:{self.port}/books", timeout=60).json()
        return books


@contextmanager
def running_sinks(case: Case, directory: Path) -> Iterator[Sinks]:
    """Start the sinks with the latencies of ``case``."""
    port = free_port()
    latencies = [str(case.storage_latency), str(case.publish_latency)]
    program = Program(
        [sys.executable, "-m", "tests.bench.sinks", str(port), *latencies],
        log_file=directory / "sinks.log",
        directory=PROJECT_ROOT,
    )
    sinks = Sinks(program, port)
    try:
        program.wait_until(lambda: _answers(f"http://127.0.0.1:{port}/books"))
        yield sinks
    finally:
        program.kill()


@dataclass(frozen=True)
class Collector:
    """A running collector."""

    program: Program
    port: int
    #: From the start of the program to its first answer.
    start_seconds: float


@contextmanager
def running_collector(setup: Setup, case: Case, code: Path, directory: Path, sinks: Sinks) -> Iterator[Collector]:
    """Start the collector as operators do, with log, spool and statsd, and yield it when it serves."""
    with socket(AF_INET, SOCK_DGRAM) as statsd:
        # Nobody reads: what does not fit into the socket's buffer is dropped, at no cost to the collector.
        statsd.bind(("127.0.0.1", 0))
        port = free_port()
        (directory / "spool").mkdir()
        environment = {
            **{name: os.environ[name] for name in INHERITED if name in os.environ},
            "VIRTUAL_ENV": sys.prefix,
            "PORT": str(port),
            "GUNICORN_WORKERS": "2",
            "STATSD_HOST": "127.0.0.1",
            "STATSD_PORT": str(statsd.getsockname()[1]),
            "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{sinks.port}",
            "PUBSUB_EMULATOR_HOST": f"127.0.0.1:{sinks.port}",
            "CRASHMOVER_CRASHSTORAGE_CLASS": "antenna.ext.gcs.crashstorage.GcsCrashStorage",
            "CRASHMOVER_CRASHSTORAGE_BUCKET_NAME": "crashes",
            "CRASHMOVER_CRASHPUBLISH_CLASS": "antenna.ext.pubsub.crashpublish.PubSubCrashPublish",
            "CRASHMOVER_CRASHPUBLISH_PROJECT_ID": "test",
            "CRASHMOVER_CRASHPUBLISH_TOPIC_NAME": "crash-ids",
            "CRASHMOVER_SPOOL_DIR": str(directory / "spool"),
            **setup.environment,
            **case.environment,
        }
        command = ["sh", "-c", f"exec {setup.command}"] if setup.command else [str(code / "bin" / "run_web.sh")]
        start = time.monotonic()
        program = Program(command, log_file=directory / "collector.log", environment=environment, directory=code)
        try:
            program.wait_until(lambda: _answers(f"http://127.0.0.1:{port}/__lbheartbeat__"), START_SECONDS)
            yield Collector(program, port, time.monotonic() - start)
            program.stop()
        finally:
            program.kill()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=START_SECONDS).ok
    except requests.ConnectionError:
        return False
