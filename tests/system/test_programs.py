# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The programs in bin/ that start the collector and send it a crash."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.collector import Collector
from tests.support.fixtures import StartServer
from tests.support.programs import free_port
from tests.support.server import PROJECT_ROOT, file_system_environment
from tests.system.conftest import running_on_files


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return file_system_environment(tmp_path)


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """A collector that runs under another command."""
    with running_on_files(tmp_path_factory.mktemp("collector"), {"CMD_PREFIX": "nice -n 7"}) as collector:
        yield collector


def send_crash_report(url: str) -> subprocess.CompletedProcess[str]:
    program = PROJECT_ROOT / "bin" / "send_crash_report.sh"
    return subprocess.run([program, url], capture_output=True, text=True, check=False, timeout=60)


def test_cmd_prefix_is_the_command_that_the_collector_runs_under(collector: Collector) -> None:
    assert psutil.Process(collector.server.pid).nice() == 7


def test_python_on_path_will_do(start_server: StartServer, environment: dict[str, str]) -> None:
    path = f"{sys.prefix}/bin:{os.environ['PATH']}"
    server = start_server(environment | {"VIRTUAL_ENV": "", "PATH": path})
    assert server.is_serving()


def test_crash_report_is_sent_and_found_where_the_program_says(collector: Collector) -> None:
    result = send_crash_report(f"{collector.server.url}/submit")

    assert result.returncode == 0, result.stderr
    assert "Answer: CrashID=bp-" in result.stdout
    objects = [line.split()[0] for line in result.stdout.splitlines() if line.startswith("  v1/")]
    assert [name.split("/")[1] for name in objects] == ["raw_crash", "dump_names", "dump"]
    raw_crash, dump_names, dump = map(collector.store.read, objects)
    assert b'"ProductName"' in raw_crash
    assert dump_names == b'["upload_file_minidump"]'
    assert dump == (PROJECT_ROOT / "bin" / "sample_crash.dmp").read_bytes()


# The last test of the shared collector, since it ends it.
def test_sigterm_ends_an_idle_collector_with_exit_code_0(collector: Collector) -> None:
    assert collector.server.stop() == 0


def test_no_answer_to_a_crash_report_is_a_failure() -> None:
    result = send_crash_report(f"http://127.0.0.1:{free_port()}/submit")

    assert result.returncode == 1
    assert "No answer" in result.stderr
