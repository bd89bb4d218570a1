# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Running the programs of bin/ as people do."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.google_cloud import GcsBucket, PubSubTopic
from tests.support.server import AntennaServer, file_system_environment, google_cloud_environment
from tests.support.tools import Result, run_shell

TOKEN = "test-token"


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
        # pytest shows this if the test fails.
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
