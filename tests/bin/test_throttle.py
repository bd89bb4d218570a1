# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Seeing what rules would do: bin/throttle.py."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import PROJECT_ROOT
from tests.support.tools import Result, run_shell

CRASH_ID = "de1bb25{}-cbbf-4589-a673-34f800261122"
MOZILLA = "antenna.throttler.MOZILLA_RULES"
MOZILLA_FILE = "docs/examples/mozilla.toml"

RULES = """
products = ["Firefox"]
[[rules]]
name = "foreign"
key = "product"
listed = false
result = "REJECT"
[[rules]]
name = "old"
annotation = "BuildID"
older_than_days = 100
result = "DEFER"
[[rules]]
name = "rest"
percentage = {percentage}
chosen = "ACCEPT"
otherwise = "DEFER"
"""

CRASHES = [
    {"ProductName": "Firefox", "ReleaseChannel": "release"},
    {"ProductName": "Firefox", "ReleaseChannel": "beta"},
    {"prod": "Game", "Comments": "\x1b[31mred"},
    {"ProductName": "Firefox", "BuildID": "20260801000000"},
]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A storage on the file system, with crashes of one day."""
    folder = tmp_path / "crashes" / "v1" / "raw_crash" / "20261122"
    folder.mkdir(parents=True)
    for number, annotations in enumerate(CRASHES):
        raw_crash = annotations | {
            "submitted_timestamp": "2026-11-22T04:27:03.120000+00:00",
            "metadata": {"user_agent": "Reporter/1.0"},
        }
        (folder / CRASH_ID.format(number)).write_text(json.dumps(raw_crash))
    for percentage in (10, 20):
        (tmp_path / f"{percentage}.toml").write_text(RULES.format(percentage=percentage))
    return tmp_path


def run(directory: Path, arguments: str, stdin: str = "", **environment: str) -> Result:
    storage = {
        "CRASHMOVER_CRASHSTORAGE_CLASS": "antenna.ext.fs.crashstorage.FSCrashStorage",
        "CRASHMOVER_CRASHSTORAGE_FS_ROOT": str(directory / "crashes"),
    }
    return run_shell(f"bin/throttle.py {arguments}", storage | environment, stdin=stdin)


def test_explain_a_stored_crash(directory: Path) -> None:
    result = run(directory, f"explain bp-{CRASH_ID.format(0)} --rules {directory}/10.toml")

    assert result.exit_code == 0
    assert result.lines[0].split(maxsplit=1) == ["foreign", 'product is "Firefox"; not listed: no  -> no']
    assert "BuildID is absent" in result.lines[1]
    assert result.lines[2].endswith("every crash: yes  -> matches: 10 % ACCEPT, the others DEFER")
    assert result.lines[-1].startswith("10.toml@")
    assert result.lines[-1].endswith(": 10 % ACCEPT by rest, 90 % DEFER by rest")


def test_explain_annotations_with_the_rules_of_the_environment(directory: Path) -> None:
    result = run(
        directory, "explain - --json", json.dumps({"ProductName": "Game"}), BREAKPAD_THROTTLER_PRODUCTS="Game,Other"
    )

    (explanation,) = result.objects
    assert explanation["verdict"] == "ACCEPT by accept_everything"
    assert explanation["rules"].startswith(f"{MOZILLA}@")
    assert explanation["steps"][0]["rule_name"] == "has_old_buildid"


def test_rules_file_beside_lists_of_the_environment(directory: Path) -> None:
    result = run(
        directory,
        f"explain - --rules {directory}/10.toml",
        '{"prod": "Game"}',
        BREAKPAD_THROTTLER_PRODUCTS="antenna.throttler.ALL_PRODUCTS",
    )

    assert result.lines[-1].endswith("REJECT by foreign")


def test_crashes_are_judged_as_of_the_time_they_came_in(directory: Path) -> None:
    result = run(directory, f"explain {CRASH_ID.format(3)} --rules {directory}/10.toml")

    assert result.lines[-1].endswith("DEFER by old")


def test_nothing_of_a_client_controls_the_screen(directory: Path) -> None:
    assert "\x1b" not in run(directory, f"explain {CRASH_ID.format(2)}").stdout


@pytest.mark.parametrize("where", ["--date 2026-11-22", "--dir {}/crashes"])
def test_compare(directory: Path, where: str) -> None:
    arguments = f"compare {directory}/10.toml {directory}/20.toml {where.format(directory)}"

    (comparison,) = run(directory, f"{arguments} --json").objects
    assert (comparison["same"], comparison["different"]) == (2, 2)
    assert comparison["differences"] == [
        {
            "a": "10 % ACCEPT by rest, 90 % DEFER by rest",
            "b": "20 % ACCEPT by rest, 80 % DEFER by rest",
            "crashes": 2,
            "examples": [CRASH_ID.format(0), CRASH_ID.format(1)],
        }
    ]
    text = run(directory, f"{arguments} --examples 1").stdout
    assert "2 crashes get the same verdict, 2 another one" in text
    assert "crashes that were rejected, because they are not stored" in text
    assert "private annotations" in text
    assert CRASH_ID.format(1) not in text


def test_mozilla_s_rules_and_their_file_do_not_differ() -> None:
    sets = sorted((PROJECT_ROOT / "tests" / "data" / "annotations").glob("*.json"))

    result = run_shell(f"bin/throttle.py compare {MOZILLA} {MOZILLA_FILE} --dir tests/data/annotations --json", {})

    assert result.objects[0]["same"] == len(sets)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (f"explain {CRASH_ID.format(9)}", "is not in the storage"),
        ("explain no_such_file", "No such file"),
        ("explain docs/index.rst", "is neither a crash id nor JSON"),
        ("explain - --rules no_such_file.toml", "no_such_file.toml cannot be read"),
        ("compare docs/examples/game.toml pyproject.toml", "unknown key 'project'"),
    ],
)
def test_errors(directory: Path, arguments: str, problem: str) -> None:
    result = run(directory, arguments, "{}")

    assert result.exit_code == 1
    assert problem in result.stderr


def test_damaged_crashes_are_named_and_left_out(directory: Path) -> None:
    bad: Any = directory / "crashes" / "v1" / "raw_crash" / "20261122" / CRASH_ID.format(9)
    bad.write_text("[")

    for where in ("--date 2026-11-22", f"--dir {directory}/crashes"):
        result = run(directory, f"compare {directory}/10.toml {directory}/10.toml {where} --json")
        assert result.objects[0]["same"] == len(CRASHES)
        assert CRASH_ID.format(9) in result.stderr
