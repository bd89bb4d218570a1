# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""In buckets in which nothing may be replaced, a start and lost answers do no harm."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from antenna.backend import BackendConfigurationError, BackendDenied, BackendError, CrashRefused, Deadline
from antenna.config import build_config
from antenna.crash.report import Dump
from antenna.ext.crashstorage_base import BINARY, JSON, StoredObject
from antenna.ext.gcs.crashstorage import GcsCrashStorage
from tests.support.crashes import make_buffer, make_report
from tests.support.strict_bucket import REFUSALS, StrictBucket

NAME = "v1/dump/de1bb258-cbbf-4589-a673-34f800160918"
SMALL = StoredObject(NAME, JSON, b'{"ProductName": "Firefox"}')

OpenStorage = Callable[[StrictBucket], GcsCrashStorage]


@pytest.fixture
def open_storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenStorage]:
    """Function that returns a storage in a bucket, as another process would have it."""
    with ExitStack() as opened:

        def open_storage(bucket: StrictBucket) -> GcsCrashStorage:
            monkeypatch.setenv("STORAGE_EMULATOR_HOST", bucket.url)
            storage = GcsCrashStorage(build_config({"BUCKET_NAME": "crashes"}))
            opened.callback(storage.close)
            return storage

        yield open_storage


def save(storage: GcsCrashStorage, item: StoredObject = SMALL) -> None:
    storage.save_object(item, Deadline(5))


def dump_object(content: bytes) -> StoredObject:
    return StoredObject(NAME, BINARY, Dump("upload_file_minidump", make_buffer(content), "md5"))


class TestLostAnswer:
    """If an upload was stored but its answer was lost, the crash counts as saved when the upload is repeated."""

    @pytest.mark.parametrize(
        ("refusal", "item"),
        [
            *(pytest.param(refusal, dump_object(b"MDMP"), id=f"{refusal}, small") for refusal in REFUSALS),
            pytest.param("retention", SMALL, id="retention, json"),
            pytest.param("retention", dump_object(bytes(1_000_000)), id="retention, large"),
        ],
    )
    @pytest.mark.parametrize("may_read", [True, False])
    def test_the_next_attempt_finds_the_object(
        self, open_storage: OpenStorage, refusal: str, item: StoredObject, may_read: bool
    ) -> None:
        with StrictBucket(refusal) as bucket:
            bucket.may_read = may_read
            bucket.lost_answers = 1
            storage = open_storage(bucket)
            with pytest.raises(BackendError, match="RemoteDisconnected"):
                save(storage, item)

            save(storage, item)

            assert bucket.objects == {NAME: b"".join(item.pieces())}

    @pytest.mark.parametrize("may_read", [True, False])
    def test_so_does_the_repeat_on_another_connection(self, open_storage: OpenStorage, may_read: bool) -> None:
        with StrictBucket("retention") as bucket:
            bucket.may_read = may_read
            storage = open_storage(bucket)
            save(storage, StoredObject("v1/dump_names/x", JSON, b"[]"))
            bucket.lost_answers = 1

            save(storage)

            assert bucket.uploads == ["v1/dump_names/x", NAME, NAME]

    @pytest.mark.parametrize("may_read", [True, False])
    def test_a_crash_is_saved_however_many_answers_are_lost(self, open_storage: OpenStorage, may_read: bool) -> None:
        """Each attempt sends all objects again, also those that were confirmed."""
        with (
            StrictBucket("retention") as bucket,
            make_report({"upload_file_minidump": b"MDMP", "browser": b"x"}) as crash,
        ):
            bucket.may_read = may_read
            storage = open_storage(bucket)
            storage.verify()
            for _ in range(2):
                bucket.lost_answers = 1
                with contextlib.suppress(BackendError):
                    storage.save_crash(crash, Deadline(5))

            storage.save_crash(crash, Deadline(5))

            assert len([name for name in bucket.objects if name.startswith("v1/")]) == 4

    @pytest.mark.parametrize("refusal", REFUSALS)
    def test_so_does_another_process(self, open_storage: OpenStorage, refusal: str) -> None:
        with StrictBucket(refusal) as bucket:
            save(open_storage(bucket))

            save(open_storage(bucket))

    @pytest.mark.parametrize("refusal", REFUSALS)
    def test_another_object_of_the_name_is_not_taken_for_it(self, open_storage: OpenStorage, refusal: str) -> None:
        with StrictBucket(refusal) as bucket:
            bucket.objects[NAME] = b"of somebody else"

            with pytest.raises(CrashRefused, match="another object is there"):
                save(open_storage(bucket))

            assert bucket.objects == {NAME: b"of somebody else"}

    def test_what_never_arrived_is_not_taken_for_saved(self, open_storage: OpenStorage) -> None:
        """The answer to one upload is lost. The next upload is refused, and nothing can be read."""
        with StrictBucket() as bucket:
            bucket.may_create = bucket.may_read = False
            bucket.lost_answers = 1
            storage = open_storage(bucket)

            for error in (BackendError, BackendDenied, BackendDenied):
                with pytest.raises(error):
                    save(storage)

    def test_bucket_that_denies_writes_is_not_healthy(self, open_storage: OpenStorage) -> None:
        """It can still be listed."""
        with StrictBucket() as bucket:
            storage = open_storage(bucket)
            storage.check_health()
            bucket.may_create = False

            with pytest.raises(BackendDenied, match=r"no permission storage\.objects\.create"):
                storage.check_health()

    def test_unreadable_object_that_this_process_has_not_sent_is_not_taken_for_it(
        self, open_storage: OpenStorage
    ) -> None:
        with StrictBucket("retention") as bucket:
            bucket.may_read = False
            save(open_storage(bucket))

            with pytest.raises(BackendDenied, match="retention policy"):
                save(open_storage(bucket))

    def test_denied_permission_stays_an_error(self, open_storage: OpenStorage) -> None:
        with StrictBucket() as bucket:
            bucket.may_create = False

            with pytest.raises(BackendDenied, match=r"storage\.objects\.create"):
                save(open_storage(bucket))


class TestStart:
    """A start proves that the bucket can be written to, with an object of its own."""

    @pytest.mark.parametrize("refusal", [None, *REFUSALS])
    def test_may_happen_as_often_as_one_likes(self, open_storage: OpenStorage, refusal: str | None) -> None:
        with StrictBucket(refusal) as bucket:
            for _ in range(5):
                open_storage(bucket).verify()

            assert len(bucket.objects) == 5
            assert all(name.startswith("test/") for name in bucket.objects)

    def test_with_a_lost_answer_succeeds_the_next_time(self, open_storage: OpenStorage) -> None:
        with StrictBucket("retention") as bucket:
            bucket.lost_answers = 1
            storage = open_storage(bucket)
            with pytest.raises(BackendError):
                storage.verify()

            storage.verify()

    @pytest.mark.parametrize("refused", ["429", "412"])
    def test_that_is_too_much_for_the_bucket_goes_on(
        self, open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch, refused: str
    ) -> None:
        with StrictBucket() as bucket:
            refusal = {"429": (429, "rateLimitExceeded", "slow down"), "412": REFUSALS["precondition"]}[refused]
            monkeypatch.setattr(bucket, "refuse", lambda _: refusal)

            open_storage(bucket).verify()

            assert bucket.objects == {}

    def test_without_permission_is_refused(self, open_storage: OpenStorage) -> None:
        with StrictBucket() as bucket:
            bucket.may_create = False

            with pytest.raises(BackendConfigurationError, match=r"cannot write to bucket crashes: status 403.*create"):
                open_storage(bucket).verify()

    def test_is_the_only_one_that_writes(self, open_storage: OpenStorage) -> None:
        with StrictBucket() as bucket:
            storage = open_storage(bucket)
            for _ in range(3):
                storage.check_health()

            assert bucket.uploads == []
