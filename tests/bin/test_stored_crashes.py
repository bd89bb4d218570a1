# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Listing, showing and fetching stored crashes, and publishing them again, from any storage."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from antenna.crash.crash_id import date_of
from tests.bin.conftest import Collector, Result, run_shell
from tests.support.captures import MINIDUMPS

MINIDUMP = MINIDUMPS / "rust-minidump-simple-crashpad.dmp"
OTHER_DUMP = MINIDUMPS / "breakpad-minidump2.dmp"
# Of no other test.
PRODUCT = "StoredProduct"
OTHER_DAY_ID = "de1bb258-cbbf-4589-a673-34f800160918"
DEFERRED_ID = "de1bb258-cbbf-4589-a673-34f801160918"
UNKNOWN_ID = "00000000-cbbf-4589-a673-34f800160918"


@dataclass(frozen=True)
class Crashes:
    """A collector, and what was sent to it."""

    collector: Collector
    firefox: str
    fenix: str

    @property
    def all_ids(self) -> list[str]:
        """Ids of today, those of the day of ``OTHER_DAY_ID`` come on top."""
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
    last_day = fs_crashes.days[-8:]
    result = fs_crashes.run("list_crashes.py", "--date", f"20160901-{last_day}", "--product", PRODUCT)
    assert result.lines == [fs_crashes.fenix], result.stderr
    assert len(fs_crashes.run("list_crashes.py", "--date", f"20160901-{last_day}", "--limit", "3").lines) == 3


def test_list_says_that_there_is_nothing(fs_crashes: Crashes) -> None:
    result = fs_crashes.run("list_crashes.py", "--date", "20160919")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("no such crash in ")


def test_list_prints_objects_for_scripts(fs_crashes: Crashes) -> None:
    objects = fs_crashes.run("list_crashes.py", "--date", fs_crashes.days, "--json").objects
    (firefox,) = [item for item in objects if item["crash_id"] == fs_crashes.firefox]
    assert firefox["ProductName"] == "Firefox"
    assert firefox["throttle_rule"] == "accept_everything"
    assert firefox["dumps"] == ["upload_file_minidump", "upload_file_minidump_browser"]


def test_show_prints_everything_and_verifies_checksums(crashes: Crashes) -> None:
    result = crashes.run("show_crash.py", f"bp-{crashes.firefox}")
    assert result.exit_code == 0
    assert '  "ProductName": "Firefox",' in result.lines
    assert result.lines[-3:] == [
        f'v1/dump_names/{crashes.firefox}: ["upload_file_minidump", "upload_file_minidump_browser"]',
        f"v1/dump/{crashes.firefox}: upload_file_minidump, 18,512 bytes, md5 verified",
        f"v1/upload_file_minidump_browser/{crashes.firefox}: upload_file_minidump_browser, 11,317 bytes, md5 verified",
    ]


def test_list_is_piped_into_fetch(crashes: Crashes, tmp_path: Path) -> None:
    result = run_shell(
        f"bin/list_crashes.py --date {crashes.days} | grep -e {crashes.firefox} -e {crashes.fenix} "
        f"| bin/fetch_crashes.py --raw --dumps {tmp_path}",
        crashes.collector.environment,
    )
    assert result.exit_code == 0, result.stderr
    assert sorted(result.lines) == crashes.all_ids
    files = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    assert files == {
        f"raw_crash/{date_of(crashes.firefox)}/{crashes.firefox}",
        f"raw_crash/{date_of(crashes.fenix)}/{crashes.fenix}",
        f"dump_names/{crashes.firefox}",
        f"dump_names/{crashes.fenix}",
        f"dump/{crashes.firefox}",
        f"upload_file_minidump_browser/{crashes.firefox}",
    }
    assert (tmp_path / "dump" / crashes.firefox).read_bytes() == MINIDUMP.read_bytes()
    assert (tmp_path / "upload_file_minidump_browser" / crashes.firefox).read_bytes() == OTHER_DUMP.read_bytes()
    assert (tmp_path / "dump_names" / crashes.fenix).read_bytes() == b"[]"
    raw_crash = json.loads((tmp_path / "raw_crash" / date_of(crashes.fenix) / crashes.fenix).read_bytes())
    assert raw_crash["ProductName"] == PRODUCT


def test_fetch_continues_and_names_what_is_missing(fs_crashes: Crashes, tmp_path: Path) -> None:
    there = tmp_path / "dump" / fs_crashes.firefox
    there.parent.mkdir()
    there.write_bytes(b"fetched before")
    result = fs_crashes.run("fetch_crashes.py", "--dumps", "--json", str(tmp_path), fs_crashes.firefox, UNKNOWN_ID)
    assert result.exit_code == 1
    assert f"{UNKNOWN_ID}: missing in the storage: v1/dump_names/{UNKNOWN_ID}" in result.stderr
    assert there.read_bytes() == b"fetched before"
    assert result.objects == [
        {
            "crash_id": fs_crashes.firefox,
            "fetched": [f"v1/dump_names/{fs_crashes.firefox}", f"v1/upload_file_minidump_browser/{fs_crashes.firefox}"],
            "present": [f"v1/dump/{fs_crashes.firefox}"],
            "missing": [],
        },
        {"crash_id": UNKNOWN_ID, "fetched": [], "present": [], "missing": [f"v1/dump_names/{UNKNOWN_ID}"]},
    ]


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
    """Return what makes ``root`` the storage."""
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
    result = run_shell(f"bin/fetch_crashes.py --dumps {directory} {OTHER_DAY_ID}", fs_environment(tmp_path))
    assert result.exit_code == 1
    assert message in result.stderr
    assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(directory)} == before
