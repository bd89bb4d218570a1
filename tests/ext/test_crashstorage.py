# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The objects of a crash are the same bytes in every storage, because processors rely on them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from antenna.backend import BackendError, BackendFailure, Deadline
from antenna.crash.report import CrashReport, Dump
from antenna.ext.crashstorage_base import CrashStorageBase, StoredObject
from tests.support.crashes import make_buffer, make_report
from tests.support.faulty import PASS, REFUSE, FaultyProxy
from tests.support.google_cloud import GcsBucket

CRASH_ID = "de1bb258-cbbf-4589-a673-34f800160918"

RAW_CRASH = (
    b'{"BuildID": "20261103151912", "Notes": "na\\u00efve", "ProductName": "Firefox", "Throttleable": 1, '
    b'"metadata": {"collector_notes": ["Removed Email from raw crash."], '
    b'"dump_checksums": {"memory_report": "d41d8cd98f00b204e9800998ecf8427e", '
    b'"upload_file_minidump": "19aa7d6d0ab645364d4f07ea8f6ccaaa"}, '
    b'"payload": "json", "payload_compressed": "1", "payload_size": 1234, "throttle_rule": "accept_everything", '
    b'"user_agent": "None"}, "submitted_timestamp": "2016-09-18T23:59:59.000000+00:00", '
    b'"uuid": "de1bb258-cbbf-4589-a673-34f800160918", "version": 2}'
)

GOLDEN = {
    f"v1/raw_crash/20160918/{CRASH_ID}": RAW_CRASH,
    f"v1/dump_names/{CRASH_ID}": b'["memory_report", "upload_file_minidump"]',
    f"v1/dump/{CRASH_ID}": b"MDMP\x93\xa7\0",
    f"v1/memory_report/{CRASH_ID}": b"",
}

ReadAll = Callable[[], dict[str, bytes]]


@pytest.fixture(params=["gcs", "fs"])
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def storage(request: pytest.FixtureRequest, backend: str) -> CrashStorageBase:
    storage: CrashStorageBase = request.getfixturevalue(f"{backend}_storage")
    return storage


@pytest.fixture
def read_all(request: pytest.FixtureRequest, backend: str, tmp_path: Path) -> ReadAll:
    """Function that returns the content of all stored objects by their names.

    It does not use the storage's own code.
    """
    if backend == "fs":
        root = tmp_path / "crashes"
        return lambda: {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    bucket: GcsBucket = request.getfixturevalue("gcs_bucket")
    return lambda: {name: bucket.read(name) for name in bucket.object_names()}


def golden_report() -> CrashReport:
    report = CrashReport(
        annotations={"Throttleable": 1, "ProductName": "Firefox", "Notes": "naïve", "BuildID": "20261103151912"},
        notes=["Removed Email from raw crash."],
        payload="json",
        payload_compressed=True,
        payload_size=1234,
        submitted=datetime(2016, 9, 18, 23, 59, 59, tzinfo=UTC),
        crash_id=CRASH_ID,
        throttle_rule="accept_everything",
    )
    for name, content in (("upload_file_minidump", b"MDMP\x93\xa7\0"), ("memory_report", b"")):
        report.dumps[name] = Dump(name, make_buffer(content), "md5")
    return report


def test_golden(storage: CrashStorageBase, read_all: ReadAll) -> None:
    storage.save_crash(golden_report(), Deadline(10))

    assert read_all() == GOLDEN


def test_a_crash_saved_again_ends_in_the_same_objects(storage: CrashStorageBase, read_all: ReadAll) -> None:
    for _ in range(3):
        storage.save_crash(golden_report(), Deadline(10))

    assert read_all() == GOLDEN


def test_what_a_failed_attempt_left_is_replaced(storage: CrashStorageBase, read_all: ReadAll) -> None:
    for name in GOLDEN:
        storage.save_object(StoredObject(name, "text/plain", b"other" * 1000), Deadline(10))

    storage.save_crash(golden_report(), Deadline(10))

    assert read_all() == GOLDEN


@pytest.mark.parametrize("in_file", [False, True])
def test_big_dump(storage: CrashStorageBase, read_all: ReadAll, tmp_path: Path, in_file: bool) -> None:
    content = bytes(range(256)) * 46_875
    with make_report({"upload_file_minidump": content}, directory=tmp_path if in_file else None) as report:
        storage.save_crash(report, Deadline(10))

        assert read_all()[f"v1/dump/{report.crash_id}"] == content


def test_report_without_dumps_has_the_list_of_their_names(storage: CrashStorageBase, read_all: ReadAll) -> None:
    with make_report({}) as report:
        storage.save_crash(report, Deadline(10))

        assert [name.split("/")[1] for name in sorted(read_all())] == ["dump_names", "raw_crash"]
        assert read_all()[f"v1/dump_names/{report.crash_id}"] == b"[]"


class FailingStorage(CrashStorageBase):
    """Stores the objects that it is told to store, and fails for all others."""

    def __init__(self, takes: Callable[[str], bool]) -> None:
        self.stored: list[str] = []
        self._takes = takes

    def save_object(self, item: StoredObject, deadline: Deadline) -> None:
        if not self._takes(item.path):
            raise BackendError("broken")
        self.stored.append(item.path)


@pytest.mark.parametrize("missing", [name for name in GOLDEN if "raw_crash" not in name])
def test_the_raw_crash_is_not_stored_unless_all_else_is(missing: str) -> None:
    storage = FailingStorage(lambda path: path != missing)

    with pytest.raises(BackendError, match="broken"):
        storage.save_crash(golden_report(), Deadline(10))

    assert set(storage.stored) == {name for name in GOLDEN if "raw_crash" not in name} - {missing}


@contextmanager
def outage(request: pytest.FixtureRequest, backend: str, tmp_path: Path) -> Iterator[None]:
    """Make the storage fail in the block: a file is where its directory was, or its bucket refuses connections."""
    if backend == "fs":
        (tmp_path / "crashes").touch()
        yield
        (tmp_path / "crashes").unlink()
        return
    proxy: FaultyProxy = request.getfixturevalue("storage_proxy")
    proxy.fault = REFUSE
    yield
    proxy.fault = PASS


def test_both_checks_fail_during_an_outage_only(
    request: pytest.FixtureRequest, storage: CrashStorageBase, backend: str, tmp_path: Path
) -> None:
    with outage(request, backend, tmp_path):
        with pytest.raises(BackendFailure):
            storage.verify()
        with pytest.raises(BackendError):
            storage.check_health()

    storage.verify()
    storage.check_health()
