# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Viewers for tests."""

import json
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest

from antenna.viewer import child, crash_reader
from antenna.viewer.crash_reader import CrashReader
from tests.support.viewer import RunningViewer, StoredCrashes

StartViewer = Callable[..., RunningViewer]


@pytest.fixture
def stored(tmp_path: Path) -> StoredCrashes:
    """The directory of crashes that ``start_viewer`` shows."""
    return StoredCrashes(tmp_path / "crashes")


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Crashes are read in this process, which takes less time than to start another one."""

    def exchange(_: object, pieces: list[bytes]) -> bytes:
        request, *contents = pieces
        return child.answer(json.loads(request), BytesIO(b"".join(contents)), None).encode() + b"\n"

    monkeypatch.setattr(crash_reader, "exchange", exchange)
    monkeypatch.setattr(CrashReader, "start", lambda _: NoProcess())


class NoProcess:
    """The stand-in for the child process in that case."""

    pid = 0
    stdin = BytesIO()
    stdout = BytesIO()

    def poll(self) -> None: ...
    def kill(self) -> None: ...
    def wait(self) -> None: ...


@pytest.fixture
def start_viewer(tmp_path: Path) -> Iterator[StartViewer]:
    """Function that starts a viewer of the crashes in ``stored``; options are environment variables."""
    viewers: list[RunningViewer] = []

    def start(**options: str) -> RunningViewer:
        viewers.append(RunningViewer(tmp_path, **options))
        return viewers[-1]

    yield start

    for viewer in viewers:
        viewer.close()
