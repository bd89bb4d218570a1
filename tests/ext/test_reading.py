# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Tools read the objects of a storage by prefix and by name."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import gevent
import pytest
import requests

from antenna.backend import BackendError
from antenna.config import build_config
from antenna.ext.crashstorage_base import CrashStorageBase
from antenna.ext.fs.crashstorage import FSCrashStorage
from antenna.ext.gcs.crashstorage import GcsCrashStorage
from tests.support.google_cloud import TIMEOUT_SECONDS, GcsBucket
from tests.support.odd_things import make_odd_thing


@dataclass
class Filled:
    """A storage, and the way by which the test puts objects there."""

    storage: CrashStorageBase
    put_one: Callable[[str, bytes], None]

    def put(self, *paths: str) -> None:
        for path in paths:
            self.put_one(path, f"content of {path}".encode())


@pytest.fixture(params=["fs", "gcs"])
def filled(request: pytest.FixtureRequest) -> Filled:
    value: Filled = request.getfixturevalue(request.param)
    return value


@pytest.fixture
def fs(tmp_path: Path) -> Filled:
    def put_one(path: str, content: bytes) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)

    return Filled(FSCrashStorage(build_config({"FS_ROOT": str(tmp_path)})), put_one)


@pytest.fixture
def gcs(gcs_bucket: GcsBucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Filled]:
    url = f"{gcs_bucket.emulator_url}/upload/storage/v1/b/{gcs_bucket.name}/o"

    def put_one(path: str, content: bytes) -> None:
        parameters = {"uploadType": "media", "name": path}
        requests.post(url, params=parameters, data=content, timeout=TIMEOUT_SECONDS).raise_for_status()

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_bucket.emulator_url)
    storage = GcsCrashStorage(build_config({"BUCKET_NAME": gcs_bucket.name}))
    yield Filled(storage, put_one)
    storage.client.close()


def test_lists_what_begins_with_a_prefix_in_order(filled: Filled) -> None:
    filled.put("v1/raw_crash/20261122/b", "v1/raw_crash/20261122/a", "v1/raw_crash/20261123/c", "v1/dump/a")
    list_paths = filled.storage.list_paths
    assert list(list_paths("v1/raw_crash/20261122/")) == ["v1/raw_crash/20261122/a", "v1/raw_crash/20261122/b"]
    assert list(list_paths("v1/raw_crash/2026112")) == [
        "v1/raw_crash/20261122/a",
        "v1/raw_crash/20261122/b",
        "v1/raw_crash/20261123/c",
    ]
    assert len(list(list_paths(""))) == 4


def test_lists_nothing_where_there_is_nothing(filled: Filled) -> None:
    assert list(filled.storage.list_paths("v1/raw_crash/20261122/")) == []


def test_loads_the_content_of_an_object(filled: Filled) -> None:
    filled.put("v1/dump/a")
    assert filled.storage.load("v1/dump/a") == b"content of v1/dump/a"


# No object can have the second name. A damaged list of dump names may have it.
@pytest.mark.parametrize("path", ["v1/dump/a", "v1/\ud800/a"])
def test_loads_none_if_there_is_no_such_object(filled: Filled, path: str) -> None:
    assert filled.storage.load(path) is None


def test_a_file_that_is_being_written_is_not_listed(fs: Filled) -> None:
    fs.put("v1/dump/a", "v1/dump/.tmp-x")
    assert list(fs.storage.list_paths("v1/")) == ["v1/dump/a"]


def test_a_file_that_cannot_be_read_is_an_error(fs: Filled) -> None:
    fs.put("v1/dump/a")
    with pytest.raises(BackendError, match="is a directory, and should be a file"):
        fs.storage.load("v1/dump")


def test_a_bucket_that_is_not_there_is_an_error(gcs_emulator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_emulator)
    storage = GcsCrashStorage(build_config({"BUCKET_NAME": "no-such-bucket"}))
    with pytest.raises(BackendError, match="no-such-bucket"):
        list(storage.list_paths(""))
    storage.client.close()


@pytest.mark.parametrize("thing", ["directory", "FIFO", "socket", "link to a directory", "link to itself", "device"])
def test_what_is_no_file_is_an_error_and_not_waited_for(tmp_path: Path, thing: str) -> None:
    make_odd_thing(tmp_path / "odd", thing)
    storage = FSCrashStorage(build_config({"FS_ROOT": str(tmp_path)}))

    with gevent.Timeout(10), pytest.raises(BackendError, match="odd: "):
        storage.load("odd")
