# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The file system's storage and queue: each crash and each id appears completely or not at all."""

import os
import resource
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import gevent
import pytest

from antenna.backend import BackendConfigurationError, BackendError, Deadline, NoAnswer
from antenna.config import build_config
from antenna.crash.buffer import StoredFile
from antenna.crash.report import Dump
from antenna.ext.crashstorage_base import BINARY, StoredObject
from antenna.ext.fs.crashpublish import FSCrashPublish
from antenna.ext.fs.crashstorage import FSCrashStorage
from antenna.files import replace_file
from antenna.hub import run_blocking
from tests.support.crashes import make_id, make_report


@pytest.fixture
def full_disk() -> Iterator[None]:
    """A disk on which no file can have more than 100 kB."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@pytest.mark.usefixtures("full_disk")
def test_what_does_not_fit_leaves_what_was_there(fs_storage: FSCrashStorage) -> None:
    fs_storage.save_object(StoredObject("v1/dump/a", BINARY, b"old"), Deadline(10))

    with pytest.raises(BackendError, match="File too large"):
        fs_storage.save_object(StoredObject("v1/dump/a", BINARY, bytes(200_000)), Deadline(10))

    assert files(fs_storage.root) == ["v1/dump/a"]
    assert fs_storage.load("v1/dump/a") == b"old"


@pytest.mark.usefixtures("full_disk")
def test_a_crash_whose_dump_does_not_fit_has_no_raw_crash(fs_storage: FSCrashStorage) -> None:
    report = make_report({"upload_file_minidump": bytes(200_000), "other": b"fits"})

    with pytest.raises(BackendError):
        fs_storage.save_crash(report, Deadline(10))

    assert files(fs_storage.root) == [f"v1/dump_names/{report.crash_id}", f"v1/other/{report.crash_id}"]


def test_queue_has_the_oldest_first_and_each_time_an_id_was_published(fs_publish: FSCrashPublish) -> None:
    crash_ids = [make_id() for _ in range(20)]
    crash_ids += crash_ids[:3]
    for crash_id in crash_ids:
        fs_publish.publish_crash(crash_id, Deadline(10))

    assert [(fs_publish.root / name).read_text() for name in files(fs_publish.root)] == crash_ids


@pytest.mark.parametrize("above", ["", "of/what/is/not/there/yet"])
def test_start_makes_the_directories(tmp_path: Path, above: str) -> None:
    root = tmp_path / above / "made"
    for backend in (FSCrashStorage, FSCrashPublish):
        made = backend(build_config({"FS_ROOT": str(root)}))
        made.verify()
        made.check_health()

    assert list(root.iterdir()) == []


@pytest.mark.parametrize("backend", [FSCrashStorage, FSCrashPublish])
def test_directory_that_cannot_be_used(tmp_path: Path, backend: type[FSCrashStorage] | type[FSCrashPublish]) -> None:
    (tmp_path / "file").touch()
    broken = backend(build_config({"FS_ROOT": str(tmp_path / "file" / "crashes")}))

    with pytest.raises(BackendConfigurationError, match=str(tmp_path)):
        broken.verify()
    with pytest.raises(BackendError, match=str(tmp_path)):
        broken.check_health()


def test_backends_that_cannot_be_used_raise_errors_of_backends(
    tmp_path: Path, fs_storage: FSCrashStorage, fs_publish: FSCrashPublish
) -> None:
    (tmp_path / "crashes").touch()
    (tmp_path / "queue").touch()

    with pytest.raises(BackendError):
        fs_storage.save_crash(make_report(), Deadline(10))
    with pytest.raises(BackendError):
        fs_publish.publish_crash(make_id(), Deadline(10))


@pytest.mark.parametrize("backend", [FSCrashStorage, FSCrashPublish])
def test_directory_that_goes_away(tmp_path: Path, backend: type[FSCrashStorage] | type[FSCrashPublish]) -> None:
    healthy = backend(build_config({"FS_ROOT": str(tmp_path / "crashes")}))
    healthy.verify()
    healthy.check_health()
    healthy.root.rmdir()

    with pytest.raises(BackendError):
        healthy.check_health()


def test_places_are_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    config = build_config({"FS_ROOT": "crashes"})

    assert FSCrashStorage(config).place == FSCrashPublish(config).place == str(tmp_path / "crashes")


class TestHang:
    """If a file system hangs, a crash waits until its deadline and no longer.

    A network file system hangs when its server is gone.
    """

    @pytest.fixture
    def let_go(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
        """An event. Writes hang until it is set."""
        event = threading.Event()

        def hang(path: Path, pieces: Iterable[bytes]) -> None:
            event.wait(20)
            replace_file(path, pieces)

        monkeypatch.setattr("antenna.ext.fs.directory.replace_file", hang)
        yield event
        event.set()

    def test_leaves_the_threads_of_others_alone(
        self, fs_storage: FSCrashStorage, fs_publish: FSCrashPublish, let_go: threading.Event
    ) -> None:
        saves = [gevent.spawn(fs_storage.save_crash, make_report(), Deadline(0.3)) for _ in range(30)]
        publish = gevent.spawn(fs_publish.publish_crash, make_id(), Deadline(0.3))
        greenlets: list[gevent.Greenlet[..., None]] = [*saves, publish]
        gevent.sleep(0.1)
        with gevent.Timeout(1):
            assert run_blocking(os.getpid) == os.getpid()

        gevent.joinall(greenlets, timeout=2)
        assert {type(greenlet.exception) for greenlet in greenlets} == {NoAnswer}

        let_go.set()
        report = make_report()
        fs_storage.save_crash(report, Deadline(10))
        assert f"v1/raw_crash/20{report.crash_id[-6:]}/{report.crash_id}" in files(fs_storage.root)

    def test_what_is_written_late_is_what_was_given(
        self, fs_storage: FSCrashStorage, let_go: threading.Event, tmp_path: Path
    ) -> None:
        content = os.urandom(2_000_000)
        (tmp_path / "dump").write_bytes(content)
        (tmp_path / "other").write_bytes(bytes(2_000_000))
        dump = Dump("upload_file_minidump", StoredFile(tmp_path / "dump"), "md5")
        descriptor = dump.content.descriptor
        with pytest.raises(NoAnswer):
            fs_storage.save_object(StoredObject("v1/dump/a", BINARY, dump), Deadline(0.1))

        dump.content.close()
        other = StoredFile(tmp_path / "other")
        assert other.descriptor == descriptor, "the test does not test what it should"
        let_go.set()

        with gevent.Timeout(5):
            while not (fs_storage.root / "v1/dump/a").exists():
                gevent.sleep(0.01)
        assert (fs_storage.root / "v1/dump/a").read_bytes() == content
        other.close()
