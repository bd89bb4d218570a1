# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Faults of a configuration are found before a collector runs with it, and secrets stay secret."""

import json
from pathlib import Path

import pytest

from antenna.config import describe_options
from antenna.viewer.options import ViewerConfig
from tests.support.options import OPTION_NAMES
from tests.support.server import file_system_environment
from tests.support.tools import run_shell

EX_CONFIG = 78


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return file_system_environment(tmp_path) | {
        "CRASHMOVER_SPOOL_DIR": str(tmp_path / "spool"),
        "BREAKPAD_TEMP_DIR": str(tmp_path),
        # A size for which every machine has room.
        "CRASHMOVER_SPOOL_MAX_SIZE": "1MiB",
        "BREAKPAD_TEMP_SIZE_PER_WORKER": "1MiB",
        "SECRET_SENTRY_DSN": "https://hush@sentry.example.com/1",
        "CMD_PREFIX": "env TOKEN=hush",
        "VIEWER_WEBHOOK": "https://chat.example.com/hush",
    }


def check(environment: dict[str, str], *arguments: str) -> tuple[int, dict[str, list[str]]]:
    """Run the check; return its exit code and the messages of each level."""
    done = run_shell(f"bin/check_config.py --json {' '.join(arguments)}", environment)
    assert "hush" not in done.stdout + done.stderr
    found: dict[str, list[str]] = {"error": [], "warning": [], "ok": []}
    for finding in done.objects:
        found[finding["level"]].append(finding["message"])
    return done.exit_code, found


def test_good_configuration_is_proved(environment: dict[str, str], tmp_path: Path) -> None:
    exit_code, found = check(environment)

    assert exit_code == 0
    assert found["error"] == found["warning"] == []
    assert [message.partition(": works, ")[0] for message in found["ok"]] == [
        f"temporary files in {tmp_path}",
        f"spool in {tmp_path / 'spool'}",
        str(tmp_path / "crashes"),
        str(tmp_path / "queue"),
    ]


def test_all_faults_are_found_at_once(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "queue").write_text("no directory")
    exit_code, found = check(
        environment
        | {
            "PORT": "http",
            "LOGGING_LEVEL": "LOUD",
            "BREAKPAD_MAX_PAYLOADSIZE": "1",
            "VIEWER_KEEPDAYS": "3",
            "BREAKPAD_MAX_ANNOTATIONS": "9",
            "STATSD_PORT": "tcp://10.96.0.12:8125",
            "CRASHMOVER_SPOOL_MAX_SIZE": "900000GiB",
        }
    )

    assert exit_code == EX_CONFIG
    for said in (
        "PORT has a bad value 'http'",
        "LOGGING_LEVEL has a bad value 'LOUD'",
        "BREAKPAD_MAX_PAYLOADSIZE is set, and there is no such option: did you mean BREAKPAD_MAX_PAYLOAD_SIZE?",
        "VIEWER_KEEPDAYS is set, and there is no such option: did you mean VIEWER_KEEP_DAYS?",
        "CRASHMOVER_SPOOL_MAX_SIZE is 966,367,641,600,000 bytes",
        str(tmp_path / "queue"),
    ):
        assert len([message for message in found["error"] if message.startswith(said)]) == 1, said
    assert len(found["error"]) == 6
    assert found["warning"] == [
        "BREAKPAD_MAX_ANNOTATIONS is set, and there is no such option any more: a report may have 2,000 annotations",
        "STATSD_PORT=tcp://10.96.0.12:8125 is ignored: Kubernetes sets it for a service of that name",
    ]


def test_offline_leaves_the_backends_alone(environment: dict[str, str], tmp_path: Path) -> None:
    exit_code, found = check(environment, "--offline")

    assert exit_code == 0
    assert len(found["ok"]) == 2
    assert not (tmp_path / "crashes").exists()


@pytest.mark.parametrize("options", ["", "--set"])
def test_configuration_is_shown(environment: dict[str, str], options: str) -> None:
    done = run_shell(f"bin/show_config.py {options}", environment)

    assert done.exit_code == 0
    assert "hush" not in done.stdout
    assert "SECRET_SENTRY_DSN=*****" in done.lines
    assert "CMD_PREFIX=env *****" in done.lines
    assert "VIEWER_WEBHOOK=*****" in done.lines
    assert "CRASHMOVER_SPOOL_MAX_SIZE=1MiB" in done.lines
    assert ("PORT=8000  (default)" in done.lines) is (not options)


def test_every_option_is_shown(environment: dict[str, str]) -> None:
    done = run_shell("bin/show_config.py --json", environment)

    shown = {item["name"]: item for item in done.objects}
    others = ("BUCKET_NAME", "PROJECT_ID", "TOPIC_NAME", "CRASHPUBLISH_TIMEOUT")
    of_the_viewer = {option.name for option in describe_options(ViewerConfig, "viewer")}
    assert {name for name in OPTION_NAMES if not name.endswith(others)} | of_the_viewer == set(shown)
    assert shown["CRASHMOVER_SPOOL_MAX_SIZE"]["default"] is False
    assert shown["PORT"] == {
        "name": "PORT",
        "value": "8000",
        "default": True,
        "doc": shown["PORT"]["doc"],
        "problem": "",
    }


def test_bad_value_is_shown_with_what_is_wrong(environment: dict[str, str]) -> None:
    done = run_shell("bin/show_config.py --json", environment | {"PORT": "http"})

    assert done.exit_code == EX_CONFIG
    (port,) = [item for item in map(json.loads, done.lines) if item["name"] == "PORT"]
    assert port["value"] == "http"
    assert "expected an integer" in port["problem"]
