# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""What the tools read: the objects of a storage, by prefix and by name."""

from collections.abc import Callable
from pathlib import Path

import pytest

from antenna.backend import BackendError, Deadline
from antenna.config import build_config
from antenna.ext.crashstorage_base import BINARY, CrashStorageBase, StoredObject
from antenna.ext.fs.crashstorage import FSCrashStorage
from antenna.ext.gcs.crashstorage import GcsCrashStorage

MakeStorage = Callable[[], CrashStorageBase]


@pytest.fixture(params=["fs", "gcs"])
def storage(request: pytest.FixtureRequest) -> CrashStorageBase:
    make: MakeStorage = request.getfixturevalue(f"make_{request.param}")
    return make()


@pytest.fixture
def make_fs(tmp_path: Path) -> MakeStorage:
    return lambda: FSCrashStorage(build_config({"FS_ROOT": str(tmp_path / "crashes")}))


@pytest.fixture
def make_gcs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> MakeStorage:
    bucket = request.getfixturevalue("gcs_bucket")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", bucket.emulator_url)
    return lambda: GcsCrashStorage(build_config({"BUCKET_NAME": bucket.name}))


def save(storage: CrashStorageBase, *paths: str) -> None:
    for path in paths:
        storage.save_object(StoredObject(path, BINARY, f"content of {path}".encode()), Deadline(10))


def test_lists_what_begins_with_a_prefix_in_order(storage: CrashStorageBase) -> None:
    save(storage, "v1/raw_crash/20261122/b", "v1/raw_crash/20261122/a", "v1/raw_crash/20261123/c", "v1/dump/a")
    assert list(storage.list_paths("v1/raw_crash/20261122/")) == ["v1/raw_crash/20261122/a", "v1/raw_crash/20261122/b"]
    assert list(storage.list_paths("v1/raw_crash/2026112")) == [
        "v1/raw_crash/20261122/a",
        "v1/raw_crash/20261122/b",
        "v1/raw_crash/20261123/c",
    ]
    assert len(list(storage.list_paths(""))) == 4


def test_lists_nothing_where_there_is_nothing(storage: CrashStorageBase) -> None:
    assert list(storage.list_paths("v1/raw_crash/20261122/")) == []


def test_loads_what_was_saved(storage: CrashStorageBase) -> None:
    save(storage, "v1/dump/a")
    assert storage.load("v1/dump/a") == b"content of v1/dump/a"


def test_loads_none_if_there_is_no_such_object(storage: CrashStorageBase) -> None:
    assert storage.load("v1/dump/a") is None


def test_a_file_that_is_being_written_is_not_listed(make_fs: MakeStorage, tmp_path: Path) -> None:
    storage = make_fs()
    save(storage, "v1/dump/a")
    (tmp_path / "crashes" / "v1" / "dump" / ".tmp-x").write_bytes(b"half")
    assert list(storage.list_paths("v1/")) == ["v1/dump/a"]


def test_a_bucket_that_is_not_there_is_an_error(make_gcs: MakeStorage) -> None:
    make_gcs()
    storage = GcsCrashStorage(build_config({"BUCKET_NAME": "no-such-bucket"}))
    with pytest.raises(BackendError, match="no-such-bucket"):
        list(storage.list_paths(""))


def test_what_cannot_be_read_is_an_error(make_fs: MakeStorage) -> None:
    storage = make_fs()
    save(storage, "v1/dump/a")
    with pytest.raises(BackendError, match="Is a directory"):
        storage.load("v1/dump")
