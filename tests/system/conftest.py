# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Fixtures: running collectors. A start takes time, so tests share some of them. Others have options of their own."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from tests.support.collector import Collector, DirectoryQueue, DirectoryStore
from tests.support.faulty import FaultyProxy
from tests.support.fixtures import StartServer
from tests.support.google_cloud import GcsBucket, PubSubTopic
from tests.support.server import PROJECT_ROOT, AntennaServer, file_system_environment, google_cloud_environment
from tests.support.statsd import StatsdSink

TOKEN = "test-token"  # the one in socorro-submitter-multipart-gzip
STATSD_NAMESPACE = "collector.prod"

VERSION = {"commit": "0123abc", "version": "2026.11.22", "source": "https://example.com", "build": "1"}

HOUSE_RULES = {
    "PYTHONPATH": str(PROJECT_ROOT / "tests" / "support" / "rules"),
    "BREAKPAD_THROTTLER_RULES": "house_rules.RULES",
}


@dataclass(frozen=True)
class Proxies:
    """The proxies between collectors and their backends."""

    storage: FaultyProxy
    publish: FaultyProxy

    def reset(self) -> None:
        """Pass everything on, and forget the exchanges so far."""
        self.storage.reset()
        self.publish.reset()

    @property
    def options(self) -> dict[str, str]:
        """The options with which a collector reaches its backends through the proxies."""
        return {"STORAGE_EMULATOR_HOST": f"http://{self.storage.address}", "PUBSUB_EMULATOR_HOST": self.publish.address}


@pytest.fixture(scope="session")
def shared_proxies(gcs_emulator: str, pubsub_emulator: str) -> Iterator[Proxies]:
    ports = [int(address.rpartition(":")[2]) for address in (gcs_emulator, pubsub_emulator)]
    with FaultyProxy(ports[0]) as storage, FaultyProxy(ports[1]) as publish:
        yield Proxies(storage, publish)


@pytest.fixture
def proxies(shared_proxies: Proxies) -> Iterator[Proxies]:
    """The proxies between the collectors and their emulators, in which a test can set faults."""
    shared_proxies.reset()
    yield shared_proxies
    shared_proxies.reset()


def wait_for_exchange(proxy: FaultyProxy) -> None:
    """Wait until a backend has a request that the proxy holds back."""
    deadline = time.monotonic() + 10
    while not any(exchange.answered is None for exchange in proxy.exchanges):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="session")
def statsd() -> Iterator[StatsdSink]:
    """Metrics of ``collector``."""
    with StatsdSink() as sink:
        yield sink


class StartCollector(Protocol):
    def __call__(self, **options: str) -> Collector: ...


@pytest.fixture(scope="session")
def start_shared_collector(
    gcs_emulator: str, pubsub_emulator: str, shared_proxies: Proxies, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartCollector]:
    servers = []

    def start(**options: str) -> Collector:
        bucket, topic = GcsBucket(gcs_emulator), PubSubTopic(pubsub_emulator)
        environment = google_cloud_environment(bucket, topic) | shared_proxies.options | options
        servers.append(AntennaServer(environment, tmp_path_factory.mktemp("collector")))
        servers[-1].wait_until_serving()
        return Collector(servers[-1], bucket, topic)

    yield start

    for server in servers:
        server.kill()


@pytest.fixture(scope="session")
def collector(start_shared_collector: StartCollector, statsd: StatsdSink) -> Collector:
    """A collector as in production, with house rules. Tests share it, so each looks at its own crashes only."""
    return start_shared_collector(
        **HOUSE_RULES,
        BREAKPAD_STAGE_SUBMITTER_BEARER_TOKEN=TOKEN,
        CRASHMOVER_CRASHPUBLISH_TIMEOUT="1500ms",
        STATSD_HOST="127.0.0.1",
        STATSD_PORT=str(statsd.port),
        STATSD_NAMESPACE=STATSD_NAMESPACE,
    )


@pytest.fixture(scope="session")
def impatient_collector(start_shared_collector: StartCollector) -> Collector:
    """A collector that tries once, and gives up soon."""
    return start_shared_collector(
        CRASHMOVER_MAX_ATTEMPTS="1", CRASHMOVER_SAVE_TIMEOUT="1s", CRASHMOVER_PUBLISH_TIMEOUT="1s"
    )


@contextmanager
def running_on_files(directory: Path, options: Mapping[str, str]) -> Iterator[Collector]:
    """Start a collector that keeps crashes in files."""
    server = AntennaServer(file_system_environment(directory) | dict(options), directory)
    try:
        server.wait_until_serving()
        yield Collector(server, DirectoryStore(directory / "crashes"), DirectoryQueue(directory / "queue"))
    finally:
        server.kill()


@pytest.fixture(scope="session")
def mozilla_collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """A collector with Mozilla's rules and products, which are the default, and no token for uploads."""
    directory = tmp_path_factory.mktemp("mozilla")
    (directory / "version.json").write_text(json.dumps(VERSION))
    options = {
        "BASEDIR": str(directory),
        "BREAKPAD_BODY_TIMEOUT": "1s",
        "BREAKPAD_THROTTLER_PRODUCTS": "",
        "BREAKPAD_THROTTLER_RULES": "",
    }
    with running_on_files(directory, options) as collector:
        yield collector


@pytest.fixture
def start_collector(
    start_server: StartServer, gcs_bucket: GcsBucket, pubsub_topic: PubSubTopic, proxies: Proxies
) -> StartCollector:
    """Function that starts a collector for this test alone, with additional options."""

    def start(**options: str) -> Collector:
        server = start_server(google_cloud_environment(gcs_bucket, pubsub_topic) | proxies.options | options)
        return Collector(server, gcs_bucket, pubsub_topic)

    return start


@pytest.fixture
def start_local_collector(start_server: StartServer, tmp_path: Path) -> StartCollector:
    """Function that starts a collector for this test alone, which keeps crashes in files, with additional options."""

    def start(**options: str) -> Collector:
        server = start_server(file_system_environment(tmp_path) | options)
        return Collector(server, DirectoryStore(tmp_path / "crashes"), DirectoryQueue(tmp_path / "queue"))

    return start
