# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Fixtures: a collector between faulty proxies, on a machine whose disk and name service can fail."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from tests.faults.machine import Machine, build_library
from tests.faults.play import Emulators
from tests.support.collector import Collector
from tests.support.faulty import FaultyProxy
from tests.support.fixtures import StartServer
from tests.support.google_cloud import GcsBucket, PubSubTopic
from tests.support.server import AntennaServer, google_cloud_environment


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """The library that makes disk and name service fail. None if there is no C compiler."""
    return build_library(tmp_path_factory.mktemp("library"))


@pytest.fixture
def emulators(gcs_emulator: str, pubsub_emulator: str) -> Emulators:
    return Emulators(gcs_emulator, pubsub_emulator)


@contextmanager
def _machine(directory: Path, library: Path | None) -> Iterator[Machine]:
    if library is None:
        pytest.skip("no C compiler: disk and name service cannot be made to fail")
    with Machine(directory, library) as machine:
        yield machine


@pytest.fixture
def machine(library: Path | None, tmp_path: Path) -> Iterator[Machine]:
    with _machine(tmp_path / "disk", library) as machine:
        yield machine


def _environment(
    bucket: GcsBucket, topic: PubSubTopic, storage: FaultyProxy, publish: FaultyProxy, machine: Machine
) -> dict[str, str]:
    """Return the environment of a collector on the machine, between the proxies, with a spool."""
    return (
        google_cloud_environment(bucket, topic)
        | {
            # By name, so that it has to be looked up.
            "STORAGE_EMULATOR_HOST": f"http://localhost:{storage.port}",
            "PUBSUB_EMULATOR_HOST": f"localhost:{publish.port}",
            "CRASHMOVER_SAVE_TIMEOUT": "1s",
            "CRASHMOVER_PUBLISH_TIMEOUT": "500ms",
            "CRASHMOVER_SPOOL_DIR": str(machine.directory / "spool"),
        }
        | machine.environment
    )


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
    """Function that starts a collector for this test alone, with additional options."""
    environment = _environment(gcs_bucket, pubsub_topic, storage_proxy, publish_proxy, machine)

    def start(**options: str) -> Collector:
        return Collector(start_server(environment | options), gcs_bucket, pubsub_topic)

    return start


@dataclass(frozen=True)
class Setting:
    """A running collector, its machine, and the proxies before its backends."""

    collector: Collector
    machine: Machine
    storage: FaultyProxy
    publish: FaultyProxy

    def reset(self) -> None:
        """Make everything work."""
        self.machine.set_disk("pass")
        self.machine.set_names("pass")
        self.storage.reset()
        self.publish.reset()


@pytest.fixture(scope="module")
def shared_setting(
    gcs_emulator: str, pubsub_emulator: str, library: Path | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Setting]:
    directory = tmp_path_factory.mktemp("setting")
    bucket, topic = GcsBucket(gcs_emulator), PubSubTopic(pubsub_emulator)
    with (
        _machine(directory / "disk", library) as machine,
        FaultyProxy(int(gcs_emulator.rpartition(":")[2])) as storage,
        FaultyProxy(int(pubsub_emulator.rpartition(":")[2])) as publish,
    ):
        server = AntennaServer(_environment(bucket, topic, storage, publish, machine), directory)
        try:
            server.wait_until_serving()
            yield Setting(Collector(server, bucket, topic), machine, storage, publish)
        finally:
            server.kill()


@pytest.fixture
def setting(shared_setting: Setting) -> Iterator[Setting]:
    """A collector that the tests of a module share. Everything works at the beginning of a test."""
    shared_setting.reset()
    yield shared_setting
    shared_setting.reset()
    # pytest shows this if the test fails.
    print(shared_setting.collector.server.logs())
