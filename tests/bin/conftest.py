# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Running the programs of bin/ as people do."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.google_cloud import GcsBucket, PubSubTopic
from tests.support.server import (
    INHERITED,
    PROJECT_ROOT,
    AntennaServer,
    file_system_environment,
    google_cloud_environment,
)

TOKEN = "test-token"


@dataclass(frozen=True)
class Result:
    """The result of a command."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[str]:
        """Lines of stdout."""
        return self.stdout.splitlines()

    @property
    def objects(self) -> list[Any]:
        """The JSON objects on stdout, one a line."""
        return [json.loads(line) for line in self.lines]


def run_shell(
    command: str,
    environment: Mapping[str, str],
    *,
    stdin: str = "",
    root: Path = PROJECT_ROOT,
    pass_fds: Sequence[int] = (),
) -> Result:
    """Run a command line in the project's directory, as its docs show it, with the Python of the tests."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=root,
        env={**inherited, "PATH": path, **environment},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        pass_fds=pass_fds,
    )
    # Whatever goes wrong, people get a line that says so.
    assert "Traceback" not in done.stderr, done.stderr
    return Result(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Collector:
    """A running collector, and the environment that it, and the programs, were given."""

    url: str
    environment: Mapping[str, str]

    def run(self, program: str, *arguments: str, stdin: str = "") -> Result:
        """Run a program of bin/ with the collector's environment."""
        return run_shell(shlex.join([f"bin/{program}", *arguments]), self.environment, stdin=stdin)

    def send(self, *arguments: str) -> list[str]:
        """Send crashes and return their ids."""
        result = self.run("send_crashes.py", self.url, *arguments)
        assert result.exit_code == 0, result.stderr
        return result.lines


def _running(directory: Path, environment: Mapping[str, str]) -> Iterator[Collector]:
    environment = {**environment, "BREAKPAD_STAGE_SUBMITTER_BEARER_TOKEN": TOKEN}
    server = AntennaServer(environment, directory)
    try:
        server.wait_until_serving()
        yield Collector(f"{server.url}/submit", environment)
    finally:
        server.kill()
        # Shown with a test that failed.
        print(server.logs())


@pytest.fixture(scope="package")
def fs_collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """A collector that saves on the file system."""
    directory = tmp_path_factory.mktemp("fs")
    yield from _running(directory, file_system_environment(directory))


@pytest.fixture(scope="package")
def google_collector(
    gcs_emulator: str, pubsub_emulator: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Collector]:
    """A collector that saves in Google's emulators."""
    environment = google_cloud_environment(GcsBucket(gcs_emulator), PubSubTopic(pubsub_emulator))
    yield from _running(tmp_path_factory.mktemp("google"), environment)
