# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Fixtures: a collector between faulty proxies, on a machine whose disk and name service can fail."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.faults.machine import Machine, build_library
from tests.faults.play import Emulators
from tests.support.collector import Collector
from tests.support.faulty import FaultyProxy
from tests.support.fixtures import StartServer
from tests.support.google_cloud import GcsBucket, PubSubTopic
from tests.support.server import google_cloud_environment


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """The library that makes disk and name service fail. None if there is no C compiler."""
    return build_library(tmp_path_factory.mktemp("library"))


@pytest.fixture
def emulators(gcs_emulator: str, pubsub_emulator: str) -> Emulators:
    return Emulators(gcs_emulator, pubsub_emulator)


@pytest.fixture
def machine(library: Path | None, tmp_path: Path) -> Iterator[Machine]:
    if library is None:
        pytest.skip("no C compiler: disk and name service cannot be made to fail")
    with Machine(tmp_path / "disk", library) as machine:
        yield machine


class StartCollector(Protocol):
    def __call__(self, **options: str) -> Collector: ...


@pytest.fixture
def start_collector(
    start_server: StartServer,
    gcs_bucket: GcsBucket,
    pubsub_topic: PubSubTopic,
    storage_proxy: FaultyProxy,
    publish_proxy: FaultyProxy,
    machine: Machine,
) -> StartCollector:
    """Function that starts a collector on the machine, between the proxies, with a spool."""

    def start(**options: str) -> Collector:
        environment = google_cloud_environment(gcs_bucket, pubsub_topic) | {
            # By name, so that it has to be looked up.
            "STORAGE_EMULATOR_HOST": f"http://localhost:{storage_proxy.port}",
            "PUBSUB_EMULATOR_HOST": f"localhost:{publish_proxy.port}",
            "CRASHMOVER_SAVE_TIMEOUT": "1s",
            "CRASHMOVER_PUBLISH_TIMEOUT": "500ms",
            "CRASHMOVER_SPOOL_DIR": str(machine.directory / "spool"),
        }
        server = start_server(environment | machine.environment | options)
        return Collector(server, gcs_bucket, pubsub_topic)

    return start
