# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The webhook: who is told of what, once, whatever the receiver does."""

import json
import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from antenna.config import ConfigurationError
from antenna.crash.crash_id import mint
from antenna.viewer.index import CrashRow, Index
from antenna.viewer.webhook import Announcer, Messenger, messenger
from tests.support.minidumps import samples
from tests.support.minidumps.everything import everything
from tests.support.receiver import Receiver
from tests.support.symbols import game_dump_bytes
from tests.support.viewer import StoredCrashes
from tests.support.viewer_program import QUICK, ViewerProgram
from tests.viewer.conftest import StartViewer

pytestmark = pytest.mark.usefixtures("in_process")


class Team:
    """An index with a webhook, and what was told."""

    def __init__(self, directory: Path, receiver: Receiver) -> None:
        self._directory, self.receiver = directory, receiver
        self.is_ready = True
        self.open()

    def open(self) -> None:
        """Start, again."""
        self.index = Index(self._directory / "index.sqlite")
        self.index.watch = Announcer(self.index.database, "https://crashes.example.com/").note
        self.messenger = Messenger(self.index.database, self.receiver.url, lambda: self.is_ready)

    def restart(self) -> None:
        """Close the index, and start again."""
        self.index.close()
        self.open()

    def crash(self, signature: str, version: str = "1.0", *, ago: float = -1, crash_id: str = "") -> CrashRow:
        """Add a crash."""
        came = time.time() - ago
        crash_id = crash_id or mint(0, datetime.fromtimestamp(came, UTC))
        row = CrashRow(crash_id, came, signature, product="MyApp", version=version, os="Linux")
        self.index.add([row])
        return row

    def told(self) -> list[tuple[str, str]]:
        """Send what there is to tell; return what was told since the start."""
        self.messenger.deliver()
        return [(body["event"], body["signature"]) for body in self.receiver.taken()]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


@pytest.fixture
def team(tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    monkeypatch.setattr(messenger, "_PAUSE", 0.0)
    monkeypatch.setattr(messenger, "_FIRST_DELAY", 0.0)
    monkeypatch.setattr(messenger, "_READ", 0.2)
    found = Team(tmp_path, receiver)
    yield found
    found.index.close()


NEW, BACK = "new_signature", "signature_came_back"


def test_a_signature_is_told_of_when_it_is_first_seen(team: Team) -> None:
    for signature in ("a", "b", "a", "a"):
        team.crash(signature)
    assert team.told() == [(NEW, "a"), (NEW, "b")]
    team.crash("a")
    team.restart()
    team.crash("b")
    assert len(team.told()) == 2


def test_what_was_there_before_is_not_new(team: Team) -> None:
    team.crash("old", ago=1000)
    team.crash("old")
    assert team.told() == []
    # An older crash is read later, as when the storage is looked through for the first time.
    team.crash("late")
    team.crash("late", ago=1000)
    assert team.told() == []


def test_nothing_is_told_before_everything_was_read(team: Team) -> None:
    team.is_ready = False
    team.crash("a")
    assert team.told() == []
    team.is_ready = True
    assert team.told() == [(NEW, "a")]


def test_crashes_that_are_read_again_are_no_news(team: Team) -> None:
    row = team.crash("MyApp+0x1010")
    assert team.told() == [(NEW, "MyApp+0x1010")]
    team.crash("World::tick(int)", crash_id=row.crash_id)
    assert len(team.told()) == 1


def test_an_index_that_is_made_anew_tells_nothing_again(team: Team) -> None:
    team.crash("a")
    assert team.told() == [(NEW, "a")]
    team.index.clear()
    team.crash("a")
    assert len(team.told()) == 1


def test_a_signature_that_comes_back_is_told_of_once_for_each_fix(team: Team) -> None:
    team.crash("a")
    team.index.save_opinion("a", fixed_in="2.0", note="")
    team.crash("a", "1.9")
    assert team.told() == [(NEW, "a")]
    for version in ("2.0", "2.1", "2.0"):
        team.crash("a", version)
    assert team.told() == [(NEW, "a"), (BACK, "a")]
    team.restart()
    team.crash("a", "2.2")
    assert len(team.told()) == 2
    team.index.save_opinion("a", fixed_in="3.0", note="")
    team.crash("a", "2.3")
    assert len(team.told()) == 2
    team.crash("a", "3.0")
    assert team.told()[2:] == [(BACK, "a")]
    assert team.receiver.taken()[-1]["fixed_in"] == "3.0"


def test_the_message(team: Team) -> None:
    row = team.crash("Foo<!channel> `x` & @here")
    team.told()
    (_, headers, body) = team.receiver.received[0]
    assert headers["Content-Type"] == "application/json"
    assert body == {
        "event": NEW,
        "text": "New signature: `Foo&lt;!channel&gt; 'x' &amp; @here` in `MyApp 1.0 on Linux` "
        "https://crashes.example.com/signature/?signature=Foo%3C%21channel%3E%20%60x%60%20%26%20%40here",
        "signature": "Foo<!channel> `x` & @here",
        "product": "MyApp",
        "version": "1.0",
        "channel": "",
        "os": "Linux",
        "seen": datetime.fromtimestamp(row.submitted, UTC).isoformat(timespec="seconds"),
        "crash_id": row.crash_id,
        "url": "https://crashes.example.com/signature/?signature=Foo%3C%21channel%3E%20%60x%60%20%26%20%40here",
    }


FAILURES = ["hang", "reset", "nonsense", "500", "503", "429", "404", "301", "302", "401"]


@pytest.mark.parametrize("behaviour", FAILURES)
def test_a_message_is_sent_again_until_it_is_taken(
    team: Team, behaviour: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    team.receiver.behaviours = [behaviour] * 2
    team.crash("a")
    assert team.told() == []
    assert team.messenger.waiting == 1
    assert team.messenger.trouble
    monkeypatch.setattr("antenna.viewer.webhook.messenger._LONGEST_DELAY", 0.0)
    team.index.database.execute("UPDATE messages SET next_try = 0")
    team.restart()
    assert team.told() == []
    assert team.told() == [(NEW, "a")]
    assert team.messenger.waiting == 0
    assert len({headers["Idempotency-Key"] for _, headers, _ in team.receiver.received}) == 1
    assert "secret-path" not in caplog.text + team.messenger.trouble


@pytest.mark.parametrize("behaviour", ["200", "204", "endless"])
def test_what_a_receiver_says_besides_does_not_matter(team: Team, behaviour: str) -> None:
    team.receiver.behaviours = [behaviour]
    team.crash("a")
    assert team.told() == [(NEW, "a")]
    assert team.told() == [(NEW, "a")]


def test_a_receiver_that_is_away_is_left_alone_for_a_while(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messenger, "_FIRST_DELAY", 5.0)
    for signature in ("a", "b", "c"):
        team.crash(signature)
    team.receiver.behaviours = ["400", "503"]
    team.messenger.deliver()
    # One message is refused for itself. The next one shows that the receiver is away.
    assert len(team.receiver.received) == 2
    delays = [
        row[0] - time.time()
        for row in team.index.database.execute("SELECT next_try FROM messages WHERE attempts ORDER BY created")
    ]
    # The receiver asks for 7 seconds.
    assert delays == [pytest.approx(7, abs=1), pytest.approx(7, abs=1)]
    assert team.told() == [(NEW, "c")]


def test_delays_grow_and_a_message_is_given_up_after_days(
    team: Team, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(messenger, "_FIRST_DELAY", 5.0)
    team.receiver.behaviours = ["reset"] * 30
    team.crash("a")
    delays = []
    for _ in range(14):
        team.messenger.deliver()
        (next_try,) = team.index.database.execute("SELECT next_try FROM messages").fetchone()
        delays.append(round(next_try - time.time()))
        team.index.database.execute("UPDATE messages SET next_try = 0")
    assert delays[:4] == [5, 10, 20, 40]
    assert delays[-1] == 3600
    team.index.database.execute("UPDATE messages SET created = created - 300000")
    with caplog.at_level(logging.ERROR):
        team.messenger.deliver()
    assert team.messenger.waiting == 0
    assert "dropped" in caplog.text


def test_a_viewer_tells_of_what_it_reads(
    stored: StoredCrashes, start_viewer: StartViewer, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messenger, "_PAUSE", 0.0)
    stored.add({"ProductName": "Before"}, samples.crash(), days_ago=1)
    options = {"VIEWER_WEBHOOK": receiver.url, "VIEWER_URL": "https://crashes.example.com"}
    viewer = start_viewer(**options)
    viewer.look()
    assert viewer.app.webhook is not None
    viewer.app.webhook.deliver()
    assert receiver.received == []

    stored.add({"ProductName": "MyApp", "Email": "secret@example.com"}, everything(samples.LINUX), notes=("secret",))
    stored.add({"ProductName": "MyApp", "Version": "2.0"}, game_dump_bytes())
    viewer.look()
    assert " wait" in viewer.get("/status")
    viewer.app.webhook.deliver()
    text = json.dumps(receiver.taken())
    assert len(receiver.taken()) >= 1
    for secret in ("secret", "/home/user", "a comment", "0x60000000"):
        assert secret not in text


@pytest.mark.parametrize(
    "options", [{"VIEWER_WEBHOOK": "crashes"}, {"VIEWER_WEBHOOK": "ftp://x"}, {"VIEWER_URL": "javascript:alert(1)"}]
)
def test_addresses_that_are_none(start_viewer: StartViewer, options: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="http"):
        start_viewer(**options)


def test_restarts_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    # It would drip for a minute. Gevent ends such an answer, which it can only where it has patched the process.
    receiver = Receiver("drip", "503")
    receiver.retry_after = 1
    crashes = StoredCrashes(tmp_path / "crashes")
    options = QUICK | {"VIEWER_WEBHOOK": receiver.url}
    viewer = ViewerProgram(tmp_path, **options)
    try:
        viewer.wait_until(viewer.is_serving, 30)
        time.sleep(0.1)
        crashes.add({"ProductName": "MyApp"}, game_dump_bytes())
        viewer.wait_until(lambda: len(receiver.received) == 2, 30)
        assert "has not taken a message (it cannot be reached: ReadTimeout)" in viewer.logs()
        crashes.add({"ProductName": "MyApp"}, samples.crash())
        viewer.wait_until(lambda: len(viewer.crash_ids()) == 2, 30)
        viewer.kill()

        receiver.behaviours = ["hang"]
        viewer = ViewerProgram(tmp_path, **options)
        crashes.add({"ProductName": "MyApp"})
        viewer.wait_until(lambda: any(behaviour == "hang" for behaviour, *_ in receiver.received), 30)
        # A receiver that does not answer holds nothing up.
        crashes.add({"ProductName": "MyApp"}, b"no minidump")
        viewer.wait_until(lambda: len(viewer.crash_ids()) == 4, 30)
        assert viewer.stop() == 0

        viewer = ViewerProgram(tmp_path, **options)
        # If a message was taken just before the kill, it comes again with the same key.
        viewer.wait_until(lambda: len(receiver.taken_once()) == 4, 60)
        assert viewer.stop() == 0
        after = ["EMPTY: the minidump cannot be read: not a minidump", "EMPTY: there is no minidump"]
        told = sorted(body["signature"] for body in receiver.taken_once())
        assert told == [*after, "MyApp+0x1010", "MyApp+0x1234"]
        assert sorted(body["signature"] for body in receiver.taken() if body["signature"] in after) == after
    finally:
        viewer.kill()
        receiver.close()
