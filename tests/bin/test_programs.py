# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""All programs run with any Python, explain themselves, and fail with one line."""

import os
import pty
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.server import PROJECT_ROOT
from tests.support.tools import Result, run_shell

# People run these; the image runs healthcheck.py.
PROGRAMS = sorted(
    path.name
    for path in (PROJECT_ROOT / "bin").glob("*.py")
    if not path.name.startswith("_") and path.name != "healthcheck.py"
)
CRASH_ID = "de1bb258-cbbf-4589-a673-34f800160918"
STORAGE_CLASS = "CRASHMOVER_CRASHSTORAGE_CLASS"
FS_STORAGE = "antenna.ext.fs.crashstorage.FSCrashStorage"
NOWHERE = {
    STORAGE_CLASS: FS_STORAGE,
    "CRASHMOVER_CRASHSTORAGE_FS_ROOT": "/nonexistent/crashes",
    "CRASHMOVER_CRASHPUBLISH_CLASS": "antenna.ext.fs.crashpublish.FSCrashPublish",
    "CRASHMOVER_CRASHPUBLISH_FS_ROOT": "/nonexistent/queue",
    # No program listens on port 1.
    "STORAGE_EMULATOR_HOST": "127.0.0.1:1",
}

# Each command with its exit code and the end of its output.
ERRORS = [
    ("list_crashes.py --date 22.11.2026", 2, "expected YYYYMMDD"),
    ("list_crashes.py --since 9999-12-31T23:59-14:00", 2, "expected a time such as"),
    ("list_crashes.py --since 700000d", 2, "expected a time such as"),
    ("show_crash.py de1bb258", 2, "neither a crash id nor a file: 'de1bb258'"),
    ("pull_ids.py", 1, "/nonexistent/queue is not a directory"),
    ("pubsub.py --project p publish nonsense", 2, "not a crash id: 'nonsense'"),
    (
        "gcs.py --bucket b list-objects",
        1,
        "cannot reach http://127.0.0.1:1: [Errno 111] Connection refused",
    ),
    ("send_crashes.py example.com", 1, "not a URL to send to: example.com"),
    ("send_crashes.py --annotations /nonexistent", 1, "/nonexistent: No such file or directory"),
    ("send_crashes.py --annotations README.rst", 1, "README.rst: not JSON"),
    ("send_crashes.py --dump crash.dmp", 2, "expected NAME=FILE"),
    ("send_crashes.py --replay README.rst", 1, "not an HTTP request"),
    ("send_crashes.py --replay http://127.0.0.1:1/submit", 2, "expected files before the URL"),
]


# Programs that start by themselves in other tests: of this module, and, in pipes or beside a collector, of
# test_stored_crashes.py, test_supersearch.py and test_spool.py. Each of the others starts here, for its ``--help``.
STARTED_ELSEWHERE = {
    "check_config.py",
    "fetch_crashes.py",
    "list_crashes.py",
    "pull_ids.py",
    "republish.py",
    "send_crashes.py",
    "show_config.py",
    "show_crash.py",
    "spool.py",
    "supersearch.py",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the project without a .venv."""
    copy_project(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def shared_checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same. Tests share it, and leave it as it is."""
    directory = tmp_path_factory.mktemp("checkout")
    copy_project(directory)
    return directory


def copy_project(directory: Path) -> None:
    for name in ("bin", "antenna"):
        # Other tests may be writing bytecode, under another name at first.
        shutil.copytree(PROJECT_ROOT / name, directory / name, ignore=shutil.ignore_patterns("*.pyc.*"))


def without_packages(arguments: str, checkout: Path) -> Result:
    return run_shell(f"{sys.executable} -S {arguments}", {}, root=checkout)


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    """The outcome of each command of the table, and of ``--help`` of each program.

    They run at the same time, because programs take a moment to start, and one retries for some seconds.
    """
    in_forks = [*(command for command, _, _ in ERRORS), *(f"{program} --help" for program in STARTED_ELSEWHERE)]
    by_themselves = [f"{program} --help" for program in PROGRAMS if program not in STARTED_ELSEWHERE]
    with ThreadPoolExecutor(max_workers=4) as pool:
        forks = pool.submit(lambda: {command: run_shell(f"bin/{command}", NOWHERE) for command in in_forks})
        outcomes = pool.map(lambda command: run_shell(f"bin/{command}", NOWHERE, by_itself=True), by_themselves)
        return dict(zip(by_themselves, outcomes, strict=True)) | forks.result()


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_has_examples(program: str, results: dict[str, Result]) -> None:
    assert os.access(PROJECT_ROOT / "bin" / program, os.X_OK)
    result = results[f"{program} --help"]
    assert result.exit_code == 0, result.stderr
    assert f"bin/{program}" in result.stdout.partition("Examples:")[2]


@pytest.mark.parametrize(("command", "exit_code", "message"), ERRORS)
def test_errors_are_one_line(command: str, exit_code: int, message: str, results: dict[str, Result]) -> None:
    result = results[command]
    assert result.exit_code == exit_code, result.stderr
    assert message in result.stderr.splitlines()[-1]


def test_a_program_may_find_out_late_that_it_needs_the_storage() -> None:
    result = run_shell(f"bin/show_crash.py {CRASH_ID}", NOWHERE, by_itself=True)
    path = f"v1/raw_crash/20160918/{CRASH_ID}"
    assert result == Result(1, "", f"show_crash.py: no crash {CRASH_ID}: there is no {path}\n")


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({STORAGE_CLASS: "antenna.ext.crashstorage_base.NoOpCrashStorage"}, "keeps no crashes that could be read"),
        ({STORAGE_CLASS: "no.such.Class"}, "CRASHMOVER_CRASHSTORAGE_CLASS has a bad value 'no.such.Class'"),
        ({STORAGE_CLASS: FS_STORAGE}, "CRASHMOVER_CRASHSTORAGE_FS_ROOT is not set"),
    ],
)
def test_a_storage_that_cannot_be_read_is_explained(environment: dict[str, str], message: str) -> None:
    result = run_shell("bin/list_crashes.py", environment)
    assert result.exit_code == 1
    assert message in result.stderr


def test_ids_on_stdin_are_all_checked_before_work_begins(tmp_path: Path) -> None:
    stdin = f"CrashID=bp-{CRASH_ID}\n\nnonsense\n"
    result = run_shell(f"bin/fetch_crashes.py --raw {tmp_path}", NOWHERE, stdin=stdin)
    assert result.exit_code == 1
    assert "stdin, line 3: not a crash id: 'nonsense'" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_reader_may_stop_reading(tmp_path: Path) -> None:
    day = tmp_path / "v1" / "raw_crash" / "20160918"
    day.mkdir(parents=True)
    crash = tmp_path / "raw_crash"
    crash.write_bytes(b"{}")
    # Their ids are more than a pipe holds.
    for number in range(2500):
        (day / f"{number:08x}{CRASH_ID[8:]}").hardlink_to(crash)
    environment = NOWHERE | {"CRASHMOVER_CRASHSTORAGE_FS_ROOT": str(tmp_path)}
    result = run_shell("bin/list_crashes.py --date 20160918 | head -n 1", environment)
    assert result.lines == [f"00000000{CRASH_ID[8:]}"]
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("command", "exit_code", "message"),
    [
        ("check_config.py --offline > /dev/full", 1, "check_config.py: [Errno 28] No space left on device\n"),
        ("show_config.py >&-", 0, ""),
        ("pull_ids.py <&- >&- 2>&-", 1, ""),
    ],
)
def test_output_may_have_no_place(command: str, exit_code: int, message: str) -> None:
    assert run_shell(f"bin/{command}", NOWHERE) == Result(exit_code, "", message)


def test_without_packages_the_program_says_what_to_do(shared_checkout: Path) -> None:
    result = without_packages("bin/list_crashes.py", shared_checkout)
    assert result.exit_code == 1
    assert result.stderr.startswith("bin/list_crashes.py: needs the packages of requirements.txt: ")


def test_without_packages_the_venv_of_make_is_used(checkout: Path) -> None:
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho the venv runs "$@"\n')
    python.chmod(0o755)
    result = without_packages("bin/list_crashes.py --num 3", checkout)
    assert result == Result(0, "the venv runs bin/list_crashes.py --num 3\n", "")


def test_long_work_shows_progress_on_a_screen(tmp_path: Path) -> None:
    day = tmp_path / "v1" / "raw_crash" / "20160918"
    day.mkdir(parents=True)
    for number in range(40):
        (day / f"{number:08x}{CRASH_ID[8:]}").write_bytes(b"{}")
    environment = NOWHERE | {
        "CRASHMOVER_CRASHSTORAGE_FS_ROOT": str(tmp_path),
        "CRASHMOVER_CRASHPUBLISH_FS_ROOT": str(tmp_path / "queue"),
    }
    screen, terminal = pty.openpty()
    run_shell(f"bin/republish.py --date 20160918 --rate 60 2>/dev/fd/{terminal}", environment, pass_fds=(terminal,))
    os.close(terminal)
    shown = os.read(screen, 100_000).decode()
    os.close(screen)
    assert re.search(r"\r\033\[Kpublished \d+ of 40 \(\d+/s\)", shown)
    assert shown.endswith("\r\033[K40 of 40 published\r\n")


def test_crashes_are_sent_without_packages(shared_checkout: Path) -> None:
    result = without_packages("bin/send_crashes.py --no-dumps --print", shared_checkout)
    assert result.stdout.startswith("POST /submit?"), result.stderr
    result = without_packages("bin/send_crashes.py", shared_checkout)
    assert (
        result.stderr
        == "send_crashes.py: which dump? Say --dump NAME=FILE or --no-dumps: there is no tests/data here\n"
    )


def test_without_environment_it_is_what_make_run_uses(checkout: Path) -> None:
    crashes = checkout / ".local" / "crashes" / "v1" / "raw_crash" / "20160918"
    crashes.mkdir(parents=True)
    (crashes / CRASH_ID).write_bytes(b"{}")
    queue = checkout / ".local" / "queue"
    queue.mkdir()
    (queue / f"1795329977188040181-{CRASH_ID}").write_text(CRASH_ID)
    result = run_shell("bin/list_crashes.py --date 20160918; bin/pull_ids.py", {}, root=checkout)
    assert result.lines == [CRASH_ID, CRASH_ID]
    makefile = (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8")
    assert "CRASHMOVER_CRASHSTORAGE_FS_ROOT ?= $(CURDIR)/.local/crashes" in makefile
    assert "CRASHMOVER_CRASHPUBLISH_FS_ROOT ?= $(CURDIR)/.local/queue" in makefile
