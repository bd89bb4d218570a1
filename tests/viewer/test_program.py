# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The viewer as people start it: beside a collector, in a browser, and killed."""

import json
import os
import random
import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from antenna.config import ConfigurationError
from antenna.symbols import Store
from antenna.viewer.index import Index, advice
from antenna.viewer.index.queries import Queries
from antenna.viewer.program import main
from tests.support.captures import load_capture
from tests.support.chromium import Chromium, find_chromium
from tests.support.fixtures import StartServer
from tests.support.google_cloud import PubSubTopic
from tests.support.server import file_system_environment
from tests.support.symbols import DEBUG_ID, SYM, game_dump_bytes
from tests.support.viewer import StoredCrashes, viewer_environment
from tests.support.viewer_program import QUICK, ViewerProgram
from tests.viewer.conftest import StartViewer

# Bytes that the viewer and its child may take together.
MAX_MEMORY = 150 * 1024**2
# Seconds from the POST of a crash to its group on the page.
GROUPED_WITHIN = 10.0
TITLE = "Top crashers · Antenna"


@pytest.fixture
def programs() -> Iterator[list[ViewerProgram]]:
    """Viewers that are killed after the test."""
    started: list[ViewerProgram] = []
    yield started
    for program in started:
        program.kill()
        # Shown with a test that failed.
        print(program.logs())


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[Chromium]:
    browser = find_chromium(tmp_path / "profile")
    yield browser
    browser.close()


def start(programs: list[ViewerProgram], directory: Path, **options: str) -> ViewerProgram:
    programs.append(ViewerProgram(directory, **(QUICK | options)))
    return programs[-1]


def test_from_the_post_to_the_page_in_a_browser(
    tmp_path: Path, start_server: StartServer, programs: list[ViewerProgram], chromium: Chromium
) -> None:
    """A crash is on the pages soon, and a browser runs nothing that another one brings."""
    changed = "document.title='run';document.body.innerHTML=''"
    hostile = f'<script>{changed}</script><img src=x onerror="{changed}">\'><svg onload="{changed}">'
    names = ("ProductName", "Version", "ReleaseChannel", "MozCrashReason", hostile)
    hostile_id = StoredCrashes(tmp_path / "crashes").add(dict.fromkeys(names, hostile), game_dump_bytes(), rule=hostile)
    collector = start_server(file_system_environment(tmp_path))
    viewer = ViewerProgram(tmp_path)  # with the intervals that everybody has
    programs.append(viewer)
    viewer.wait_until(viewer.is_serving)
    # What Chromium's crash handler sent.
    sent_at = time.monotonic()
    answer = collector.send_raw(load_capture("crashpad-chromium-real").request)
    crash_id = answer.text.strip().removeprefix("CrashID=bp-")
    viewer.wait_until(lambda: crash_id in requests.get(f"{viewer.url}/search?q=chromium", timeout=5).text)
    assert time.monotonic() - sent_at < GROUPED_WITHIN

    top = chromium.document(f"{viewer.url}/")
    assert f"<title>{TITLE}</title>" in top
    assert "chromium+0x472eee0" in top
    pictures = [chromium.picture()]
    report = chromium.document(f"{viewer.url}/report/{crash_id}", width=500)
    assert "SIGSEGV / SEGV_MAPERR" in report
    assert "156.0.8078.79" in report
    pictures.append(chromium.picture())
    for picture in pictures:
        assert picture.startswith(b"\x89PNG")
        # An empty page takes less.
        assert len(picture) > 10_000

    for document in (
        top,
        chromium.document(f"{viewer.url}/report/{hostile_id}"),
        chromium.document(f"{viewer.url}/search?q=document"),
    ):
        assert "<title>run</title>" not in document
        assert "&lt;script&gt;" in document
        assert "<script" not in document
        assert "<img" not in document


def test_killed_again_and_again(tmp_path: Path, programs: list[ViewerProgram]) -> None:
    crashes = StoredCrashes(tmp_path / "crashes")
    sent = sorted(crashes.add({"ProductName": "App"}, game_dump_bytes()) for _ in range(100))
    queue = tmp_path / "queue"
    queue.mkdir()
    for number, crash_id in enumerate(sent):
        (queue / f"{number}-{crash_id}").write_text(crash_id)
    generator = random.Random(5)
    for _ in range(3):
        viewer = start(programs, tmp_path, VIEWER_SOURCE="queue")
        had = len(viewer.crash_ids())
        viewer.wait_until(lambda had=had, viewer=viewer: len(viewer.crash_ids()) > had)  # type: ignore[misc]
        time.sleep(generator.random() / 2)
        viewer.kill()
        if len(viewer.crash_ids()) == len(sent):
            break
    viewer = start(programs, tmp_path, VIEWER_SOURCE="queue")
    viewer.wait_until(lambda: not list(queue.iterdir()), 60)

    assert viewer.crash_ids() == sent
    viewer.wait_until(viewer.is_serving, 30)
    assert f"{len(sent)} crashes" in requests.get(viewer.url, timeout=30).text


def test_memory_names_and_the_end(tmp_path: Path, programs: list[ViewerProgram]) -> None:
    """The viewer and its child take little memory; names are asked for; Ctrl-C ends both."""
    crashes = StoredCrashes(tmp_path / "crashes")
    dump = game_dump_bytes()
    sent = [crashes.add({"ProductName": "App", "Notes": "x" * 50_000}, dump) for _ in range(60)]
    sent.append(crashes.add({"ProductName": "App"}, dump + bytes(20 * 1024**2)))
    file = tmp_path / "MyApp.sym"
    file.write_text(SYM.replace("World::tick(int)", "_ZN5World4tickEi"))
    Store(tmp_path / "crashes" / "symbols").add(file)
    viewer = start(programs, tmp_path)
    viewer.wait_until(lambda: len(viewer.crash_ids()) == len(sent), 90)
    for crash_id in sent[:30]:
        requests.get(f"{viewer.url}/report/{crash_id}", timeout=30)

    program = psutil.Process(viewer.pid)
    (child,) = program.children()
    assert sum(process.memory_info().rss for process in (program, child)) < MAX_MEMORY

    # Names are looked up in a thread beside gevent's.
    request = {"memoryMap": [["MyApp", DEBUG_ID]], "stacks": [[[0, 0x1010]]]}
    answer = requests.post(f"{viewer.url}/symbolicate/v5", json=request, timeout=30).json()
    assert answer["results"][0]["stacks"][0][0]["function"] == "World::tick(int)"

    os.kill(viewer.pid, signal.SIGINT)
    assert viewer.wait() == 0
    assert not child.is_running()
    assert "Traceback" not in viewer.logs()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"VIEWER_LISTEN_ADDRESS": "192.0.2.1"}, "VIEWER_LISTEN_ADDRESS=192.0.2.1 lets others see your crashes"),
        ({"VIEWER_SOURCE": "pubsub"}, "VIEWER_SOURCE=pubsub needs VIEWER_SUBSCRIPTION"),
        ({"VIEWER_DATA_DIR": "/proc/nowhere"}, "/proc/nowhere"),
        ({"VIEWER_PORT": "x"}, "VIEWER_PORT"),
    ],
)
def test_a_start_that_fails_has_a_reason(start_viewer: StartViewer, options: dict[str, str], message: str) -> None:
    with pytest.raises((ConfigurationError, OSError), match=message):
        start_viewer(**options)


def test_a_port_that_is_taken_is_named_in_a_line(tmp_path: Path, programs: list[ViewerProgram]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        viewer = start(programs, tmp_path, VIEWER_PORT=str(port))
        assert viewer.wait() == 3
    where = f"VIEWER_LISTEN_ADDRESS=127.0.0.1 VIEWER_PORT={port}"
    assert viewer.logs().startswith(f"cannot start the viewer: {where}: cannot listen there: Address already in use")
    assert len(viewer.logs().splitlines()) == 1


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment of a viewer that runs in this process."""
    for name, value in viewer_environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_an_option_that_is_wrong_is_named_in_a_line(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv("VIEWER_LISTEN_ADDRESS", "192.0.2.1")
    assert main() == 3
    said = capsys.readouterr().err
    assert said.startswith("cannot start the viewer: VIEWER_LISTEN_ADDRESS=192.0.2.1 lets others see")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + b"x" * 5000])
def test_a_damaged_index_is_an_error_of_the_database(tmp_path: Path, start_viewer: StartViewer, content: bytes) -> None:
    damage_index(tmp_path, content)
    with pytest.raises(sqlite3.DatabaseError) as raised:
        start_viewer()
    assert "delete its files, and start it again" in advice(raised.value)


@pytest.mark.usefixtures("environment")
def test_a_damaged_index_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage_index(tmp_path, b"no database")
    assert main() == 3
    said = capsys.readouterr().err
    assert "delete its files, and start it again" in said
    assert len(said.splitlines()) == 1


def damage_index(directory: Path, content: bytes) -> None:
    (directory / "viewer").mkdir()
    (directory / "viewer" / "index.sqlite").write_bytes(content)


@pytest.mark.usefixtures("in_process")
def test_the_index_is_rebuilt_to_the_same_answers(
    tmp_path: Path, stored: StoredCrashes, start_viewer: StartViewer
) -> None:
    sent = [stored.add({"ProductName": "App", "Version": "1"}, game_dump_bytes(), days_ago=days) for days in (0, 1, 2)]
    viewer = start_viewer()
    assert viewer.look() == len(sent)
    viewer.close()
    exported = [json.loads(line) for line in index_program(tmp_path, "export")]
    assert exported == in_index(tmp_path)
    for file in (tmp_path / "viewer").glob("index.sqlite*"):
        file.unlink()

    days = sorted(crash["day"] for crash in exported)
    index_program(tmp_path, "rebuild", "--date", f"{days[0]}..{days[-1]}")
    assert in_index(tmp_path) == exported
    # What the storage does not have any more leaves the index.
    (stored.root / "v1" / "raw_crash" / days[0] / sent[-1]).unlink()
    index_program(tmp_path, "rebuild", "--date", days[0])
    assert [crash["crash_id"] for crash in in_index(tmp_path)] == sorted(sent[:2])
    assert {crash["signature"] for crash in exported} == {"MyApp+0x1010"}


def in_index(directory: Path) -> list[dict[str, Any]]:
    """Return the crashes of the index."""
    index = Index(directory / "viewer" / "index.sqlite")
    found = list(Queries(index.database).export())
    index.close()
    return found


@pytest.mark.timeout(180)  # The subscription waits for some seconds for the viewer that was killed.
def test_a_subscription_is_read_and_acknowledged_although_a_viewer_is_killed(
    tmp_path: Path, programs: list[ViewerProgram], pubsub_topic: PubSubTopic
) -> None:
    sent = sorted(StoredCrashes(tmp_path / "crashes").add({}, game_dump_bytes()) for _ in range(60))
    for data in ("test", *sent, sent[0]):
        pubsub_topic.publish(data)
    options = {
        "VIEWER_SOURCE": "pubsub",
        "VIEWER_SUBSCRIPTION": f"projects/{pubsub_topic.project_id}/subscriptions/{pubsub_topic.subscription_name}",
        "PUBSUB_EMULATOR_HOST": pubsub_topic.emulator_host,
    }
    viewer = start(programs, tmp_path, **options)
    viewer.wait_until(lambda: len(viewer.crash_ids()) > 0, 60)
    viewer.kill()

    again = start(programs, tmp_path, **options)
    again.wait_until(lambda: again.crash_ids() == sent, 60)
    status = requests.get(f"{again.url}/status", timeout=30).text
    assert "The viewer cannot read crashes" not in status
    assert again.stop() == 0
    # Had the viewer not acknowledged them, they would come again.
    assert pubsub_topic.pull_messages() == []


def index_program(directory: Path, *arguments: str) -> list[str]:
    """Run ``bin/viewer_index.py``; return its lines."""
    from tests.support.tools import run_shell  # noqa: PLC0415 - one use

    environment = file_system_environment(directory) | {"VIEWER_DATA_DIR": str(directory / "viewer")}
    result = run_shell(" ".join(["bin/viewer_index.py", *arguments]), environment)
    assert result.exit_code == 0, result.stderr
    return result.lines
