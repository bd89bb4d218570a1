# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""An object counts as stored when the bucket has confirmed its checksum, and no failure lasts beyond the deadline."""

import time

import pytest

from antenna.backend import BackendConfigurationError, BackendDenied, BackendError, CrashRefused, Deadline
from antenna.ext.crashstorage_base import BINARY, JSON, StoredObject
from antenna.ext.gcs.crashstorage import GcsCrashStorage
from tests.ext.conftest import OpenBucket
from tests.support.faulty import HALF_ANSWER, HALF_REQUEST, HANG, LOST_ANSWER, PASS, REFUSE, RESET, Fault, FaultyProxy
from tests.support.google_cloud import GcsBucket

NAME = "v1/dump/de1bb258-cbbf-4589-a673-34f800160918"
DUMP = StoredObject(NAME, BINARY, b"MDMP" * 1000)


def save(storage: GcsCrashStorage, seconds: float = 5.0, item: StoredObject = DUMP) -> None:
    storage.save_object(item, Deadline(seconds))


@pytest.mark.parametrize(
    ("path", "content_type", "content"),
    [
        ("v1/dump/a", BINARY, b""),
        ("v1/dump_names/a", JSON, b"[]"),
        ("with space/and?/%2F/#", JSON, b"{}"),
        ("v1/dump/b", BINARY, bytes(9 * 1024 * 1024)),
    ],
)
def test_stored_under_its_name_with_its_type(
    gcs_storage: GcsCrashStorage, gcs_bucket: GcsBucket, path: str, content_type: str, content: bytes
) -> None:
    save(gcs_storage, item=StoredObject(path, content_type, content))

    assert gcs_bucket.object_names() == [path]
    assert gcs_bucket.read(path) == content
    assert gcs_bucket.content_type(path) == content_type


def other_checksum(answer: bytes) -> bytes:
    before, found, after = answer.partition(b'"crc32c":"')
    return before + found + b"AAA" + after[3:] if found else answer


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        (Fault(status=400), CrashRefused, "status 400"),
        (Fault(status=413), CrashRefused, "status 413"),
        (Fault(status=401), BackendDenied, "status 401"),
        (Fault(status=403, body=b"not yours"), BackendDenied, "status 403: not yours"),
        (Fault(status=404), BackendDenied, "status 404"),
        (Fault(status=408), BackendError, "status 408"),
        (Fault(status=429), BackendError, "status 429"),
        (Fault(status=500), BackendError, "status 500"),
        (Fault(status=503), BackendError, "status 503"),
        (Fault(status=302), BackendError, "status 302"),
        (Fault(status=200, body=b"<html>"), BackendError, "not JSON"),
        (Fault(status=200, body=b"[]"), BackendError, "not a JSON object"),
        (Fault(status=200, body=b"{}"), BackendError, "checksum"),
        (Fault(alter=other_checksum), BackendError, "checksum"),
        (REFUSE, BackendError, "refused"),
        (RESET, BackendError, "reset"),
        (HALF_REQUEST, BackendError, "reset"),
        (HALF_ANSWER, BackendError, "reset"),
        (LOST_ANSWER, BackendError, "reset"),
    ],
)
def test_failures_are_told_apart(
    gcs_storage: GcsCrashStorage, storage_proxy: FaultyProxy, fault: Fault, error: type[Exception], says: str
) -> None:
    storage_proxy.fault = fault
    with pytest.raises(error, match=says) as raised:
        save(gcs_storage)
    assert isinstance(raised.value, BackendDenied) == (error is BackendDenied)

    storage_proxy.fault = PASS
    save(gcs_storage)


def test_place(gcs_storage: GcsCrashStorage, storage_proxy: FaultyProxy) -> None:
    assert gcs_storage.place == f"bucket {gcs_storage.bucket_name} at http://{storage_proxy.address}"


def test_hanging_bucket_costs_the_deadline(gcs_storage: GcsCrashStorage, storage_proxy: FaultyProxy) -> None:
    storage_proxy.fault = HANG
    start = time.monotonic()
    with pytest.raises(BackendError):
        save(gcs_storage, seconds=0.2)

    assert time.monotonic() - start < 2


def test_after_the_deadline_nothing_is_sent(gcs_storage: GcsCrashStorage, storage_proxy: FaultyProxy) -> None:
    with pytest.raises(BackendError, match="out of time"):
        save(gcs_storage, seconds=0)

    assert storage_proxy.exchanges == []


def test_connection_that_was_closed_while_idle_is_no_failure(
    gcs_storage: GcsCrashStorage, storage_proxy: FaultyProxy
) -> None:
    for _ in range(3):
        save(gcs_storage)
        storage_proxy.reset_connections()


def test_a_kept_connection_has_the_time_of_each_request(
    gcs_storage: GcsCrashStorage, storage_proxy: FaultyProxy
) -> None:
    save(gcs_storage, seconds=0.5)
    storage_proxy.fault = Fault(delay=0.6)

    save(gcs_storage, seconds=10)


def test_bucket_that_is_not_there(open_bucket: OpenBucket) -> None:
    storage = open_bucket("no-such-bucket")

    with pytest.raises(BackendConfigurationError, match="cannot write to bucket no-such-bucket: status 404"):
        storage.verify()
    with pytest.raises(BackendError, match="status 404"):
        storage.check_health()


def test_forbidden_bucket_is_told_from_one_that_is_away(
    gcs_storage: GcsCrashStorage, storage_proxy: FaultyProxy
) -> None:
    storage_proxy.fault = Fault(status=403)
    with pytest.raises(BackendConfigurationError, match="status 403"):
        gcs_storage.verify()

    for fault in (REFUSE, Fault(status=503)):
        storage_proxy.fault = fault
        with pytest.raises(BackendError):
            gcs_storage.verify()
        with pytest.raises(BackendError):
            gcs_storage.check_health()
