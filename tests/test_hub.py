# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Disk work does not stop the hub, and has the same result as a direct call."""

import errno
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import gevent
import pytest

from antenna import hub
from antenna.hub import plugins_read_once, pread, run_blocking


def test_returns_what_the_function_returns() -> None:
    assert run_blocking(divmod, 7, 2) == (3, 1)
    assert run_blocking(int, "11", base=2) == 3
    assert run_blocking(list) == []


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("odd"), SystemExit(3)])
def test_raises_what_the_function_raises(error: BaseException, capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        run_blocking(fail)

    assert raised.value is error
    assert "fail" in [entry.name for entry in raised.traceback], "where it happened is known"
    # Handled, so it is no news: gevent would print it.
    assert capfd.readouterr() == ("", "")


def test_function_runs_in_another_native_thread() -> None:
    assert run_blocking(threading.get_ident) != threading.get_ident()


def test_other_greenlets_go_on_meanwhile() -> None:
    turns: list[float] = []

    def take_turns() -> None:
        while True:
            turns.append(time.monotonic())
            gevent.sleep(0.01)

    greenlet = gevent.spawn(take_turns)
    run_blocking(time.sleep, 0.2)
    greenlet.kill()

    assert len(turns) > 5


def test_several_run_at_the_same_time() -> None:
    started = time.monotonic()

    gevent.joinall([gevent.spawn(run_blocking, time.sleep, 0.2) for _ in range(5)])

    assert time.monotonic() - started < 0.8


class TestPread:
    CONTENT = random.Random(1).randbytes(1_000_000)

    @pytest.fixture
    def descriptor(self, tmp_path: Path) -> Iterator[int]:
        path = tmp_path / "file"
        path.write_bytes(self.CONTENT)
        descriptor = os.open(path, os.O_RDONLY)
        yield descriptor
        os.close(descriptor)

    @pytest.fixture
    def threads(self, monkeypatch: pytest.MonkeyPatch) -> list[object]:
        """The reads that were done in a native thread."""
        calls: list[object] = []

        def counted(func: Callable[..., bytes], *args: int) -> bytes:
            calls.append(func)
            return run_blocking(func, *args)

        monkeypatch.setattr(hub, "run_blocking", counted)
        return calls

    def read(self, descriptor: int) -> bytes:
        content = b""
        while piece := pread(descriptor, 300_000, len(content)):
            assert len(piece) <= 300_000
            content += piece
        return content

    def test_what_is_in_memory_needs_no_thread(self, descriptor: int, threads: list[object]) -> None:
        assert pread(descriptor, 300_000, 100) == self.CONTENT[100:300_100]
        assert threads == []

    def test_what_is_not_in_memory(self, descriptor: int) -> None:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

        assert self.read(descriptor) == self.CONTENT

    @pytest.mark.parametrize(
        "error",
        [BlockingIOError(errno.EAGAIN, ""), OSError(errno.EOPNOTSUPP, ""), NotImplementedError("preadv2")],
        ids=repr,
    )
    def test_what_can_only_be_waited_for(
        self, descriptor: int, threads: list[object], monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        def refuse(*_: object) -> int:
            raise error

        monkeypatch.setattr(os, "preadv", refuse)

        assert self.read(descriptor) == self.CONTENT
        assert set(threads) == {os.pread}

    def test_system_without_it(self, descriptor: int, threads: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(os, "RWF_NOWAIT")

        assert self.read(descriptor) == self.CONTENT
        assert set(threads) == {os.pread}

    def test_error(self) -> None:
        with pytest.raises(OSError, match="Bad file descriptor"):
            pread(-1, 10, 0)


PATCHED_WORKER = """
from gunicorn.config import Config
from antenna.server.worker import AntennaWorker

AntennaWorker(1, 1, [], None, 30, Config(), None).patch()
"""

CLOSE_IN_A_THREAD_WITH_A_HUB = """
import os
import gevent
from antenna.hub import run_blocking

def open_and_close():
    # As a thread does that waits for one of Python's locks.
    gevent.get_hub()
    descriptor = os.open("/", os.O_RDONLY)
    os.close(descriptor)
    return descriptor

try:
    os.fstat(run_blocking(open_and_close))
except OSError:
    print("closed")
"""

USE_THE_DISK = """
import sys, traceback
from _thread import get_native_id
from pathlib import Path
import gevent.thread
from gevent._hub_local import get_hub_if_exists
from antenna.hub import run_blocking
from antenna.files import replace_file, verify_directory
from antenna.spool import Kind
from tests.support.crashes import make_id, make_report
from tests.support.spools import make_spool

spool = make_spool(Path(sys.argv[1]) / "spool", spool_max_size="1MiB")

acquire = gevent.thread.LockType.acquire

def tell(lock, *args, **kwargs):
    print("a lock:", *traceback.format_stack(limit=4))
    return acquire(lock, *args, **kwargs)

reports = [
    make_report({"upload_file_minidump": b"MDMP"}),
    make_report({"upload_file_minidump": b"MDMP" * 100_000}, directory=Path(sys.argv[1])),
]

def tell_of_imports(event, arguments):
    # An import takes a lock, too.
    if event == "import" and get_native_id() != main:
        print("an import:", arguments[0])

main = get_native_id()
sys.addaudithook(tell_of_imports)

def use():
    verify_directory(spool.root)
    replace_file(spool.root.parent / "crashes" / "crash", [b"content"])
    for report in reports:
        spool.add_crash(report)
    spool.add_id(make_id())
    spool.clean_up_and_count()
    spool.check_room(500_000)
    spool.probe()
    for kind in Kind:
        for name in spool.oldest(kind, 10):
            entry = spool.claim(kind, name)
            entry.note_failure("refused")
            if kind is Kind.CRASH:
                for dump in entry.load().dumps.values():
                    dump.checksum
            spool.set_aside(entry)
            entry.release()
    for aside in list(spool.entries_set_aside()):
        spool.acknowledge(aside)
        spool.restore(aside)
    for kind in Kind:
        for name in spool.oldest(kind, 10):
            entry = spool.claim(kind, name)
            (spool.saved if kind is Kind.CRASH else spool.remove)(entry)
            entry.release()
    assert get_hub_if_exists() is None
    return spool.clean_up_and_count().entries

gevent.thread.LockType.__enter__ = gevent.thread.LockType.acquire = tell
left = run_blocking(use)
gevent.thread.LockType.__enter__ = gevent.thread.LockType.acquire = acquire
print(left, "left")
"""


def run_in_worker(script: str, *arguments: str) -> str:
    """Run ``script`` in a process that gevent has patched like a worker. Return its output."""
    result = subprocess.run(
        [sys.executable, "-c", PATCHED_WORKER + script, *arguments],
        env={"PYTHONPATH": str(Path(__file__).parents[1]), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_directory_is_closed_at_once_in_a_worker_whatever_gevent_has_made_of_close() -> None:
    assert run_in_worker(CLOSE_IN_A_THREAD_WITH_A_HUB) == "closed\n"


def test_nothing_on_the_disk_waits_for_a_lock_that_gevent_has_replaced(tmp_path: Path) -> None:
    assert run_in_worker(USE_THE_DISK, str(tmp_path)) == "0 left\n"


def test_patching_reads_the_metadata_of_the_packages_once(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = metadata.entry_points()
    reads: list[None] = []

    def read() -> object:
        reads.append(None)
        return everything

    monkeypatch.setattr(metadata, "entry_points", read)

    with plugins_read_once():
        found = [metadata.entry_points(group=group) for group in ("pytest11", "pytest11", "gevent.plugins.monkey")]

    assert set(found[0]) == set(found[1]) == set(everything.select(group="pytest11")) != set()
    assert len(reads) == 1
