# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Backends on files, and on the emulators behind a proxy that fails when a test says so."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from antenna.config import build_config
from antenna.ext.fs.crashpublish import FSCrashPublish
from antenna.ext.fs.crashstorage import FSCrashStorage
from antenna.ext.gcs.crashstorage import GcsCrashStorage
from antenna.ext.pubsub.crashpublish import PubSubCrashPublish
from tests.support.faulty import FaultyProxy
from tests.support.google_cloud import GcsBucket, PubSubTopic

OpenBucket = Callable[[str], GcsCrashStorage]
OpenTopic = Callable[[str], PubSubCrashPublish]


@pytest.fixture
def open_bucket(storage_proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenBucket]:
    """Function that returns the storage in a bucket, through ``storage_proxy``."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://{storage_proxy.address}")
    with ExitStack() as opened:

        def open_bucket(name: str) -> GcsCrashStorage:
            storage = GcsCrashStorage(build_config({"BUCKET_NAME": name}))
            opened.callback(storage.close)
            return storage

        yield open_bucket


@pytest.fixture
def open_topic(publish_proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenTopic]:
    """Function that returns the publisher on a topic, through ``publish_proxy``."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", publish_proxy.address)
    with ExitStack() as opened:

        def open_topic(name: str) -> PubSubCrashPublish:
            publisher = PubSubCrashPublish(build_config({"PROJECT_ID": "test", "TOPIC_NAME": name, "TIMEOUT": "1s"}))
            opened.callback(publisher.close)
            return publisher

        yield open_topic


@pytest.fixture
def gcs_storage(gcs_bucket: GcsBucket, open_bucket: OpenBucket) -> GcsCrashStorage:
    """A storage in ``gcs_bucket``, through ``storage_proxy``."""
    return open_bucket(gcs_bucket.name)


@pytest.fixture
def pubsub(pubsub_topic: PubSubTopic, open_topic: OpenTopic) -> PubSubCrashPublish:
    """A publisher on ``pubsub_topic``, through ``publish_proxy``."""
    return open_topic(pubsub_topic.name)


@pytest.fixture
def fs_storage(tmp_path: Path) -> FSCrashStorage:
    """A storage below ``crashes`` in ``tmp_path``."""
    return FSCrashStorage(build_config({"FS_ROOT": str(tmp_path / "crashes")}))


@pytest.fixture
def fs_publish(tmp_path: Path) -> FSCrashPublish:
    """A publisher to ``queue`` in ``tmp_path``."""
    return FSCrashPublish(build_config({"FS_ROOT": str(tmp_path / "queue")}))
