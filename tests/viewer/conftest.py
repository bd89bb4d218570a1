# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Viewers for tests."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest

from antenna.symbols import Store
from antenna.viewer import child, crash_reader
from antenna.viewer.crash_reader import CrashReader
from tests.support.viewer import RunningViewer, StoredCrashes

StartViewer = Callable[..., RunningViewer]


@pytest.fixture
def stored(tmp_path: Path) -> StoredCrashes:
    """The directory of crashes that ``start_viewer`` shows."""
    return StoredCrashes(tmp_path / "crashes")


@pytest.fixture
def in_process() -> Iterator[None]:
    """Crashes are read in this process, which takes less time than to start another one."""
    with reading_in_process():
        yield


@contextmanager
def reading_in_process() -> Iterator[None]:
    """Do as ``in_process`` does, for fixtures of a module."""

    def exchange(process: NoProcess, pieces: list[bytes]) -> bytes:
        request, *contents = pieces
        return child.answer(json.loads(request), BytesIO(b"".join(contents)), process.store).encode() + b"\n"

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(crash_reader, "exchange", exchange)
        patched.setattr(CrashReader, "start", lambda reader: NoProcess(reader._symbols))  # noqa: SLF001 - as it would be told
        yield


class NoProcess:
    """The stand-in for the child process in that case."""

    pid = 0
    stdin = BytesIO()
    stdout = BytesIO()

    def __init__(self, symbols: Path | None) -> None:
        self.store = None if symbols is None else Store(symbols)

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


@pytest.fixture(scope="module")
def empty_viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningViewer]:
    """A viewer without crashes. Tests share it, and leave it as it is."""
    viewer = RunningViewer(tmp_path_factory.mktemp("empty"))
    yield viewer
    viewer.close()
