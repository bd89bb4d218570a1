# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Fixtures for tests that need emulators or a running collector."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from tests.support.chromium import MISSING_CHROMIUM
from tests.support.emulators import (
    MISSING_GCS,
    MISSING_PUBSUB,
    EmulatorMissingError,
    SharedEmulators,
    StartEmulator,
    start_gcs,
    start_pubsub,
)
from tests.support.faulty import FaultyProxy
from tests.support.google_cloud import GcsBucket, PubSubTopic
from tests.support.nginx import MISSING_NGINX, Nginx, running_nginx
from tests.support.prometheus import MISSING as MISSING_PROMETHEUS
from tests.support.prometheus import Prometheus, Promtool, found_promtool, running_prometheus
from tests.support.server import AntennaServer

T = TypeVar("T")

# Environment variable: the directory through which the processes of a run share their emulators.
_DIRECTORY_OF_EMULATORS = "ANTENNA_TEST_EMULATORS"
_EMULATORS = pytest.StashKey[SharedEmulators]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print prominently what the skipped tests lacked."""
    reasons = [report.longrepr[2] for report in terminalreporter.getreports("skipped")]
    for message in (MISSING_GCS, MISSING_PUBSUB, MISSING_NGINX, MISSING_CHROMIUM, MISSING_PROMETHEUS):
        if any(_in_short(message) in reason for reason in reasons):
            terminalreporter.section("tests were skipped: a program is missing", sep="!", red=True)
            terminalreporter.line(message)


def _in_short(message: str) -> str:
    return message.partition(":")[0]


def pytest_configure(config: pytest.Config) -> None:
    """Let the processes of this run share emulators. pytest calls this in each of them."""
    if not _is_worker(config):
        os.environ[_DIRECTORY_OF_EMULATORS] = tempfile.mkdtemp(prefix="antenna-emulators-")
    config.stash[_EMULATORS] = SharedEmulators(Path(os.environ[_DIRECTORY_OF_EMULATORS]))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the emulators at the end of the run."""
    if not _is_worker(config):
        config.stash[_EMULATORS].stop()
        shutil.rmtree(os.environ.pop(_DIRECTORY_OF_EMULATORS))


def _is_worker(config: pytest.Config) -> bool:
    """Whether this is one of the processes that pytest-xdist has started to run tests."""
    return hasattr(config, "workerinput")


def _emulator(config: pytest.Config, environment_name: str, start: StartEmulator) -> str:
    # If an emulator runs already, as in the containers, it is used.
    if running := os.environ.get(environment_name):
        return running
    with _failure_or_skip("REQUIRE_EMULATORS"):
        return config.stash[_EMULATORS].address(start)


@contextmanager
def _or_skip(program: AbstractContextManager[T], required: str) -> Iterator[T]:
    """Start a program that the tests need.

    If it is missing, skip them, or fail if ``required`` is in the environment.
    """
    with ExitStack() as started:
        with _failure_or_skip(required):
            running = started.enter_context(program)
        yield running


@contextmanager
def _failure_or_skip(required: str) -> Iterator[None]:
    try:
        yield
    except EmulatorMissingError as error:
        if os.environ.get(required):
            pytest.fail(str(error), pytrace=False)
        pytest.skip(_in_short(str(error)))


@pytest.fixture(scope="session")
def gcs_emulator(pytestconfig: pytest.Config) -> str:
    """URL of a Cloud Storage emulator, in the form of STORAGE_EMULATOR_HOST."""
    return _emulator(pytestconfig, "STORAGE_EMULATOR_HOST", start_gcs)


@pytest.fixture(scope="session")
def pubsub_emulator(pytestconfig: pytest.Config) -> str:
    """Host and port of a Pub/Sub emulator, in the form of PUBSUB_EMULATOR_HOST."""
    return _emulator(pytestconfig, "PUBSUB_EMULATOR_HOST", start_pubsub)


@pytest.fixture
def gcs_bucket(gcs_emulator: str) -> GcsBucket:
    """An empty bucket."""
    return GcsBucket(gcs_emulator)


@pytest.fixture
def pubsub_topic(pubsub_emulator: str) -> PubSubTopic:
    """A topic with a subscription and no messages."""
    return PubSubTopic(pubsub_emulator)


class StartServer(Protocol):
    """The type of the fixture ``start_server``."""

    def __call__(
        self, environment: Mapping[str, str], *, wait: bool = True, port: int | None = None
    ) -> AntennaServer: ...


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Function that starts a collector, and waits until it serves unless told not to. All are killed after the test."""
    servers: list[AntennaServer] = []

    def start(environment: Mapping[str, str], *, wait: bool = True, port: int | None = None) -> AntennaServer:
        server = AntennaServer(environment, tmp_path, port=port)
        servers.append(server)
        if wait:
            server.wait_until_serving()
        return server

    yield start

    for server in servers:
        server.kill()
        # pytest shows this if the test fails.
        print(server.logs())


@pytest.fixture(scope="session")
def promtool() -> Iterator[Promtool]:
    """The program that checks and tests rules of Prometheus."""
    with _or_skip(found_promtool(), "REQUIRE_EMULATORS") as program:
        yield program


class StartPrometheus(Protocol):
    """The type of the fixture ``start_prometheus``."""

    def __call__(self, target: str, rules: Path | None = None) -> Prometheus: ...


@pytest.fixture
def start_prometheus(tmp_path: Path) -> Iterator[StartPrometheus]:
    """Function that starts a Prometheus that scrapes a collector every second. It is killed after the test."""
    with ExitStack() as started:

        def start(target: str, rules: Path | None = None) -> Prometheus:
            return started.enter_context(_or_skip(running_prometheus(tmp_path, target, rules), "REQUIRE_EMULATORS"))

        yield start


class StartNginx(Protocol):
    """The type of the fixture ``start_nginx``."""

    def __call__(self, collector_port: int, changes: dict[str, str] | None = None) -> Nginx: ...


@pytest.fixture
def start_nginx(tmp_path: Path) -> Iterator[StartNginx]:
    """Function that starts nginx in front of a collector. It can replace lines of the configuration."""
    with ExitStack() as started:

        def start(collector_port: int, changes: dict[str, str] | None = None) -> Nginx:
            nginx = running_nginx(tmp_path, collector_port, changes or {})
            return started.enter_context(_or_skip(nginx, "REQUIRE_NGINX"))

        yield start


@pytest.fixture
def storage_proxy(gcs_emulator: str) -> Iterator[FaultyProxy]:
    with FaultyProxy(int(gcs_emulator.rpartition(":")[2])) as proxy:
        yield proxy


@pytest.fixture
def publish_proxy(pubsub_emulator: str) -> Iterator[FaultyProxy]:
    with FaultyProxy(int(pubsub_emulator.rpartition(":")[2])) as proxy:
        yield proxy
