# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The collector, started for one run."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import AF_INET, SOCK_DGRAM, socket

import requests

from tests.bench.backends import Backends
from tests.bench.setups import Setup
from tests.support.programs import Program, free_port
from tests.support.server import INHERITED

START_SECONDS = 60.0


@dataclass(frozen=True)
class Collector:
    """A running collector."""

    program: Program
    port: int
    #: From the start of the program to its first answer.
    start_seconds: float


@contextmanager
def running_collector(setup: Setup, backends: Backends, code: Path, directory: Path) -> Iterator[Collector]:
    """Start the collector as operators do, with log, spool and statsd, and yield it when it serves."""
    with socket(AF_INET, SOCK_DGRAM) as statsd:
        # Nothing reads from this socket. Packets that do not fit into its buffer are dropped, at no cost to the
        # collector.
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
            **backends.environment,
            "CRASHMOVER_SPOOL_DIR": str(directory / "spool"),
            **setup.environment,
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
