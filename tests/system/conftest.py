# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Collectors to test: one that most tests share, and others with an environment of their own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.faulty import FaultyProxy
from tests.fixtures import StartServer
from tests.google_cloud import GcsBucket, PubSubTopic
from tests.server import AntennaServer, file_system_environment, google_cloud_environment
from tests.statsd import StatsdSink
from tests.system.collector import Collector, DirectoryQueue, DirectoryStore

TOKEN = "test-token"  # the one in socorro-submitter-multipart-gzip
STATSD_NAMESPACE = "collector.prod"

HOUSE_RULES = {
    "PYTHONPATH": str(Path(__file__).parent / "rules"),
    "BREAKPAD_THROTTLER_RULES": "house_rules.RULES",
}


@pytest.fixture(scope="session")
def statsd() -> Iterator[StatsdSink]:
    """Metrics of the shared collector."""
    with StatsdSink() as sink:
        yield sink


@pytest.fixture(scope="session")
def collector(
    gcs_emulator: str, pubsub_emulator: str, statsd: StatsdSink, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Collector]:
    """The collector as in production, with house rules; shared, so tests look at their own crashes only."""
    bucket, topic = GcsBucket(gcs_emulator), PubSubTopic(pubsub_emulator)
    environment = (
        google_cloud_environment(bucket, topic)
        | HOUSE_RULES
        | {
            "BREAKPAD_STAGE_SUBMITTER_BEARER_TOKEN": TOKEN,
            "STATSD_HOST": "127.0.0.1",
            "STATSD_PORT": str(statsd.port),
            "STATSD_NAMESPACE": STATSD_NAMESPACE,
        }
    )
    server = AntennaServer(environment, tmp_path_factory.mktemp("collector"))
    try:
        server.wait_until_serving()
        yield Collector(server, bucket, topic)
    finally:
        server.kill()


@pytest.fixture
def start_collector(start_server: StartServer, gcs_bucket: GcsBucket, pubsub_topic: PubSubTopic) -> "StartCollector":
    """Function that starts a collector on the emulators, with more options."""

    def start(**options: str) -> Collector:
        server = start_server(google_cloud_environment(gcs_bucket, pubsub_topic) | options)
        return Collector(server, gcs_bucket, pubsub_topic)

    return start


class StartCollector(Protocol):
    def __call__(self, **options: str) -> Collector: ...


@pytest.fixture
def storage_proxy(gcs_emulator: str) -> Iterator[FaultyProxy]:
    """What stands between a collector and the storage, if it was started with ``behind(storage=...)``."""
    with FaultyProxy(int(gcs_emulator.rpartition(":")[2])) as proxy:
        yield proxy


@pytest.fixture
def publish_proxy(pubsub_emulator: str) -> Iterator[FaultyProxy]:
    """What stands between a collector and the topic, if it was started with ``behind(publish=...)``."""
    with FaultyProxy(int(pubsub_emulator.rpartition(":")[2])) as proxy:
        yield proxy


def behind(*, storage: FaultyProxy | None = None, publish: FaultyProxy | None = None) -> dict[str, str]:
    """Return the options that lead a collector through these proxies."""
    options = {}
    if storage is not None:
        options["STORAGE_EMULATOR_HOST"] = f"http://{storage.address}"
    if publish is not None:
        options["PUBSUB_EMULATOR_HOST"] = publish.address
    return options


@pytest.fixture
def start_local_collector(start_server: StartServer, tmp_path: Path) -> StartCollector:
    """Function that starts a collector that keeps crashes in files, with more options."""

    def start(**options: str) -> Collector:
        server = start_server(file_system_environment(tmp_path) | options)
        return Collector(server, DirectoryStore(tmp_path / "crashes"), DirectoryQueue(tmp_path / "queue"))

    return start
