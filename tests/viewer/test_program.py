# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The viewer as people start it: beside a collector, in a browser, and killed."""

import json
import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil
import pytest
import requests

from tests.support.captures import load_capture
from tests.support.chromium import Chromium, find_chromium
from tests.support.fixtures import StartServer
from tests.support.google_cloud import PubSubTopic
from tests.support.programs import Program, free_port
from tests.support.server import INHERITED, PROJECT_ROOT, file_system_environment
from tests.support.symbols import game_dump_bytes
from tests.support.viewer import StoredCrashes

# Bytes that the viewer and its child may take together.
MAX_MEMORY = 150 * 1024**2
# Seconds from the POST of a crash to its group on the page.
GROUPED_WITHIN = 10.0
TITLE = "Top crashers · Antenna"


COMMAND = (str(PROJECT_ROOT / "bin" / "run_viewer.sh"),)
#: A viewer whose messages come again when it has been dead for ten seconds, not three minutes.
WITH_SHORT_LEASES = (
    sys.executable,
    "-c",
    (
        "from antenna.viewer import __main__ as viewer; from antenna.viewer.consumer import pubsub; "
        "pubsub._LEASE, pubsub._RENEW = 10, 3.0; viewer.main()"
    ),
)


class ViewerProgram(Program):
    """``bin/run_viewer.sh``, or another command that starts a viewer."""

    def __init__(self, directory: Path, command: Sequence[str] = COMMAND, **options: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.index = directory / "viewer" / "index.sqlite"
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        own = {"VIEWER_PORT": str(self.port), "VIEWER_DATA_DIR": str(directory / "viewer")}
        super().__init__(
            [*command],
            log_file=directory / "viewer.log",
            environment=inherited | {"VIRTUAL_ENV": sys.prefix} | file_system_environment(directory) | own | options,
            directory=directory,
        )

    def is_serving(self) -> bool:
        """Whether it answers."""
        try:
            return requests.get(f"{self.url}/__lbheartbeat__", timeout=5).ok
        except requests.RequestException:
            return False

    def crash_ids(self) -> list[str]:
        """Return what is in the index."""
        try:
            database = sqlite3.connect(self.index, timeout=10)
            found = [row[0] for row in database.execute("SELECT crash_id FROM crashes ORDER BY crash_id")]
            database.close()
        except sqlite3.OperationalError:  # it is not made yet
            return []
        return found


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
def chromium(tmp_path: Path) -> Chromium:
    return find_chromium(tmp_path / "profile")


def start(programs: list[ViewerProgram], directory: Path, options: Mapping[str, str] | None = None) -> ViewerProgram:
    programs.append(ViewerProgram(directory, **(options or {})))
    return programs[-1]


@pytest.mark.timeout(300)  # Chromium starts four times.
def test_from_the_post_to_the_page_in_a_browser(
    tmp_path: Path, start_server: StartServer, programs: list[ViewerProgram], chromium: Chromium
) -> None:
    collector = start_server(file_system_environment(tmp_path))
    viewer = start(programs, tmp_path)
    viewer.wait_until(viewer.is_serving)
    # What Chromium's crash handler sent.
    sent_at = time.monotonic()
    answer = collector.send_raw(load_capture("crashpad-chromium-real").request)
    crash_id = answer.text.strip().removeprefix("CrashID=bp-")
    viewer.wait_until(lambda: crash_id in requests.get(f"{viewer.url}/search?q=chromium", timeout=5).text)
    assert time.monotonic() - sent_at < GROUPED_WITHIN

    document = chromium.document(f"{viewer.url}/")
    assert f"<title>{TITLE}</title>" in document
    assert "chromium+0x472eee0" in document
    report = chromium.document(f"{viewer.url}/report/{crash_id}")
    assert "SIGSEGV / SEGV_MAPERR" in report
    assert "156.0.8078.79" in report
    for path, width in (("/", 1280), (f"/report/{crash_id}", 500)):
        picture = chromium.picture(viewer.url + path, tmp_path / "page.png", width)
        assert picture.startswith(b"\x89PNG")
        # An empty page takes less.
        assert len(picture) > 10_000, path


def test_a_browser_runs_nothing_that_a_crash_brings(
    tmp_path: Path, programs: list[ViewerProgram], chromium: Chromium
) -> None:
    changed = "document.title='run';document.body.innerHTML=''"
    hostile = f'<script>{changed}</script><img src=x onerror="{changed}">\'><svg onload="{changed}">'
    names = ("ProductName", "Version", "ReleaseChannel", "MozCrashReason", hostile)
    crash_id = StoredCrashes(tmp_path / "crashes").add(dict.fromkeys(names, hostile), game_dump_bytes(), rule=hostile)
    viewer = start(programs, tmp_path)
    viewer.wait_until(lambda: crash_id in viewer.crash_ids() and viewer.is_serving())

    for path in ("/", f"/report/{crash_id}", "/search?q=document"):
        document = chromium.document(viewer.url + path)
        assert "<title>run</title>" not in document
        assert "&lt;script&gt;" in document
        assert "<script" not in document
        assert "<img" not in document


def test_killed_again_and_again(tmp_path: Path, programs: list[ViewerProgram]) -> None:
    crashes = StoredCrashes(tmp_path / "crashes")
    sent = sorted(crashes.add({"ProductName": "App"}, game_dump_bytes()) for _ in range(200))
    queue = tmp_path / "queue"
    queue.mkdir()
    for number, crash_id in enumerate(sent):
        (queue / f"{number}-{crash_id}").write_text(crash_id)
    generator = random.Random(5)
    options = {"VIEWER_SOURCE": "queue"}
    for _ in range(4):
        viewer = start(programs, tmp_path, options)
        had = len(viewer.crash_ids())
        viewer.wait_until(lambda had=had, viewer=viewer: len(viewer.crash_ids()) > had)  # type: ignore[misc]
        time.sleep(generator.random())
        viewer.kill()
        if len(viewer.crash_ids()) == len(sent):
            break
    viewer = start(programs, tmp_path, options)
    viewer.wait_until(lambda: not list(queue.iterdir()), 60)

    assert viewer.crash_ids() == sent
    viewer.wait_until(viewer.is_serving, 30)
    assert f"{len(sent)} crashes" in requests.get(viewer.url, timeout=30).text


def test_memory(tmp_path: Path, programs: list[ViewerProgram]) -> None:
    crashes = StoredCrashes(tmp_path / "crashes")
    dump = game_dump_bytes()
    sent = [crashes.add({"ProductName": "App", "Notes": "x" * 50_000}, dump) for _ in range(300)]
    sent.append(crashes.add({"ProductName": "App"}, dump + bytes(20 * 1024**2)))
    viewer = start(programs, tmp_path)
    viewer.wait_until(lambda: len(viewer.crash_ids()) == len(sent), 90)
    for crash_id in sent[:50]:
        requests.get(f"{viewer.url}/report/{crash_id}", timeout=30)

    program = psutil.Process(viewer.pid)
    assert sum(process.memory_info().rss for process in (program, *program.children())) < MAX_MEMORY


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"VIEWER_LISTEN_ADDRESS": "192.0.2.1"}, "VIEWER_LISTEN_ADDRESS=192.0.2.1 lets others see your crashes"),
        ({"VIEWER_SOURCE": "pubsub"}, "VIEWER_SOURCE=pubsub needs VIEWER_SUBSCRIPTION"),
        ({"VIEWER_DATA_DIR": "/proc/nowhere"}, "/proc/nowhere"),
        ({"VIEWER_PORT": "x"}, "VIEWER_PORT"),
    ],
)
def test_a_start_that_fails_says_why_in_a_line(
    tmp_path: Path, programs: list[ViewerProgram], options: dict[str, str], message: str
) -> None:
    viewer = start(programs, tmp_path, options)
    assert viewer.wait() == 3
    assert viewer.logs().startswith("cannot start the viewer: ")
    assert message in viewer.logs()
    assert len(viewer.logs().splitlines()) == 1


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + b"x" * 5000])
def test_a_damaged_index_says_what_to_do(tmp_path: Path, programs: list[ViewerProgram], content: bytes) -> None:
    (tmp_path / "viewer").mkdir()
    (tmp_path / "viewer" / "index.sqlite").write_bytes(content)
    viewer = start(programs, tmp_path)
    assert viewer.wait() == 3
    assert "delete its files, and start it again" in viewer.logs()
    assert len(viewer.logs().splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_it_is_told(tmp_path: Path, programs: list[ViewerProgram], number: int) -> None:
    crash_id = StoredCrashes(tmp_path / "crashes").add({}, game_dump_bytes())
    viewer = start(programs, tmp_path)
    viewer.wait_until(lambda: crash_id in viewer.crash_ids())
    (child,) = psutil.Process(viewer.pid).children()

    os.kill(viewer.pid, number)
    assert viewer.wait() == 0
    assert not child.is_running()
    assert "Traceback" not in viewer.logs()


def test_the_index_is_rebuilt_to_the_same_answers(tmp_path: Path, programs: list[ViewerProgram]) -> None:
    crashes = StoredCrashes(tmp_path / "crashes")
    sent = [crashes.add({"ProductName": "App", "Version": "1"}, game_dump_bytes(), days_ago=days) for days in (0, 1, 2)]
    viewer = start(programs, tmp_path)
    viewer.wait_until(lambda: len(viewer.crash_ids()) == len(sent))
    exported = index_program(tmp_path, "export")
    viewer.kill()
    for file in viewer.index.parent.glob("index.sqlite*"):
        file.unlink()

    days = sorted(json.loads(line)["day"] for line in exported)
    index_program(tmp_path, "rebuild", "--date", f"{days[0]}..{days[-1]}")
    assert index_program(tmp_path, "export") == exported
    # What the storage does not have any more leaves the index.
    (crashes.root / "v1" / "raw_crash" / days[0] / sent[-1]).unlink()
    index_program(tmp_path, "rebuild", "--date", days[0])
    assert viewer.crash_ids() == sorted(sent[:2])
    assert {json.loads(line)["signature"] for line in exported} == {"MyApp+0x1010"}


def test_a_subscription_is_read_and_acknowledged(
    tmp_path: Path, programs: list[ViewerProgram], pubsub_topic: PubSubTopic
) -> None:
    sent = sorted(StoredCrashes(tmp_path / "crashes").add({}, game_dump_bytes()) for _ in range(30))
    for data in ("test", *sent, sent[0]):
        pubsub_topic.publish(data)
    options = {
        "VIEWER_SOURCE": "pubsub",
        "VIEWER_SUBSCRIPTION": f"projects/{pubsub_topic.project_id}/subscriptions/{pubsub_topic.subscription_name}",
        "PUBSUB_EMULATOR_HOST": pubsub_topic.emulator_host,
    }
    viewer = start(programs, tmp_path, options)
    viewer.wait_until(lambda: viewer.crash_ids() == sent, 60)
    status = requests.get(f"{viewer.url}/status", timeout=30).text
    assert "The viewer cannot read crashes" not in status
    assert viewer.stop() == 0
    # Had the viewer not acknowledged them, they would come again.
    assert pubsub_topic.pull_messages() == []


@pytest.mark.timeout(180)  # The subscription waits for ten seconds for the viewer that was killed.
def test_killed_before_it_has_acknowledged_messages(
    tmp_path: Path, programs: list[ViewerProgram], pubsub_topic: PubSubTopic
) -> None:
    sent = sorted(StoredCrashes(tmp_path / "crashes").add({}, game_dump_bytes()) for _ in range(60))
    for crash_id in sent:
        pubsub_topic.publish(crash_id)
    options = {
        "VIEWER_SOURCE": "pubsub",
        "VIEWER_SUBSCRIPTION": f"projects/{pubsub_topic.project_id}/subscriptions/{pubsub_topic.subscription_name}",
        "PUBSUB_EMULATOR_HOST": pubsub_topic.emulator_host,
        "PYTHONPATH": str(PROJECT_ROOT),
    }
    viewer = ViewerProgram(tmp_path, WITH_SHORT_LEASES, **options)
    programs.append(viewer)
    viewer.wait_until(lambda: len(viewer.crash_ids()) > 0, 60)
    viewer.kill()

    again = ViewerProgram(tmp_path, WITH_SHORT_LEASES, **options)
    programs.append(again)
    again.wait_until(lambda: again.crash_ids() == sent, 60)
    assert again.stop() == 0
    assert pubsub_topic.pull_messages() == []


def index_program(directory: Path, *arguments: str) -> list[str]:
    """Run ``bin/viewer_index.py``; return its lines."""
    from tests.support.tools import run_shell  # noqa: PLC0415 - one use

    environment = file_system_environment(directory) | {"VIEWER_DATA_DIR": str(directory / "viewer")}
    result = run_shell(" ".join(["bin/viewer_index.py", *arguments]), environment)
    assert result.exit_code == 0, result.stderr
    return result.lines
