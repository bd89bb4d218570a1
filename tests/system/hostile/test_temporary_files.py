# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Temporary files are made in the directory of the option, and are always removed. Small reports need no file."""

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event

import psutil
import pytest

from tests.support.programs import children_of
from tests.support.raw_http import RawConnection, RawResponse
from tests.support.reports import annotation, dump, post, report
from tests.support.watch import HONEST, MIB, Target
from tests.system.conftest import StartCollector
from tests.system.hostile.conftest import StartTarget
from tests.system.hostile.test_resources import before_content, repeated

PRODUCT = annotation("ProductName", "Firefox")
OTHER_DISK = Path("/dev/shm")  # noqa: S108 - a mount
LARGE = report(PRODUCT, dump(os.urandom(5 * MIB)))


@pytest.fixture(scope="module")
def target(start_shared_target: StartTarget) -> Target:
    """A collector that these tests share."""
    return start_shared_target()


@pytest.fixture
def half_sent(target: Target) -> Iterator[RawConnection]:
    """A connection on which half of a large report was sent."""
    with target.server.connect() as connection:
        connection.send(LARGE[: 4 * MIB])
        target.server.wait_until(lambda: bool(temporary_files(target)), 5)
        yield connection


def temporary_files(target: Target) -> list[str]:
    """Return the worker's open files in the directory, with and without names."""
    links = []
    for descriptor in Path(f"/proc/{target.worker.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since
            links.append(str(descriptor.readlink()))
    return [link for link in links if link.startswith(str(target.temp_dir))]


def assert_unavailable(target: Target, answer: RawResponse) -> None:
    assert answer.status == 503
    assert answer.text == "Discarded=unavailable"
    assert answer.headers["Retry-After"]
    assert "Traceback" not in target.server.logs()


class TestAreGone:
    def test_after_the_answer(self, target: Target, half_sent: RawConnection) -> None:
        half_sent.send(LARGE[4 * MIB :])
        target.collector.assert_saved(half_sent.receive())

        assert temporary_files(target) == []

    def test_when_the_client_hangs_up(self, target: Target, half_sent: RawConnection) -> None:
        half_sent.close()

        target.server.wait_until(lambda: temporary_files(target) == [], 5)

    def test_when_the_worker_is_killed(self, target: Target, half_sent: RawConnection) -> None:
        killed = target.worker
        killed.kill()
        killed.wait(5)
        with pytest.raises((EOFError, ConnectionResetError)):
            half_sent.receive()

        target.server.wait_until(lambda: replaced(target, killed) and target.server.is_serving(), 10)
        target.collector.assert_saved(target.submit(LARGE))
        assert list(target.temp_dir.iterdir()) == []

    def test_at_the_next_start_at_the_latest_and_they_may_be_on_another_file_system(
        self, start_local_collector: StartCollector
    ) -> None:
        """On a file system that does not know files without a name, a kill can leave a file behind."""
        with TemporaryDirectory(dir=OTHER_DISK if OTHER_DISK.is_dir() else None) as directory:
            left = Path(directory, "antenna-report-a1b2c3")
            left.touch()
            collector = start_local_collector(BREAKPAD_TEMP_DIR=directory)

            assert not left.exists()
            collector.assert_saved(collector.submit(LARGE))


def replaced(target: Target, killed: psutil.Process) -> bool:
    return children_of(target.server.pid) not in ([], [killed.pid])


class TestDirectoryFails:
    def test_later(self, target: Target) -> None:
        target.temp_dir.rename(target.temp_dir.with_name("elsewhere"))
        with target.collector.keeps_nothing():
            assert_unavailable(target, target.submit(LARGE))
        target.collector.assert_saved(target.submit(HONEST))

        target.temp_dir.mkdir()
        target.collector.assert_saved(target.submit(LARGE))

    def test_disk_is_full(self, target: Target) -> None:
        # No file may grow over 4 MiB. Without root, a test cannot come closer to a full disk.
        unlimited = target.worker.rlimit(psutil.RLIMIT_FSIZE)
        assert unlimited is not None
        target.worker.rlimit(psutil.RLIMIT_FSIZE, (4 * MIB, unlimited[1]))
        with target.collector.keeps_nothing():
            assert_unavailable(target, target.submit(LARGE))
        target.collector.assert_saved(target.submit(HONEST))

        target.worker.rlimit(psutil.RLIMIT_FSIZE, unlimited)
        target.collector.assert_saved(target.submit(LARGE))
        assert temporary_files(target) == []


# The last test of the shared collector, since it ends it.
@pytest.mark.usefixtures("half_sent")
def test_they_are_gone_when_all_is_killed(target: Target) -> None:
    target.server.kill()

    assert list(target.temp_dir.iterdir()) == []


class TestSpaceIsUsedUp:
    """Clients use up the room with reports that inflate to 600 times what they have sent, and then stall."""

    # If a body is announced as small, it is inflated only when all of it is there.
    BOMB = post(
        repeated(before_content(dump(b"")), b"abcdefgh", 18 * MIB),
        {"Content-Encoding": "gzip", "Content-Length": str(MIB)},
    )
    REST = 1000

    @pytest.fixture(scope="class")
    @classmethod
    def small_target(cls, start_shared_target: StartTarget) -> Target:
        return start_shared_target(BREAKPAD_TEMP_SIZE_PER_WORKER="20MiB")

    @pytest.fixture
    def target(self, small_target: Target) -> Iterator[Target]:
        with small_target.stays_well():
            yield small_target

    def use_up(self, target: Target, connection: RawConnection) -> None:
        connection.send(self.BOMB[: -self.REST])
        target.server.wait_until(lambda: temporary_files_size(target) > 16 * MIB, 5)

    def test_the_stalled_one_leaves(self, target: Target) -> None:
        with target.server.connect() as connection:
            self.use_up(target, connection)

            target.collector.assert_saved(target.submit(LARGE))
            target.assert_refused(connection.receive(), "malformed_too_large")
            assert connection.is_closed_by_server()
        assert "refused: malformed_too_large: share of temporary files" in target.server.logs()

    def test_also_if_its_client_sends_a_byte_now_and_then(self, target: Target) -> None:
        with target.server.connect() as connection, ThreadPoolExecutor() as threads:
            self.use_up(target, connection)
            answered = Event()
            dripping = threads.submit(self.drip, connection, answered)

            try:
                target.collector.assert_saved(target.submit(LARGE))
                target.assert_refused(connection.receive(), "malformed_too_large")
            finally:
                answered.set()
            dripping.result()

    def drip(self, connection: RawConnection, answered: Event) -> None:
        for byte in self.BOMB[-self.REST :]:
            connection.socket.sendall(bytes([byte]))
            if answered.wait(0.01):
                return

    def test_however_many_come_after_it(self, target: Target) -> None:
        with ExitStack() as bombs:
            for _ in range(5):
                connection = bombs.enter_context(target.server.connect())
                self.use_up(target, connection)
                target.collector.assert_saved(target.submit(LARGE))

    def test_not_one_that_has_sent_more_for_what_it_takes(self, target: Target) -> None:
        sent = report(PRODUCT, dump(os.urandom(19 * MIB)))
        with target.server.connect() as connection:
            connection.send(sent[: -self.REST])
            target.server.wait_until(lambda: temporary_files_size(target) > 18 * MIB, 5)

            assert_unavailable(target, target.submit(self.BOMB))
            connection.send(sent[-self.REST :])
            target.collector.assert_saved(connection.receive())
        target.assert_logged_only("losing", "lost")


def temporary_files_size(target: Target) -> int:
    """Return the bytes of the worker's temporary files."""
    size = 0
    for descriptor in Path(f"/proc/{target.worker.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since
            if str(descriptor.readlink()).startswith(str(target.temp_dir)):
                size += descriptor.stat().st_size
    return size
