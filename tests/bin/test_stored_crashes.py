# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Listing, showing and fetching stored crashes, and publishing them again, from any storage."""

import hashlib
import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from antenna.crash.crash_id import date_of
from tests.bin.conftest import Collector
from tests.support.captures import MINIDUMPS
from tests.support.crashes import make_report
from tests.support.deliveries import objects_of
from tests.support.google_cloud import GcsBucket
from tests.support.odd_things import make_odd_thing
from tests.support.tools import Result, run_shell

MINIDUMP = MINIDUMPS / "own-chromium156-renderer-linux.dmp"
OTHER_DUMP = MINIDUMPS / "built-linux.dmp"
# A product whose crashes no other test sends.
PRODUCT = "StoredProduct"
OTHER_DAY_ID = "de1bb258-cbbf-4589-a673-34f800160918"
DEFERRED_ID = "de1bb258-cbbf-4589-a673-34f801160918"
UNKNOWN_ID = "00000000-cbbf-4589-a673-34f800160918"


@dataclass(frozen=True)
class Crashes:
    """A collector, and the crashes that were sent to it."""

    collector: Collector
    firefox: str
    fenix: str

    @property
    def all_ids(self) -> list[str]:
        """The ids of today's crashes, sorted. There is also a crash of another day, ``OTHER_DAY_ID``."""
        return sorted([self.firefox, self.fenix])

    @property
    def days(self) -> str:
        """Argument of --date for the crashes of today. Around midnight, these are two days."""
        dates = sorted(date_of(crash_id) for crash_id in (self.firefox, self.fenix))
        return "-".join(dates)

    def run(self, program: str, *arguments: str, stdin: str = "") -> Result:
        """Run a program."""
        return self.collector.run(program, *arguments, stdin=stdin)


@pytest.fixture(scope="module", params=["fs", "google"])
def crashes(request: pytest.FixtureRequest) -> Crashes:
    """Crashes in each storage."""
    value: Crashes = request.getfixturevalue(f"{request.param}_crashes")
    return value


@pytest.fixture(scope="module")
def fs_crashes(fs_collector: Collector) -> Crashes:
    """Crashes on the file system."""
    return send_crashes(fs_collector)


@pytest.fixture(scope="module")
def google_crashes(google_collector: Collector) -> Crashes:
    """Crashes in the emulators of Google Cloud."""
    return send_crashes(google_collector)


def send_crashes(collector: Collector) -> Crashes:
    """Send crashes of two products and two days, one deferred."""
    dumps = ["--dump", f"upload_file_minidump={MINIDUMP}", "--dump", f"upload_file_minidump_browser={OTHER_DUMP}"]
    (firefox,) = collector.send(*dumps)
    (fenix,) = collector.send("--no-dumps", "--set", f"ProductName={PRODUCT}")
    for known_id in (OTHER_DAY_ID, DEFERRED_ID):
        collector.send("--no-dumps", "--set", f"uuid={known_id}")
    return Crashes(collector, firefox, fenix)


def test_list_prints_the_ids_of_a_day(fs_crashes: Crashes) -> None:
    assert set(fs_crashes.run("list_crashes.py", "--date", fs_crashes.days).lines) >= set(fs_crashes.all_ids)
    assert fs_crashes.run("list_crashes.py", "--date", "20160918").lines == [OTHER_DAY_ID, DEFERRED_ID]


def test_list_takes_ranges_products_and_a_limit(fs_crashes: Crashes) -> None:
    result = fs_crashes.run("list_crashes.py", "--date", "yesterday..today", "--product", PRODUCT)
    assert result.lines == [fs_crashes.fenix], result.stderr
    assert len(fs_crashes.run("list_crashes.py", "--date", "yesterday..today", "--limit", "1").lines) == 1
    assert fs_crashes.run("list_crashes.py", "--date", "20160901-20161001", "--limit", "3").lines == [
        OTHER_DAY_ID,
        DEFERRED_ID,
    ]


@pytest.mark.parametrize("date", ["20160918", "2016-09-18", "2016-09-17..2016-09-18", "2016-09-18-20160919"])
def test_list_takes_dates_as_people_write_them(date: str, fs_crashes: Crashes) -> None:
    assert fs_crashes.run("list_crashes.py", "--date", date).lines == [OTHER_DAY_ID, DEFERRED_ID]


@pytest.mark.parametrize("date", ["2016-9-18", "20160931", "2016091", "18.9.2016", "2016-09-18..", "20160919-20160918"])
def test_list_refuses_what_is_no_date(date: str, fs_crashes: Crashes) -> None:
    result = fs_crashes.run("list_crashes.py", "--date", date)
    assert result.exit_code == 2
    assert "argument --date: " in result.stderr


def test_list_finds_products_in_any_case_and_versions(fs_crashes: Crashes) -> None:
    today = ("list_crashes.py", "--date", fs_crashes.days)
    assert fs_crashes.run(*today, "--product", PRODUCT.upper()).lines == [fs_crashes.fenix]
    assert fs_crashes.run(*today, "--product", PRODUCT, "--version", "153.0a1").lines == [fs_crashes.fenix]
    assert fs_crashes.run(*today, "--product", PRODUCT, "--version", "153").lines == []


@pytest.mark.parametrize("since", ["1h", "90m", "2d", "1w", "yesterday", "2026-01-01", "2026-01-01T10:00"])
def test_list_prints_what_came_in_since(since: str, fs_crashes: Crashes) -> None:
    result = fs_crashes.run("list_crashes.py", "--since", since, "--product", PRODUCT)
    assert result.lines == [fs_crashes.fenix], result.stderr


def test_list_prints_a_table(fs_crashes: Crashes) -> None:
    table = fs_crashes.run("list_crashes.py", "--table", "--date", fs_crashes.days).lines
    assert table[0].split() == ["time", "(UTC)", "product", "version", "channel", "process", "crash", "id"]
    (fenix,) = [line for line in table if line.endswith(fs_crashes.fenix)]
    assert fenix.split()[2:] == [PRODUCT, "153.0a1", "nightly", "content", fs_crashes.fenix]
    assert len(fs_crashes.run("list_crashes.py", "--table", "--num", "1").lines) == 2


def test_a_table_begins_with_the_newest_crash(tmp_path: Path) -> None:
    # The last one came before midnight, and was given its id after that.
    times = {
        "11111111-cbbf-4589-a673-34f800160917": "2016-09-17T10:00:00+00:00",
        "00000000-cbbf-4589-a673-34f800160917": "2016-09-17T11:00:00+00:00",
        "22222222-cbbf-4589-a673-34f800160918": "2016-09-18T09:00:00+00:00",
        "33333333-cbbf-4589-a673-34f800160918": "2016-09-17T23:59:59+00:00",
    }
    for crash_id, time in times.items():
        file = tmp_path / "v1" / "raw_crash" / date_of(crash_id) / crash_id
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"submitted_timestamp": time}))
    table = run_shell("bin/list_crashes.py --table --date 2016-09-17..2016-09-18", fs_environment(tmp_path)).lines
    assert [line.split()[-1] for line in table[1:]] == sorted(times, key=lambda crash_id: times[crash_id], reverse=True)


def test_list_prints_signatures(fs_crashes: Crashes) -> None:
    list_them = ("list_crashes.py", "--signature", "--date", fs_crashes.days)
    table = fs_crashes.run(*list_them, "--table")
    assert table.exit_code == 0, table.stderr
    objects = {item["crash_id"]: item["signature"] for item in fs_crashes.run(*list_them, "--json").objects}
    for crash_id in fs_crashes.all_ids:
        (line,) = [line for line in table.lines if crash_id in line]
        assert line.partition(crash_id)[2].strip() == objects[crash_id]
    assert objects[fs_crashes.fenix] == "EMPTY: there is no minidump"


def test_list_says_what_it_searched_when_there_is_nothing(fs_crashes: Crashes) -> None:
    result = fs_crashes.run("list_crashes.py", "--date", "20160919", "--product", "Fenix")
    assert (result.exit_code, result.stdout) == (0, "")
    root = fs_crashes.collector.environment["CRASHMOVER_CRASHSTORAGE_FS_ROOT"]
    assert result.stderr.splitlines()[-1] == f"no such crash in {root}, 2016-09-19 (UTC), product Fenix"


def test_list_prints_objects_for_scripts(fs_crashes: Crashes) -> None:
    objects = fs_crashes.run("list_crashes.py", "--date", fs_crashes.days, "--json").objects
    (firefox,) = [item for item in objects if item["crash_id"] == fs_crashes.firefox]
    assert firefox["ProductName"] == "Firefox"
    assert firefox["throttle_rule"] == "accept_everything"
    assert firefox["dumps"] == ["upload_file_minidump", "upload_file_minidump_browser"]


def test_show_prints_everything_and_verifies_checksums(crashes: Crashes) -> None:
    result = crashes.run("show_crash.py", f"bp-{crashes.firefox}")
    assert result.exit_code == 0
    assert "  ProductName: Firefox" in result.lines
    browser = "upload_file_minidump_browser"
    assert result.lines[-3:] == [
        f'v1/dump_names/{crashes.firefox}: ["upload_file_minidump", "upload_file_minidump_browser"]',
        f"v1/dump/{crashes.firefox}: upload_file_minidump, {MINIDUMP.stat().st_size:,} bytes, md5 verified",
        f"v1/{browser}/{crashes.firefox}: {browser}, {OTHER_DUMP.stat().st_size:,} bytes, md5 verified",
    ]


def test_show_finds_the_newest_crash(fs_crashes: Crashes) -> None:
    (newest,) = fs_crashes.collector.send("--no-dumps", "--set", "ProductName=Newest")
    result = fs_crashes.run("show_crash.py", "latest", "--json")
    assert result.objects[0]["crash_id"] == newest, result.stderr


def test_show_says_that_there_is_no_crash(tmp_path: Path) -> None:
    result = run_shell("bin/show_crash.py latest", fs_environment(tmp_path))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"show_crash.py: no crash of today or yesterday (UTC) in {tmp_path}\n"


def test_what_is_listed_can_be_fetched(crashes: Crashes, tmp_path: Path) -> None:
    listed = crashes.run("list_crashes.py", "--date", crashes.days).lines
    ids = [crash_id for crash_id in listed if crash_id in crashes.all_ids]
    result = crashes.run("fetch_crashes.py", "--raw", "--dumps", str(tmp_path), stdin="\n".join(ids))
    assert result.exit_code == 0, result.stderr
    assert sorted(result.lines) == crashes.all_ids
    files = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    assert files == {
        f"raw_crash/{date_of(crashes.firefox)}/{crashes.firefox}",
        f"raw_crash/{date_of(crashes.fenix)}/{crashes.fenix}",
        f"dump_names/{crashes.firefox}",
        f"dump_names/{crashes.fenix}",
        f"upload_file_minidump/{crashes.firefox}",
        f"upload_file_minidump_browser/{crashes.firefox}",
    }
    assert (tmp_path / "upload_file_minidump" / crashes.firefox).read_bytes() == MINIDUMP.read_bytes()
    assert (tmp_path / "upload_file_minidump_browser" / crashes.firefox).read_bytes() == OTHER_DUMP.read_bytes()
    assert (tmp_path / "dump_names" / crashes.fenix).read_bytes() == b"[]"
    raw_crash = json.loads((tmp_path / "raw_crash" / date_of(crashes.fenix) / crashes.fenix).read_bytes())
    assert raw_crash["ProductName"] == PRODUCT


def test_fetch_continues_and_names_what_is_missing(fs_crashes: Crashes, tmp_path: Path) -> None:
    there = tmp_path / "upload_file_minidump" / fs_crashes.firefox
    there.parent.mkdir()
    there.write_bytes(b"fetched before")
    fetch = ("fetch_crashes.py", "--no-raw", "--dumps", "--json")
    result = fs_crashes.run(*fetch, str(tmp_path), fs_crashes.firefox, UNKNOWN_ID)
    assert result.exit_code == 1
    assert f"{UNKNOWN_ID}: missing in the storage: v1/dump_names/{UNKNOWN_ID}" in result.stderr
    assert there.read_bytes() == b"fetched before"
    assert result.objects == [
        {
            "crash_id": fs_crashes.firefox,
            "fetched": [f"v1/dump_names/{fs_crashes.firefox}", f"v1/upload_file_minidump_browser/{fs_crashes.firefox}"],
            "present": [f"v1/dump/{fs_crashes.firefox}"],
            "missing": [],
            "problems": [],
        },
        {
            "crash_id": UNKNOWN_ID,
            "fetched": [],
            "present": [],
            "missing": [f"v1/dump_names/{UNKNOWN_ID}"],
            "problems": [],
        },
    ]
    again = fs_crashes.run(*fetch, "--overwrite", "--workers", "2", str(tmp_path), fs_crashes.firefox)
    assert again.exit_code == 0, again.stderr
    assert there.read_bytes() == MINIDUMP.read_bytes()


def test_command_line_of_crash_stats_tools_works(fs_crashes: Crashes, tmp_path: Path) -> None:
    result = run_shell(
        f"bin/list_crashes.py --product={PRODUCT} --num=10 "
        f"| bin/fetch_crashes.py --raw --dumps --no-processed {tmp_path}/crashdata",
        fs_crashes.collector.environment,
    )
    assert result.lines == [fs_crashes.fenix], result.stderr


@pytest.mark.parametrize("form", ["bp-{}", "https://crashes.example.com/report/index/{}", "http://localhost/{}/?a=b#c"])
def test_fetch_takes_ids_as_people_paste_them(form: str, fs_crashes: Crashes, tmp_path: Path) -> None:
    result = fs_crashes.run("fetch_crashes.py", str(tmp_path), form.format(OTHER_DAY_ID))
    assert result.lines == [OTHER_DAY_ID], result.stderr
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == [OTHER_DAY_ID]


def test_ids_are_pulled_and_published_again(crashes: Crashes) -> None:
    pull = ("pull_ids.py", "--wait", "0.1")
    published = crashes.run(*pull)
    assert published.exit_code == 0, published.stderr
    assert set(published.lines) >= {*crashes.all_ids, OTHER_DAY_ID}
    # They are still there. Pub/Sub does not keep the order.
    assert sorted(crashes.run(*pull, "--ack").lines) == sorted(published.lines)
    assert crashes.run(*pull).lines == []

    planned = crashes.run("republish.py", "--date", "20160918", "--dry-run")
    assert planned.lines == [OTHER_DAY_ID]
    assert "1 deferred crashes skipped" in planned.stderr
    again = crashes.run("republish.py", stdin=f"{crashes.fenix}\n{crashes.firefox}\n{DEFERRED_ID}\n")
    assert again.exit_code == 0, again.stderr
    assert again.lines == [crashes.fenix, crashes.firefox]
    pulled = crashes.run(*pull, "--json", "--ack").objects
    assert sorted(item["crash_id"] for item in pulled) == crashes.all_ids


def fs_environment(root: Path) -> dict[str, str]:
    """Return an environment in which ``root`` is the storage."""
    return {
        "CRASHMOVER_CRASHSTORAGE_CLASS": "antenna.ext.fs.crashstorage.FSCrashStorage",
        "CRASHMOVER_CRASHSTORAGE_FS_ROOT": str(root),
    }


@pytest.fixture
def damaged(tmp_path: Path) -> dict[str, Path]:
    """Files of a crash with one dump, by what they are."""
    content = b"a dump"
    raw_crash = {"metadata": {"dump_checksums": {"upload_file_minidump": hashlib.sha256(content).hexdigest()}}}
    files = {"raw_crash": f"raw_crash/20160918/{OTHER_DAY_ID}", "dump_names": f"dump_names/{OTHER_DAY_ID}"}
    files["dump"] = f"dump/{OTHER_DAY_ID}"
    paths = {name: tmp_path / "v1" / file for name, file in files.items()}
    for path in paths.values():
        path.parent.mkdir(parents=True)
    paths["raw_crash"].write_text(json.dumps(raw_crash))
    paths["dump_names"].write_text('["upload_file_minidump"]')
    paths["dump"].write_bytes(content)
    return paths


def test_show_verifies_checksums_of_any_hash_that_the_option_may_name(damaged: dict[str, Path], tmp_path: Path) -> None:
    checksums = {"upload_file_minidump": hashlib.sha384(damaged["dump"].read_bytes()).hexdigest()}
    damaged["raw_crash"].write_text(json.dumps({"metadata": {"dump_checksums": checksums}}))
    assert "sha384 verified" in run_shell(f"bin/show_crash.py {OTHER_DAY_ID}", fs_environment(tmp_path)).stdout


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("dump", b"a dumP", "WRONG CHECKSUM"),
        ("dump", None, "MISSING"),
        ("dump_names", None, "MISSING"),
        ("dump_names", b"[]", "NOT AMONG THE DUMP NAMES"),
        ("raw_crash", b"{}", "NO CHECKSUM"),
    ],
)
def test_show_finds_damage(
    name: str, content: bytes | None, message: str, damaged: dict[str, Path], tmp_path: Path
) -> None:
    if content is None:
        damaged[name].unlink()
    else:
        damaged[name].write_bytes(content)
    result = run_shell(f"bin/show_crash.py {OTHER_DAY_ID}", fs_environment(tmp_path))
    assert result.exit_code == 1
    assert message in result.stdout


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["{root}/outside"], "leads out of"),
        (["../outside"], "leads out of"),
        (["a/../../outside"], "leads out of"),
        ([5], "is not a list of names"),
        ([None], "is not a list of names"),
        ({"dump": 1}, "is not a list of names"),
        (None, "is not a list of names"),
    ],
    ids=str,
)
def test_fetch_writes_nothing_outside_of_its_directory(
    names: Any, message: str, damaged: dict[str, Path], tmp_path: Path
) -> None:
    damaged["dump_names"].write_text(json.dumps(names).replace("{root}", str(tmp_path)))
    for name in (f"{tmp_path}/outside", "5", "None", "dump"):
        stored = tmp_path / f"v1/{name}" / OTHER_DAY_ID
        stored.parent.mkdir(parents=True, exist_ok=True)
        stored.write_bytes(b"a dump")
    before = set(tmp_path.rglob("*"))
    directory = tmp_path / "fetched"
    result = run_shell(f"bin/fetch_crashes.py --no-raw --dumps {directory} {OTHER_DAY_ID}", fs_environment(tmp_path))
    assert result.exit_code == 1
    assert message in result.stderr
    assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(directory)} == before


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000], ids=lambda content: repr(content[:10]))
def test_programs_go_on_after_a_damaged_crash(content: bytes, damaged: dict[str, Path], tmp_path: Path) -> None:
    damaged["raw_crash"].write_bytes(content)
    # A time that is before the first day in UTC.
    whole = {"ProductName": PRODUCT, "submitted_timestamp": "0001-01-01T00:00:00+14:00", "metadata": []}
    damaged["raw_crash"].with_name(DEFERRED_ID).write_text(json.dumps(whole))
    environment = fs_environment(tmp_path)
    listed = run_shell(f"bin/list_crashes.py --date 20160918 --product {PRODUCT}", environment)
    assert (listed.exit_code, listed.lines) == (1, [DEFERRED_ID])
    assert listed.stderr.startswith(f"{OTHER_DAY_ID}: the raw crash is not ")
    table = run_shell("bin/list_crashes.py --date 20160918 --table", environment)
    assert (table.exit_code, len(table.lines)) == (1, 2)
    damaged["dump_names"].write_bytes(content)
    fetched = run_shell(f"bin/fetch_crashes.py --dumps {tmp_path}/to {OTHER_DAY_ID} {DEFERRED_ID}", environment)
    assert (fetched.exit_code, fetched.stdout) == (1, "" if content != b"[]" else f"{OTHER_DAY_ID}\n")
    assert f"{DEFERRED_ID}: missing in the storage: v1/dump_names/{DEFERRED_ID}" in fetched.stderr


def test_what_clients_sent_does_not_control_the_terminal(damaged: dict[str, Path], tmp_path: Path) -> None:
    damaged["raw_crash"].write_text(json.dumps({"ProductName": "\x1b[2J\u009b\u202e", "Version": "1\n2\x7f"}))
    table = run_shell("bin/list_crashes.py --date 20160918 --table", fs_environment(tmp_path))
    assert table.exit_code == 0, table.stderr
    assert len(table.lines) == 2
    assert all(line.isprintable() for line in table.lines)


def test_terminals_of_other_encodings_show_escapes(damaged: dict[str, Path], tmp_path: Path) -> None:
    damaged["raw_crash"].write_text(json.dumps({"ProductName": "na\u00efve \U0001f600"}))
    environment = fs_environment(tmp_path) | {"PYTHONIOENCODING": "ascii"}
    table = run_shell("bin/list_crashes.py --date 20160918 --table", environment)
    assert table.exit_code == 0, table.stderr
    assert "na\\xefve \\U0001f600" in table.stdout


@pytest.mark.parametrize("thing", ["directory", "FIFO", "link to itself"])
@pytest.mark.parametrize("name", ["raw_crash", "dump_names"])
def test_programs_go_on_after_what_is_no_file(thing: str, name: str, damaged: dict[str, Path], tmp_path: Path) -> None:
    damaged[name].unlink()
    make_odd_thing(damaged[name], thing)
    environment = fs_environment(tmp_path)
    for command in (f"show_crash.py {OTHER_DAY_ID}", f"fetch_crashes.py --dumps {tmp_path}/to {OTHER_DAY_ID}"):
        result = run_shell(f"bin/{command}", environment)
        assert (result.exit_code, result.stdout.count(OTHER_DAY_ID + "\n")) == (1, 0)
        assert "Traceback" not in result.stderr
        assert result.stderr


@dataclass(frozen=True)
class Pruned:
    """A storage of its own with two crashes of 2016, ``OTHER_DAY_ID`` and ``DEFERRED_ID``, and two of today."""

    environment: dict[str, str]
    with_dump: str
    without_dump: str

    def run(self, program: str, *arguments: str) -> Result:
        """Run a program of bin/."""
        return run_shell(shlex.join([f"bin/{program}", *arguments]), self.environment)

    def listed(self) -> list[str]:
        """Return the ids of all crashes, as list_crashes.py prints them."""
        old = self.run("list_crashes.py", "--date", "20160918").lines
        return old + self.run("list_crashes.py", "--date", "yesterday..today").lines


@pytest.fixture(params=["fs", "google"])
def pruned(request: pytest.FixtureRequest, tmp_path: Path) -> Pruned:
    reports = [make_report({"upload_file_minidump": MINIDUMP.read_bytes()}), *(make_report({}) for _ in range(3))]
    reports[2].crash_id, reports[3].crash_id = OTHER_DAY_ID, DEFERRED_ID
    objects = {name: content for report in reports for name, content in objects_of(report).items()}
    if request.param == "fs":
        environment = fs_environment(tmp_path)
        for name, content in objects.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)
    else:
        bucket = GcsBucket(request.getfixturevalue("gcs_emulator"))
        environment = {
            "CRASHMOVER_CRASHSTORAGE_CLASS": "antenna.ext.gcs.crashstorage.GcsCrashStorage",
            "CRASHMOVER_CRASHSTORAGE_BUCKET_NAME": bucket.name,
            "STORAGE_EMULATOR_HOST": bucket.emulator_url,
        }
        for name, content in objects.items():
            bucket.put(name, content)
    return Pruned(environment, reports[0].crash_id, reports[1].crash_id)


def test_prune_deletes_old_crashes_and_nothing_else(pruned: Pruned, tmp_path: Path) -> None:
    todays = sorted([pruned.with_dump, pruned.without_dump])
    planned = pruned.run("prune_crashes.py", "--older-than", "90d", "--dry-run")
    assert planned.exit_code == 0, planned.stderr
    assert "would delete 2 crashes from before " in planned.stderr
    assert sorted(pruned.listed()) == sorted([OTHER_DAY_ID, DEFERRED_ID, *todays])
    done = pruned.run("prune_crashes.py", "--older-than", "90d")
    assert done.exit_code == 0, done.stderr
    assert "deleted 2 crashes from before " in done.stderr
    assert "(4 objects)" in done.stderr
    assert sorted(pruned.listed()) == todays
    assert pruned.run("show_crash.py", pruned.with_dump).exit_code == 0
    assert not (tmp_path / "v1" / "raw_crash" / "20160918").exists()


@pytest.mark.parametrize("age", [None, "90", "0d", "d", "-1d", "90days", "1.5d"])
def test_prune_refuses_to_run_without_an_age(age: str | None, damaged: dict[str, Path], tmp_path: Path) -> None:
    argument = "" if age is None else f"--older-than={age}"
    result = run_shell(f"bin/prune_crashes.py {argument}", fs_environment(tmp_path))
    assert result.exit_code == 2
    assert "--older-than" in result.stderr
    assert all(path.exists() for path in damaged.values())


def test_prune_finds_what_has_no_raw_crash_any_more(damaged: dict[str, Path], tmp_path: Path) -> None:
    damaged["raw_crash"].unlink()
    stranger = damaged["dump"].with_name("not-a-crash-id")
    stranger.write_bytes(b"somebody's")
    result = run_shell("bin/prune_crashes.py --older-than 1y", fs_environment(tmp_path))
    assert "deleted 0 crashes from before" in result.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [stranger]
