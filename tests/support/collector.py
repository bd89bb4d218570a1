# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A running collector, its storage and its queue, and the checks with which tests say what it promises."""

import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

from tests.support.google_cloud import PulledMessage
from tests.support.raw_http import RawResponse
from tests.support.reports import report
from tests.support.server import AntennaServer

CRASH_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{5}[01][0-9]{6}")

# The status of an answer, by the text after ``Discarded=``. All other malformed reports are answered with 400.
STATUS = {"unauthorized_uuid": 401, "timeout": 408, "malformed_too_large": 413, "unavailable": 503}


class Store(Protocol):
    """The place where crashes are saved."""

    def object_names(self) -> list[str]: ...
    def read(self, object_name: str) -> bytes: ...


class Queue(Protocol):
    """The place where ids of crashes are published."""

    def pull_messages(self) -> list[PulledMessage]: ...


class DirectoryStore:
    """Crashes in a directory tree."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def object_names(self) -> list[str]:
        """Return the paths of all files below the root, sorted."""
        # ``Path.rglob`` takes five times as long, and tests look hundreds of times.
        below = len(str(self.root)) + 1
        return sorted(f"{directory}/{name}"[below:] for directory, _, names in os.walk(self.root) for name in names)

    def read(self, object_name: str) -> bytes:
        """Return the content of a file."""
        return (self.root / object_name).read_bytes()


class DirectoryQueue:
    """Ids in a directory. They are consumed oldest first."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def pull_messages(self) -> list[PulledMessage]:
        """Return the ids that came since the last call."""
        messages = []
        for path in sorted(self.root.iterdir()):
            # If a name begins with a dot, the entry is still being written.
            if not path.name.startswith("."):
                messages.append(PulledMessage(path.read_bytes(), {}))
                path.unlink()
        return messages


@dataclass(frozen=True)
class SavedCrash:
    """A crash as a processor finds it. ``dumps`` are by their names."""

    crash_id: str
    raw_crash: dict[str, Any]
    dumps: dict[str, bytes]

    @property
    def notes(self) -> list[str]:
        """The notes of the collector on the crash."""
        notes: list[str] = self.raw_crash["metadata"]["collector_notes"]
        return notes


class Collector:
    """A running collector."""

    def __init__(self, server: AntennaServer, store: Store, queue: Queue) -> None:
        self.server = server
        self.store = store
        self.queue = queue
        self._published: Counter[str] = Counter()

    def submit(self, request: bytes) -> RawResponse:
        """Send a request on a connection of its own."""
        return self.server.send_raw(request)

    def submit_parts(self, *parts: bytes) -> RawResponse:
        """Send a report that has these parts."""
        return self.submit(report(*parts))

    def assert_kept(self, answer: RawResponse) -> str:
        """Check that the answer promises to keep the crash. Return its id."""
        assert_answer(answer, 200)
        assert answer.text.startswith("CrashID=bp-"), answer.text
        assert answer.text.endswith("\n"), answer.text
        crash_id = answer.text.removeprefix("CrashID=bp-").removesuffix("\n")
        assert CRASH_ID.fullmatch(crash_id), crash_id
        return crash_id

    def assert_saved(self, answer: RawResponse) -> SavedCrash:
        """Check that the crash was answered with its id, and that all its objects are stored under their names."""
        crash_id = self.assert_kept(answer)
        raw_crash_name = f"v1/raw_crash/20{crash_id[-6:]}/{crash_id}"
        raw_crash_bytes = self.store.read(raw_crash_name)
        raw_crash = json.loads(raw_crash_bytes, parse_constant=_no_json)
        dump_names = json.loads(self.store.read(f"v1/dump_names/{crash_id}"))
        keys = {name: "dump" if name == "upload_file_minidump" else name for name in dump_names}

        assert raw_crash_bytes == json.dumps(raw_crash, sort_keys=True).encode()
        assert dump_names == sorted(raw_crash["metadata"]["dump_checksums"])
        assert set(self.objects_of(crash_id)) == {
            raw_crash_name,
            f"v1/dump_names/{crash_id}",
            *(f"v1/{key}/{crash_id}" for key in keys.values()),
        }
        dumps = {name: self.store.read(f"v1/{key}/{crash_id}") for name, key in keys.items()}
        return SavedCrash(crash_id, raw_crash, dumps)

    def assert_not_saved(self, crash_id: str) -> None:
        """Check that no object of the crash is stored."""
        assert self.objects_of(crash_id) == []

    def assert_published(self, crash_id: str) -> None:
        """Check that the id was published, exactly once."""
        deadline = time.monotonic() + 5
        while crash_id not in self._pull() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert self._published[crash_id] == 1

    def assert_not_published(self, crash_id: str) -> None:
        """Check that the id was not published. It is missing although the id of a later crash is there."""
        later = self.assert_kept(self.submit_parts(b'Content-Disposition: form-data; name="ProductName"\r\n\r\nLater'))
        self.assert_published(later)
        assert self._published[crash_id] == 0

    def published(self) -> set[str]:
        """Return all ids that were published so far."""
        return set(self._pull()) - {"test"}

    def assert_discarded(self, answer: RawResponse, why: str) -> None:
        """Check that the crash was refused, or rejected by a rule, with exactly this answer."""
        assert_answer(answer, 200 if why.startswith("rule_") else STATUS.get(why, 400))
        assert answer.body == f"Discarded={why}".encode()

    @contextmanager
    def keeps_nothing(self) -> Iterator[None]:
        """Check that the requests in the block leave nothing in the storage and the queue."""
        before = self.store.object_names()
        yield
        assert self.store.object_names() == before

    def raw_crash_names(self) -> list[str]:
        """Return the names of all raw crashes."""
        return [name for name in self.store.object_names() if name.startswith("v1/raw_crash/")]

    def objects_of(self, crash_id: str) -> list[str]:
        """Return the names of all objects that belong to the crash."""
        return [name for name in self.store.object_names() if crash_id in name]

    def _pull(self) -> Counter[str]:
        for message in self.queue.pull_messages():
            assert message.attributes == {}
            self._published[message.data.decode()] += 1
        return self._published


def _no_json(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is not JSON")


def assert_answer(answer: RawResponse, status: int) -> None:
    """Check the properties that every answer to a crash report has."""
    assert answer.status == status, answer
    assert answer.headers["Content-Type"] == "text/plain"
    assert answer.headers["Content-Length"] == str(len(answer.body))
    assert answer.headers["Transfer-Encoding"] is None
    assert answer.headers["Location"] is None
