# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Crashes in the form that they have when the collector is about to save them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from antenna.crash.buffer import Buffer
from antenna.crash.crash_id import mint
from antenna.crash.report import CrashReport, Dump
from antenna.files import PIECE_SIZE
from antenna.payload.memory import Budget, Share
from antenna.payload.report_room import ReportRoom
from antenna.payload.temporary_space import TemporarySpace
from antenna.refusal import Refusal
from tests.support.reports import MINIDUMP

ACCEPT, DEFER = 0, 1

#: A crash id of long ago, for tests that are named by it: a new one would give them another name in each run.
OLD_ID = "de1bb258-cbbf-4589-a673-34f800160918"


class Sender:
    """The client of a report that has arrived completely."""

    size = 1
    can_be_interrupted = False

    def interrupt(self, refusal: Refusal) -> None:
        """Fail, because the test expects no interruption."""
        raise AssertionError(refusal)


def make_room(memory: int, directory: Path) -> ReportRoom:
    """Return the room of a report that may take this many bytes of memory, and a GiB of disk."""
    return ReportRoom(Share(Budget(memory), memory), TemporarySpace(2**30).share(Sender()), directory)


def make_id(result: int = ACCEPT) -> str:
    """Return a new crash id."""
    return mint(result, datetime.now(UTC))


def make_buffer(content: bytes, directory: Path | None = None) -> Buffer:
    """Return a buffer with this content: in memory, or in a temporary file in ``directory``."""
    buffer = Buffer(make_room(len(content) if directory is None else 0, directory or Path()))
    if content or directory:
        for start in range(0, len(content) or 1, PIECE_SIZE):
            buffer.append(content[start : start + PIECE_SIZE])
    buffer.flush()
    return buffer


def make_report(
    dumps: Mapping[str, bytes] | None = None, *, directory: Path | None = None, deferred: bool = False
) -> CrashReport:
    """Return a report with an id. Its dumps are in memory, or in temporary files in ``directory``."""
    if dumps is None:
        dumps = {MINIDUMP: b"MDMP" * 100}
    report = CrashReport(
        annotations={"ProductName": "Firefox", "Notes": "naïve \U0001f600 \n"},
        crash_id=make_id(DEFER if deferred else ACCEPT),
        deferred=deferred,
        payload_size=1000 + sum(map(len, dumps.values())),
    )
    for name, content in dumps.items():
        buffer = make_buffer(content, directory)
        report.resources.callback(buffer.close)
        report.dumps[name] = Dump(name, buffer, "sha256")
    return report
