# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The consumer: every crash is read, none is missed, none is there twice."""

import contextlib
import json
import os
import resource
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from antenna.backend import BackendError
from antenna.symbols import Store
from antenna.viewer import child
from antenna.viewer.consumer import Consumer, StorageSource, consumer
from antenna.viewer.crash_reader import CrashReader
from antenna.viewer.index import Index
from tests.support.minidumps import samples
from tests.support.minidumps.builder import ModuleSpec
from tests.support.minidumps.damage import mutations
from tests.support.symbols import SYM, filled_store, game_dump_bytes
from tests.support.viewer import RunningViewer, StoredCrashes
from tests.viewer.conftest import StartViewer

Q = {"VIEWER_SOURCE": "queue"}


class KilledError(BaseException):
    """Does nothing more, as a process that was killed."""


def ids(viewer: RunningViewer) -> list[str]:
    database = Index(viewer.directory / "viewer" / "index.sqlite")
    found = [row[0] for row in database.database.execute("SELECT crash_id FROM crashes")]
    (counts,) = database.database.execute("SELECT coalesce(sum(count), 0) FROM counts").fetchone()
    database.close()
    assert counts == len(found)
    return sorted(found)


@pytest.mark.usefixtures("in_process")
def test_the_storage_is_looked_through(stored: StoredCrashes, start_viewer: StartViewer) -> None:
    sent = [stored.add({"ProductName": "App"}, game_dump_bytes(), days_ago=days) for days in (0, 1, 3)]
    stored.add({}, days_ago=30)
    stored.write("v1/raw_crash/20261127/not-an-id", b"{}")
    viewer = start_viewer()

    assert viewer.look() == 3
    assert ids(viewer) == sorted(sent)
    assert viewer.look() == 0
    later = stored.add({"ProductName": "App"})
    assert viewer.look() == 1
    assert ids(viewer) == sorted([*sent, later])


@pytest.mark.usefixtures("in_process")
def test_a_viewer_that_starts_again_reads_what_is_new(stored: StoredCrashes, start_viewer: StartViewer) -> None:
    stored.add({})
    assert start_viewer().look() == 1
    stored.add({})
    assert start_viewer().look() == 1


def queue_entries(directory: Path, crash_ids: list[str]) -> Path:
    queue = directory / "queue"
    queue.mkdir(exist_ok=True)
    for number, crash_id in enumerate(crash_ids):
        (queue / f"{number}-{crash_id}").write_text(crash_id)
    return queue


@pytest.mark.usefixtures("in_process")
def test_the_queue_is_emptied(stored: StoredCrashes, start_viewer: StartViewer, tmp_path: Path) -> None:
    sent = [stored.add({}, days_ago=400) for _ in range(3)]
    queue = queue_entries(tmp_path, [*sent, sent[0]])
    (queue / ".being-written").write_text(sent[0])
    (queue / "9-other").write_text("not an id")
    viewer = start_viewer(**Q, CRASHMOVER_CRASHPUBLISH_FS_ROOT=str(queue))

    viewer.look()

    assert ids(viewer) == sorted(sent)
    assert sorted(path.name for path in queue.iterdir()) == [".being-written", "9-other"]


def _dies_before(_: Callable[..., Any]) -> Callable[..., Any]:
    def die(*__: Any, **___: Any) -> Any:
        raise KilledError

    return die


def _dies_after(method: Callable[..., Any]) -> Callable[..., Any]:
    def die(*args: Any, **kwargs: Any) -> Any:
        method(*args, **kwargs)
        raise KilledError

    return die


def _dies_in_the_middle(method: Callable[..., Any]) -> Callable[..., Any]:
    calls = []

    def die(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) == 2:
            raise KilledError
        return method(*args, **kwargs)

    return die


STEPS = [(CrashReader, "read"), (CrashReader, "ask"), (Index, "add"), (Index, "_insert"), (Consumer, "_write")]


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("how", [_dies_before, _dies_after, _dies_in_the_middle])
@pytest.mark.parametrize(
    ("source", "step"),
    [*(("storage", step) for step in STEPS), *(("queue", step) for step in STEPS), ("queue", (Path, "unlink"))],
)
def test_killed_at_any_step(
    stored: StoredCrashes,
    start_viewer: StartViewer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    step: tuple[type, str],
    how: Callable[[Callable[..., Any]], Callable[..., Any]],
) -> None:
    sent = [stored.add({"ProductName": "App"}) for _ in range(4)]
    queue = queue_entries(tmp_path, sent)
    options = {"VIEWER_SOURCE": source, "CRASHMOVER_CRASHPUBLISH_FS_ROOT": str(queue)}
    with monkeypatch.context() as patched:
        patched.setattr(*step, how(getattr(*step)))
        viewer = start_viewer(**options)
        with contextlib.suppress(KilledError):
            viewer.look()
    again = start_viewer(**options)
    again.look()

    assert ids(again) == sorted(sent)
    assert len(list(queue.iterdir())) == (4 if source == "storage" else 0)


@pytest.mark.usefixtures("in_process")
def test_a_storage_that_goes_away_in_the_middle(
    stored: StoredCrashes, start_viewer: StartViewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = [stored.add({"ProductName": "App"}) for _ in range(4)]
    viewer = start_viewer()
    read = CrashReader.read
    calls: list[str] = []

    def fails_twice(self: CrashReader, crash_id: str) -> Any:
        calls.append(crash_id)
        if len(calls) in {3, 4}:
            raise BackendError("the bucket is away")
        return read(self, crash_id)

    monkeypatch.setattr(CrashReader, "read", fails_twice)
    assert viewer.look() == 2
    assert "the bucket is away" in viewer.get("/status")
    assert viewer.look() == 2
    assert ids(viewer) == sorted(sent)
    assert "the bucket is away" not in viewer.get("/status")


class TestCrashesThatFail:
    """They have a page that says why, and hold up nobody."""

    def failing(self, stored: StoredCrashes, start_viewer: StartViewer, crash_id: str) -> tuple[str, RunningViewer]:
        after = stored.add({"ProductName": "After"})
        viewer = start_viewer()
        viewer.look()
        assert ids(viewer) == sorted([crash_id, after])
        page = viewer.get(f"/report/{crash_id}")
        assert crash_id in viewer.get("/status")
        return page, viewer

    @pytest.mark.usefixtures("in_process")
    def test_a_dump_that_is_none(self, stored: StoredCrashes, start_viewer: StartViewer) -> None:
        crash_id = stored.add({"ProductName": "MyApp"}, b"W/google-breakpad")
        page, _ = self.failing(stored, start_viewer, crash_id)
        assert "not a minidump" in page
        assert "MyApp" in page

    @pytest.mark.usefixtures("in_process")
    def test_a_dump_that_is_missing(self, stored: StoredCrashes, start_viewer: StartViewer) -> None:
        crash_id = stored.add({"ProductName": "MyApp"}, b"MDMP")
        (stored.root / f"v1/dump/{crash_id}").unlink()
        page, _ = self.failing(stored, start_viewer, crash_id)
        assert f"the minidump is missing (v1/dump/{crash_id})" in page
        assert "EMPTY: the minidump is missing<" in page
        assert "MyApp" in page

    @pytest.mark.usefixtures("in_process")
    @pytest.mark.parametrize("missing", ["v1/dump/{0}", "v1/raw_crash/20{1}/{0}"])
    def test_an_object_that_comes_later(
        self, stored: StoredCrashes, start_viewer: StartViewer, monkeypatch: pytest.MonkeyPatch, missing: str
    ) -> None:
        """Crashes are read again a few times, whether the object comes or not."""
        monkeypatch.setattr(consumer, "_LATER", (0.0, 0.0))
        crash_ids = [stored.add({}, game_dump_bytes()) for _ in range(2)]
        files = [stored.root / missing.format(crash_id, crash_id[-6:]) for crash_id in crash_ids]
        contents = [file.read_bytes() for file in files]
        queue = queue_entries(stored.root.parent, crash_ids)
        viewer = start_viewer(**Q, CRASHMOVER_CRASHPUBLISH_FS_ROOT=str(queue))
        for file in files:
            file.unlink()
        reads: list[str] = []
        read = CrashReader.read

        def counted(self: CrashReader, crash_id: str) -> Any:
            reads.append(crash_id)
            return read(self, crash_id)

        monkeypatch.setattr(CrashReader, "read", counted)
        viewer.look()
        assert all("is missing" in viewer.get(f"/report/{crash_id}") for crash_id in crash_ids)
        files[0].write_bytes(contents[0])
        for _ in range(3):
            viewer.look()

        assert "is missing" not in viewer.get(f"/report/{crash_ids[0]}")
        assert "is missing" in viewer.get(f"/report/{crash_ids[1]}")
        assert Counter(reads) == {crash_ids[0]: 3, crash_ids[1]: 3}

    @pytest.mark.usefixtures("in_process")
    @pytest.mark.parametrize("folder", ["dump", "dump_names"])
    def test_an_object_that_cannot_be_read(
        self, stored: StoredCrashes, start_viewer: StartViewer, monkeypatch: pytest.MonkeyPatch, folder: str
    ) -> None:
        """It holds up no other crash, as if the storage was away."""
        monkeypatch.setattr(consumer, "_LATER", (0.0,))
        crash_id = stored.add({}, game_dump_bytes())
        file = stored.root / f"v1/{folder}/{crash_id}"
        content = file.read_bytes()
        file.unlink()
        file.mkdir()
        others = [stored.add({})]
        viewer = start_viewer()
        viewer.look()
        assert ids(viewer) == others
        assert "should be a file" in viewer.get("/status")
        others.append(stored.add({}))
        viewer.look()
        viewer.look()
        assert ids(viewer) == sorted([crash_id, *others])
        assert "should be a file" in viewer.get(f"/report/{crash_id}")

        file.rmdir()
        file.write_bytes(content)
        viewer.look()
        assert "should be a file" not in viewer.get(f"/report/{crash_id}")

    @pytest.mark.usefixtures("in_process")
    @pytest.mark.parametrize("content", [b"", b"[]", b"{", b"[" * 100_000, b'"text"', b"\xff"])
    def test_a_raw_crash_that_is_none(self, stored: StoredCrashes, start_viewer: StartViewer, content: bytes) -> None:
        crash_id = stored.add({})
        stored.write(f"v1/raw_crash/20{crash_id[-6:]}/{crash_id}", content)
        page, _ = self.failing(stored, start_viewer, crash_id)
        assert "This crash cannot be read" in page

    def test_a_dump_that_takes_too_long(
        self, stored: StoredCrashes, start_viewer: StartViewer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ask, start = CrashReader.ask, CrashReader.start

        def impatient(
            self: CrashReader, crash_id: str, raw: bytes, names: bytes, minidump: bytes | None, why: str
        ) -> Any:
            self.timeout = 30.0 if minidump is None else 0.2
            if minidump is not None:
                self.close()  # the dump gets a child of its own
            return ask(self, crash_id, raw, names, minidump, why)

        def start_for(self: CrashReader) -> "subprocess.Popen[bytes]":
            child = start(self)
            if self.timeout < 1:
                os.kill(child.pid, signal.SIGSTOP)  # so it certainly takes longer
            return child

        monkeypatch.setattr(CrashReader, "ask", impatient)
        monkeypatch.setattr(CrashReader, "start", start_for)
        crash_id = stored.add({"ProductName": "MyApp"}, game_dump_bytes())
        page, _ = self.failing(stored, start_viewer, crash_id)
        assert "reading it took too long" in page
        assert "MyApp" in page

    def test_a_reader_that_dies(
        self, stored: StoredCrashes, start_viewer: StartViewer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        start = CrashReader.start
        started: list[int] = []

        def dying(self: CrashReader) -> Any:
            child = start(self)
            if not started:
                # Its first crash takes all of its CPU.
                resource.prlimit(child.pid, resource.RLIMIT_CPU, (0, 0))
            started.append(child.pid)
            return child

        monkeypatch.setattr(CrashReader, "start", dying)
        crash_id = stored.add({"ProductName": "MyApp"}, game_dump_bytes())
        viewer = start_viewer()
        viewer.look()
        page = viewer.get(f"/report/{crash_id}")
        assert "its reader took too much and ended" in page
        assert "MyApp" in page
        assert len(started) == 2

    def test_damaged_dumps(self, stored: StoredCrashes, start_viewer: StartViewer) -> None:
        sent = [stored.add({"ProductName": "App"}, dump) for dump in mutations(samples.crash(), 30, seed=7)]
        viewer = start_viewer()
        viewer.look()

        assert ids(viewer) == sorted(sent)
        for crash_id in sent:
            viewer.get(f"/report/{crash_id}")


def test_symbols_that_arrive_later(
    stored: StoredCrashes, start_viewer: StartViewer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("antenna.viewer.consumer.consumer._UPKEEP_INTERVAL", 0.0)
    crash_id = stored.add({"ProductName": "App"}, game_dump_bytes())
    viewer = start_viewer()
    viewer.look()
    assert "World::tick" not in viewer.get(f"/report/{crash_id}")
    assert "MyApp" in viewer.get("/symbols")

    file = tmp_path / "MyApp.sym"
    file.write_text(SYM)
    Store(stored.root / "symbols").add(file)
    # A viewer that was not running then finds them as well.
    for one in (viewer, start_viewer()):
        one.look()
        assert "World::tick" in one.get(f"/report/{crash_id}")
        assert "None: each module" in one.get("/symbols")
    assert viewer.app.consumer.state.reread == 1


@pytest.mark.usefixtures("in_process")
def test_new_crashes_do_not_wait_for_those_that_are_read_again(
    stored: StoredCrashes, start_viewer: StartViewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("antenna.viewer.consumer.consumer._UPKEEP_INTERVAL", 0.0)
    monkeypatch.setattr("antenna.viewer.consumer.consumer._AGAIN_SECONDS", 0.0)
    for _ in range(3):
        stored.add({"ProductName": "App"}, game_dump_bytes())
    viewer = start_viewer()
    viewer.look()
    filled_store(stored.root)
    stored.add({"ProductName": "App"}, game_dump_bytes())

    assert viewer.look() == 1
    assert "0 read again after symbols were added, 3 wait to be read again" in viewer.get("/status")
    monkeypatch.setattr("antenna.viewer.consumer.consumer._AGAIN_SECONDS", 10.0)
    viewer.look()
    assert "3 read again after symbols were added<" in viewer.get("/status")


class TestIndexThatCannotBeUsed:
    """The operator reads what to do, and nothing is lost."""

    @pytest.mark.usefixtures("in_process")
    def test_a_full_disk(self, stored: StoredCrashes, start_viewer: StartViewer) -> None:
        viewer = start_viewer()
        database = viewer.app.consumer.index.database
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        database.execute(f"PRAGMA max_page_count = {pages}")
        sent = [stored.add({"ProductName": "App", "MozCrashReason": "x" * 20_000}) for _ in range(60)]
        with pytest.raises(sqlite3.OperationalError, match="full"):
            viewer.look()
        viewer.get("/")
        answer = viewer.client.simulate_post(
            "/signature/?signature=x", host="127.0.0.1", headers={"Content-Type": "application/x-www-form-urlencoded"}
        )
        assert answer.status_code == 404

        database.execute("PRAGMA max_page_count = 1000000")
        viewer.look()
        assert ids(viewer) == sorted(sent)

    @pytest.mark.usefixtures("in_process")
    def test_a_disk_that_is_almost_full(
        self, stored: StoredCrashes, start_viewer: StartViewer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stored.add({"ProductName": "App"})
        viewer = start_viewer()
        with monkeypatch.context() as patched:
            patched.setattr("antenna.viewer.consumer.consumer._MIN_FREE", 1 << 60)
            assert viewer.look() == 0
        assert "MiB left" in viewer.get("/status")
        assert viewer.look() == 1
        assert "MiB left" not in viewer.get("/status")

    @pytest.mark.usefixtures("in_process")
    def test_a_damaged_index(self, stored: StoredCrashes, start_viewer: StartViewer) -> None:
        crash_id = stored.add({"ProductName": "App"})
        viewer = start_viewer()
        viewer.look()
        database = viewer.app.consumer.index.database
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        file = viewer.directory / "viewer" / "index.sqlite"
        with file.open("r+b") as opened:
            opened.seek(4096)
            opened.write(b"x" * (file.stat().st_size - 4096))

        # What it has in memory.
        database.execute("PRAGMA shrink_memory")
        for path in ("/", f"/report/{crash_id}", "/search?q=App", "/symbols"):
            answer = viewer.client.simulate_get(path, host="127.0.0.1")
            assert (answer.status_code, "delete its files" in answer.text) == (503, True), path
        with pytest.raises(sqlite3.DatabaseError):
            start_viewer()


@pytest.mark.usefixtures("in_process")
def test_old_crashes_leave(stored: StoredCrashes, start_viewer: StartViewer) -> None:
    old, new = stored.add({}, days_ago=4), stored.add({}, days_ago=1)
    viewer = start_viewer()
    viewer.look()
    assert ids(viewer) == sorted([old, new])

    later = start_viewer(VIEWER_KEEP_DAYS="2")
    later.look()
    assert ids(later) == [new]
    assert later.look() == 0
    assert "2 days" in later.get("/status")


def test_the_child_has_no_secrets(stored: StoredCrashes, start_viewer: StartViewer) -> None:
    stored.add({}, game_dump_bytes())
    viewer = start_viewer(VIEWER_TOKEN="secret-token")
    viewer.look()
    child = viewer.app.reader.pid
    environment = Path(f"/proc/{child}/environ")
    if environment.exists():
        assert b"VIEWER" not in environment.read_bytes()
    limits = Path(f"/proc/{child}/limits")
    if limits.exists():
        text = limits.read_text()
        cpu = next(line for line in text.splitlines() if line.startswith("Max cpu time"))
        data = next(line for line in text.splitlines() if line.startswith("Max data size"))
        assert int(cpu.split()[3]) <= 60
        assert int(data.split()[3]) <= 1024**3


@pytest.mark.usefixtures("in_process")
def test_a_storage_source_yields_a_crash_once(stored: StoredCrashes, start_viewer: StartViewer) -> None:
    crash_id = stored.add({})
    viewer = start_viewer()
    source = viewer.app.consumer.source
    assert isinstance(source, StorageSource)
    assert [pending.crash_id for pending in source.pending()] == [crash_id]


@pytest.mark.usefixtures("in_process")
def test_large_values_are_cut_and_the_rest_stays(stored: StoredCrashes, start_viewer: StartViewer) -> None:
    crash_id = stored.add({"ProductName": "App", "Big": "x" * 5_000_000, "List": [1] * 100_000}, game_dump_bytes())
    viewer = start_viewer()
    began = time.process_time()
    viewer.look()
    assert time.process_time() - began < 5
    assert "… (cut)" in viewer.get(f"/report/{crash_id}")


@pytest.mark.usefixtures("in_process")
def test_many_large_values_do_not_hide_the_stack(stored: StoredCrashes, start_viewer: StartViewer) -> None:
    # What a page shows of annotations is at most half a megabyte.
    crash_id = stored.add({f"Value{number}": "\x01" * 20_000 for number in range(30)}, game_dump_bytes())
    viewer = start_viewer()
    viewer.look()
    page = viewer.get(f"/report/{crash_id}")
    assert "MyApp + 0x1010" in page
    assert len(page) < 5_000_000


@pytest.mark.usefixtures("in_process")
def test_a_dump_that_says_too_much_keeps_its_stack(
    stored: StoredCrashes, start_viewer: StartViewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "MAX_ANSWER", 10_000)
    builder = samples.crash_builder()
    builder.unloaded_modules(ModuleSpec(number << 20, 0x1000, f"unloaded{number}.so") for number in range(2000))
    crash_id = stored.add({"ProductName": "App"}, builder.build())
    viewer = start_viewer()
    viewer.look()
    page = viewer.get(f"/report/{crash_id}")
    assert "MyApp + 0x1234" in page
    assert "unloaded modules: left out here" in page
    assert "unloaded7.so" not in page


@pytest.mark.usefixtures("in_process")
def test_a_large_value_can_still_be_had(stored: StoredCrashes, start_viewer: StartViewer) -> None:
    crash_id = stored.add({"Big": "x" * 5_000_000})
    viewer = start_viewer()
    viewer.look()
    assert len(json.loads(viewer.get(f"/report/{crash_id}/raw"))["Big"]) == 5_000_000
