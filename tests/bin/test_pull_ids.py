# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""``pull_ids.py`` names a text that is no crash id and goes on, and does not move a cursor because of it."""

import os
from pathlib import Path

import pytest
import requests

from tests.support.crashes import make_id
from tests.support.google_cloud import TIMEOUT_SECONDS, PubSubTopic
from tests.support.tools import Result, run_shell

CRASH_ID = "de1bb258-cbbf-4589-a673-34f800160918"
OTHER_ID = "0bba929f-8721-460c-8e70-a43c00160918"


def pull(root: Path, arguments: str = "") -> Result:
    environment = {
        "CRASHMOVER_CRASHPUBLISH_CLASS": "antenna.ext.fs.crashpublish.FSCrashPublish",
        "CRASHMOVER_CRASHPUBLISH_FS_ROOT": str(root),
    }
    return run_shell(f"bin/pull_ids.py {arguments}", environment)


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    """A directory queue with two ids."""
    for number, crash_id in enumerate((CRASH_ID, OTHER_ID)):
        (tmp_path / f"17637000000000000{number}0-{crash_id}").write_text(crash_id)
    return tmp_path


def test_ids_in_a_directory(queue: Path) -> None:
    result = pull(queue, "--json")

    assert result.exit_code == 0
    assert [item["crash_id"] for item in result.objects] == [CRASH_ID, OTHER_ID]
    assert result.objects[0]["published"].startswith("2025-11-21T")
    assert result.stderr == ""


@pytest.mark.parametrize(
    "name",
    [
        "README",
        "1763700000000000005-",
        "1763700000000000005-\x1b[2Jodd",
        "1763700000000000005-line\nbreak",
        "1763700000000000005-\u202etxt",
        b"1763700000000000005-\xff\xfe",
        f"1763700000000000005-{CRASH_ID}x",
    ],
    ids=ascii,
)
def test_files_that_are_no_ids_are_named_and_stay(queue: Path, name: str | bytes) -> None:
    odd = queue / os.fsdecode(name)
    odd.write_text("x")

    result = pull(queue, "--ack")

    assert result.exit_code == 1
    assert result.lines == [CRASH_ID, OTHER_ID]
    assert result.stderr == f"not a crash id: {odd.name!a}\n"
    assert list(queue.iterdir()) == [odd]


def test_directory_with_the_name_of_an_id_is_named_and_stays(queue: Path) -> None:
    odd = queue / f"1763700000000000005-{make_id()}"
    odd.mkdir()

    result = pull(queue, "--ack")

    assert result.exit_code == 1
    assert result.lines == [CRASH_ID, OTHER_ID]
    assert list(queue.iterdir()) == [odd]


@pytest.mark.parametrize("time", ["", "soon", "9" * 100])
def test_id_with_an_odd_time_is_an_id(tmp_path: Path, time: str) -> None:
    (tmp_path / f"{time}-{CRASH_ID}").write_text(CRASH_ID)

    result = pull(tmp_path, "--json")

    assert result.exit_code == 0, result.stderr
    assert [item["crash_id"] for item in result.objects] == [CRASH_ID]


def test_messages_that_are_no_ids_are_named(pubsub_topic: PubSubTopic) -> None:
    url = (
        f"http://{pubsub_topic.emulator_host}/v1/projects/{pubsub_topic.project_id}/topics/{pubsub_topic.name}:publish"
    )
    # The messages have an escape sequence, bytes that are no text, and an attribute without data.
    for message in ({"data": "G1sySg=="}, {"data": "//4="}, {"attributes": {"x": "\x1b"}}):
        requests.post(url, json={"messages": [message]}, timeout=TIMEOUT_SECONDS).raise_for_status()
    environment = {
        "PUBSUB_EMULATOR_HOST": pubsub_topic.emulator_host,
        "CRASHMOVER_CRASHPUBLISH_CLASS": "antenna.ext.pubsub.crashpublish.PubSubCrashPublish",
        "CRASHMOVER_CRASHPUBLISH_PROJECT_ID": pubsub_topic.project_id,
        "CRASHMOVER_CRASHPUBLISH_TOPIC_NAME": pubsub_topic.name,
    }
    assert run_shell(f"bin/pubsub.py publish {CRASH_ID}", environment).exit_code == 0

    result = run_shell("bin/pull_ids.py --wait 0.1", environment)

    assert result.exit_code == 1
    assert result.lines == [CRASH_ID]
    assert sorted(result.stderr.splitlines()) == [
        "not a crash id: ''",
        r"not a crash id: '\\xff\\xfe'",
        r"not a crash id: '\x1b[2J'",
    ]
