# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""``spool.py`` shows, delivers, copies and restores the entries of a spool, also while collectors run."""

import json
import os
import re
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import pytest

from antenna.config import build_config
from antenna.crash.report import CrashReport
from antenna.ext.crashstorage_base import CrashStorageBase
from antenna.ext.fs.crashstorage import FSCrashStorage
from antenna.ext.gcs.crashstorage import GcsCrashStorage
from antenna.spool import Kind, Spool
from antenna.spool.entry import EntryName
from bin._common import printable
from tests.support.crashes import OLD_ID, make_id, make_report
from tests.support.deliveries import objects_of
from tests.support.google_cloud import GcsBucket, PubSubTopic
from tests.support.odd_things import ODD_THINGS, make_odd_thing
from tests.support.programs import line_of, run_python
from tests.support.reports import MINIDUMP
from tests.support.server import AntennaServer, file_system_environment, google_cloud_environment
from tests.support.spools import CLAIMANT, make_spool, names
from tests.support.tools import Result, run_shell


@dataclass
class Place:
    """A spool, and the environment of the programs that use it."""

    spool: Spool
    environment: Mapping[str, str]

    def run(self, command: str) -> Result:
        return run_shell(f"bin/spool.py {command}", self.environment)

    def add(self, *, deferred: bool = False) -> CrashReport:
        report = make_report({MINIDUMP: b"MDMP" * 100, "memory_report": b"gz"}, deferred=deferred)
        self.spool.add_crash(report)
        return report

    def add_id(self) -> str:
        crash_id = make_id()
        self.spool.add_id(crash_id)
        return crash_id

    def set_aside(self, kind: Kind) -> str:
        """Set the oldest entry aside; return its id."""
        entry = self.spool.claim(kind, names(self.spool, kind)[0])
        assert entry
        entry.note_failure("status 400: no such thing")
        self.spool.set_aside(entry)
        entry.release()
        return entry.crash_id

    def is_empty(self) -> bool:
        return not any(names(self.spool, kind) for kind in Kind)

    def published(self) -> list[str]:
        queue = Path(self.environment["CRASHMOVER_CRASHPUBLISH_FS_ROOT"])
        return sorted(path.read_text() for path in queue.glob("*"))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    environment = file_system_environment(tmp_path) | {"CRASHMOVER_SPOOL_DIR": str(tmp_path / "spool")}
    return Place(make_spool(tmp_path / "spool"), environment)


def assert_stored(storage: CrashStorageBase, *reports: CrashReport) -> None:
    """Check that these crashes are stored completely, and nothing else is."""
    expected: dict[str, bytes] = {}
    for report in reports:
        expected |= objects_of(report)
    assert {path: storage.load(path) for path in storage.list_paths("v1/")} == expected


def in_directory(directory: object) -> FSCrashStorage:
    return FSCrashStorage(build_config({"FS_ROOT": str(directory)}))


def test_summary_counts_what_waits_and_what_was_set_aside(place: Place) -> None:
    place.add()
    place.set_aside(Kind.CRASH)
    sizes = [sum(dump.size for dump in report.dumps.values()) for report in (place.add(), place.add())]
    place.add_id()

    result = place.run("summary --json")

    counts = {line["state"]: (line["entries"], line["size"]) for line in result.objects}
    assert counts["save"][0] == 2
    assert counts["save"][1] == 2 * 4 * 4096 > sum(sizes)
    assert counts["publish"] == (1, 0)
    assert counts["set_aside/save"][0] == 1
    assert counts["set_aside/publish"] == (0, 0)
    lines = place.run("summary").lines
    assert re.fullmatch(r"save +2 entries +32,768 bytes  oldest \d+ s", lines[0])
    assert re.fullmatch(r"set_aside/publish +0 entries +0 bytes", lines[3])


def test_summary_of_an_empty_spool(place: Place) -> None:
    assert [line["entries"] for line in place.run("summary --json").objects] == [0, 0, 0, 0]


def test_list_says_what_is_left_to_do_since_when_and_how_often_it_failed(place: Place) -> None:
    failed = place.add_id()
    place.set_aside(Kind.ID)
    report, waiting = place.add(), place.add_id()

    lines = place.run("list").lines
    items = place.run("list --json").objects

    assert [item["crash_id"] for item in items] == [report.crash_id, waiting, failed]
    assert [(item["kind"], item["set_aside"], item["failures"]) for item in items] == [
        ("save", False, 0),
        ("publish", False, 0),
        ("publish", True, 1),
    ]
    assert items[0]["size"] == int(items[0]["path"].rpartition(".")[2])
    assert re.fullmatch(rf"save +\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ  {report.crash_id} +[\d,]+", lines[0])
    assert re.fullmatch(rf"set_aside/publish +\S+Z  {failed} +0  1 failures", lines[2])


def test_show_has_all_of_a_crash(place: Place) -> None:
    report = place.add(deferred=True)
    place.set_aside(Kind.CRASH)

    (shown,) = place.run(f"show bp-{report.crash_id} --json").objects

    assert shown["raw_crash"]["uuid"] == report.crash_id
    assert shown["dumps"] == [{"name": "memory_report", "size": 2}, {"name": MINIDUMP, "size": 400}]
    assert shown["deferred"] is shown["set_aside"] is True
    assert "status 400: no such thing" in shown["failures"][0]
    assert json.loads(place.run(f"show {report.crash_id}").stdout) == shown


def test_show_says_what_is_damaged(place: Place) -> None:
    report = place.add()
    next(place.spool.root.glob("save/*/dump.memory_report")).unlink()

    (shown,) = place.run(f"show {report.crash_id} --json").objects

    assert "memory_report" in shown["damaged"]


def test_deliver_saves_and_publishes_all(place: Place) -> None:
    reports = [place.add(), place.add(deferred=True)]
    crash_id = place.add_id()

    result = place.run("deliver")

    assert result.exit_code == 0
    assert sorted(result.lines) == sorted([*(report.crash_id for report in reports), crash_id])
    assert result.stderr.splitlines()[-1] == "3 delivered, 0 left"
    assert place.is_empty()
    assert_stored(in_directory(place.environment["CRASHMOVER_CRASHSTORAGE_FS_ROOT"]), *reports)
    assert place.published() == sorted([reports[0].crash_id, crash_id])


def test_deliver_takes_the_ids_that_are_given(place: Place) -> None:
    chosen, other = place.add(), place.add()

    assert place.run(f"deliver {chosen.crash_id}").lines == [chosen.crash_id]

    assert [name[23:59] for name in names(place.spool)] == [other.crash_id]


def test_deliver_to_google(
    tmp_path: Path, gcs_bucket: GcsBucket, pubsub_topic: PubSubTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = google_cloud_environment(gcs_bucket, pubsub_topic)
    place = Place(make_spool(tmp_path), environment | {"CRASHMOVER_SPOOL_DIR": str(tmp_path)})
    report = place.add()

    assert place.run("deliver").lines == [report.crash_id]

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", environment["STORAGE_EMULATOR_HOST"])
    storage = GcsCrashStorage(build_config({"BUCKET_NAME": gcs_bucket.name}))
    assert_stored(storage, report)
    storage.close()


def test_deliver_leaves_what_a_collector_has_in_hand(place: Place) -> None:
    report, other = place.add(), place.add()
    with run_python(CLAIMANT, place.spool.root, "CRASH", names(place.spool)[0]) as collector:
        assert line_of(collector) == "True"

        result = place.run("deliver")
        collector.kill()

    assert result.exit_code == 0
    assert result.lines == [other.crash_id]
    assert "1 are claimed by collectors" in result.stderr
    assert [name[23:59] for name in names(place.spool)] == [report.crash_id]


def test_deliver_and_collectors_publish_each_crash_once(place: Place, tmp_path: Path) -> None:
    server = AntennaServer({**place.environment, "GUNICORN_WORKERS": "2"}, tmp_path)
    crash_ids = []
    try:
        server.wait_until_serving()
        with ThreadPoolExecutor(2) as people:
            results = [people.submit(place.run, "deliver") for _ in range(2)]
            while not all(result.done() for result in results):
                crash_ids.append(place.add().crash_id)
        server.wait_until(place.is_empty)
    finally:
        server.kill()

    assert [result.result().exit_code for result in results] == [0, 0]
    # The collector publishes a test at its start.
    assert [crash_id for crash_id in place.published() if crash_id != "test"] == sorted(crash_ids)


def test_deliver_keeps_what_it_cannot_deliver_and_stops_trying(place: Place) -> None:
    reports = [place.add() for _ in range(60)]
    Path(place.environment["CRASHMOVER_CRASHSTORAGE_FS_ROOT"]).write_text("no directory")

    result = place.run("deliver")

    assert result.exit_code == 1
    assert result.lines == []
    assert re.search(r"\d+ were not tried: storage or publisher is down", result.stderr)
    assert result.stderr.splitlines()[-1] == "0 delivered, 60 left"
    assert [name[23:59] for name in names(place.spool)] == [report.crash_id for report in reports]
    assert list(place.spool.root.glob("save/*/failures")) == []


def test_deliver_leaves_the_id_of_a_crash_that_is_saved_and_not_published(place: Place) -> None:
    report = place.add()
    Path(place.environment["CRASHMOVER_CRASHPUBLISH_FS_ROOT"]).write_text("no directory")

    result = place.run("deliver")

    assert result.exit_code == 1
    assert f"{report.crash_id}: saved, not published" in result.stderr
    assert [name[23:59] for name in names(place.spool, Kind.ID)] == [report.crash_id]
    assert names(place.spool, Kind.CRASH) == []


@pytest.mark.parametrize("choice", ["--all", "ids"])
def test_ack_and_remove_take_care_of_what_was_set_aside(place: Place, choice: str) -> None:
    report, crash_id = place.add(), place.add_id()
    for kind in Kind:
        place.set_aside(kind)
    chosen = "--all" if choice == "--all" else f"{report.crash_id} {crash_id}"
    assert "2 of the entries set aside wait for somebody" in place.run("summary").stderr

    assert sorted(place.run(f"ack {chosen}").lines) == sorted([report.crash_id, crash_id])

    assert place.run("summary").stderr == ""
    assert [item["acknowledged"] for item in place.run("list --json").objects] == [True, True]
    assert all(line.endswith("  acknowledged") for line in place.run("list").lines)
    assert sorted(place.run(f"remove {chosen}").lines) == sorted([report.crash_id, crash_id])
    assert place.run("list").lines == []
    assert list((place.spool.root / "set_aside").iterdir()) == []


def test_remove_leaves_what_waits(place: Place) -> None:
    report = place.add()

    assert place.run(f"remove {report.crash_id}").exit_code == 1
    assert place.run("remove --all").lines == []

    assert len(names(place.spool)) == 1


@pytest.mark.parametrize("command", ["list --json", "summary", "export DIR", "deliver", "restore --all"])
def test_what_does_not_belong_there_is_named_and_holds_up_nothing(place: Place, tmp_path: Path, command: str) -> None:
    place.add()
    paths = [
        place.spool.root / directory / os.fsdecode(name)
        for directory in ("save", "publish", "set_aside")
        for name in (b"README", b"\xff\x1b[2J", "\u202eREADME\x9b".encode())
    ]
    for path in paths:
        make_odd_thing(path, "FIFO")

    result = place.run(command.replace("DIR", f"{tmp_path}/copy"))

    if command.startswith(("list", "summary")):
        assert result.exit_code == 1
        named = {f"{printable(str(path))}: not an entry of the spool, so it is left alone" for path in paths}
        assert named == set(result.stderr.splitlines())
    else:
        assert result.exit_code == 0
    assert not re.search("[\x1b\x9b\u202e]", result.stdout + result.stderr)


@pytest.mark.parametrize("thing", [*ODD_THINGS, "file"])
def test_what_only_has_the_name_of_an_entry_ends_no_program(place: Place, tmp_path: Path, thing: str) -> None:
    report, odd = place.add(), make_id()
    path = place.spool.root / "save" / EntryName.make(odd, 5)
    make_odd_thing(path, thing)

    listed, shown = place.run("list"), place.run(f"show {odd} --json")
    exported, delivered = place.run(f"export {tmp_path}/copy"), place.run("deliver")

    assert (listed.exit_code, len(listed.lines)) == (1 if thing != "directory" else 0, 2)
    assert (f"{path}: is a" in listed.stderr) is (thing != "directory")
    assert (shown.exit_code, exported.exit_code, delivered.exit_code) == (1, 1, 1)
    assert shown.objects[0]["damaged"]
    assert exported.lines == delivered.lines == [report.crash_id]
    assert f"{odd}: " in exported.stderr
    assert f"{odd}: " in delivered.stderr


def test_damaged_dump_is_named_and_not_delivered(place: Place, tmp_path: Path) -> None:
    report, damaged = place.add(), place.add()
    next(place.spool.root.glob(f"save/*{damaged.crash_id}*/dump.{MINIDUMP}")).write_bytes(b"MDMP")

    results = [place.run(command) for command in (f"show {damaged.crash_id}", f"export {tmp_path}/copy", "deliver")]

    assert [result.exit_code for result in results] == [1, 1, 1]
    for result in results:
        assert "do not have the checksum in the raw crash" in result.stdout + result.stderr
    assert results[1].lines == results[2].lines == [report.crash_id]


@pytest.mark.parametrize("choice", ["--all", "ids"])
def test_retry_gives_what_was_set_aside_another_chance(place: Place, choice: str) -> None:
    report, crash_id = place.add(), place.add_id()
    for kind in Kind:
        place.set_aside(kind)

    result = place.run("retry --all" if choice == "--all" else f"restore {report.crash_id} {crash_id}")

    assert sorted(result.lines) == sorted([report.crash_id, crash_id])
    assert [item["failures"] for item in place.run("list --json").objects] == [0, 0]
    assert place.run("deliver").exit_code == 0
    assert place.published() == sorted([report.crash_id, crash_id])
    assert list((place.spool.root / "set_aside").iterdir()) == []


def test_export_copies_crashes_in_the_layout_of_the_bucket(place: Place, tmp_path: Path) -> None:
    reports = [place.add(), place.add(deferred=True)]
    place.set_aside(Kind.CRASH)
    place.add_id()

    result = place.run(f"export {tmp_path}/copy")

    assert result.exit_code == 0
    assert sorted(result.lines) == sorted(report.crash_id for report in reports)
    assert "1 of the entries are ids of crashes that are in the storage already" in result.stderr
    assert_stored(in_directory(tmp_path / "copy"), *reports)
    assert len(names(place.spool, Kind.CRASH)) == len(names(place.spool, Kind.ID)) == 1


def test_export_names_what_is_damaged_and_copies_the_rest(place: Place, tmp_path: Path) -> None:
    damaged, whole = place.add(), place.add()
    next(place.spool.root.glob(f"save/*{damaged.crash_id}*/raw_crash")).unlink()

    result = place.run(f"export {tmp_path}/copy")

    assert result.exit_code == 1
    assert f"{damaged.crash_id}: raw_crash: No such file or directory" in result.stderr
    assert_stored(in_directory(tmp_path / "copy"), whole)


@pytest.mark.parametrize(
    ("command", "exit_code", "message"),
    [
        (f"show {OLD_ID}", 1, "there is no such entry: "),
        (f"deliver {OLD_ID}", 1, "there is no such entry: "),
        (f"retry {OLD_ID}", 1, "there is no such entry: "),
        ("retry", 2, "give ids, or --all"),
        ("deliver nonsense", 2, "not a crash id: 'nonsense'"),
    ],
)
def test_what_is_not_there_is_an_error(place: Place, command: str, exit_code: int, message: str) -> None:
    result = place.run(command)

    assert result.exit_code == exit_code
    assert message in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"CRASHMOVER_SPOOL_DIR": ""}, "CRASHMOVER_SPOOL_DIR is not set"),
        ({"CRASHMOVER_SPOOL_DIR": "/nonexistent"}, "/nonexistent is not a spool"),
        ({"CRASHMOVER_CRASHSTORAGE_CLASS": ""}, "CRASHMOVER_CRASHSTORAGE_CLASS is not set: set it and its options"),
        ({"CRASHMOVER_CRASHPUBLISH_CLASS": ""}, "set CRASHMOVER_CRASHPUBLISH_CLASS and its options"),
    ],
)
def test_what_is_not_configured_is_explained(place: Place, environment: Mapping[str, str], message: str) -> None:
    place.add()
    result = run_shell("bin/spool.py deliver", {**place.environment, **environment})

    assert result.exit_code == 1
    assert message in result.stderr
    assert "/nonexistent" in message or len(names(place.spool)) == 1


def test_list_bears_with_what_is_delivered_meanwhile(place: Place) -> None:
    for _ in range(150):
        place.add_id()
    entries = sorted((place.spool.root / "publish").iterdir(), reverse=True)
    assert len(place.run("list").lines) == len(entries)

    def deliver() -> None:
        # The last ones first, because a list that has begun comes to them last.
        for entry in entries:
            entry.unlink()
            time.sleep(0.001)

    delivering = Thread(target=deliver)
    delivering.start()
    while delivering.is_alive():
        assert place.run("list").exit_code == 0
    delivering.join()
    assert place.run("list").lines == []
