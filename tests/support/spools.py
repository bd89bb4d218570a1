# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Spools for tests, and the checks with which tests say what a spool promises."""

import os
from collections.abc import Mapping
from pathlib import Path

from antenna.config import build_config
from antenna.crash.report import CrashReport
from antenna.spool import Entry, Kind, Spool
from antenna.spool.crash_files import SpooledCrash
from tests.support.crashes import make_id, make_report
from tests.support.reports import MINIDUMP

REPORTS: dict[str, Mapping[str, bytes]] = {
    "no dump": {},
    "a minidump": {MINIDUMP: b"MDMP" * 1000},
    "several dumps": {MINIDUMP: b"MDMP", "upload_file_minidump_browser": b"more", "memory_report": b"\x1f\x8b"},
    "an empty dump": {MINIDUMP: b""},
    "a large dump": {MINIDUMP: os.urandom(3_000_000)},
}


def make_spool(directory: Path, **options: str) -> Spool:
    environ = {name.upper(): value for name, value in options.items()}
    spool = Spool(build_config({"SPOOL_DIR": str(directory)} | environ))
    spool.prepare()
    return spool


def names(spool: Spool, kind: Kind = Kind.CRASH) -> list[str]:
    return spool.oldest(kind, 1000)


def claim(spool: Spool, kind: Kind = Kind.CRASH) -> Entry:
    """Claim the only entry."""
    (name,) = names(spool, kind)
    entry = spool.claim(kind, name)
    assert entry is not None
    return entry


def content(crash: CrashReport | SpooledCrash) -> tuple[bytes, bytes, dict[str, bytes]]:
    dumps = {name: b"".join(dump.pieces()) for name, dump in crash.dumps.items()}
    return crash.encoded_raw_crash(), crash.encoded_dump_names(), dumps


def assert_spooled(spool: Spool, report: CrashReport) -> None:
    """Check that the only entry of the spool is this crash, complete, and that the spool has no other files."""
    entry = claim(spool)
    crash = entry.load()
    try:
        assert entry.crash_id == crash.crash_id == report.crash_id
        assert content(crash) == content(report)
        assert crash.deferred is report.deferred
        assert crash.size == sum(dump.size for dump in report.dumps.values())
    finally:
        crash.close()
        entry.release()
    assert_tidy(spool)


def assert_nothing_spooled(spool: Spool) -> None:
    assert names(spool) == []
    assert_tidy(spool)


def assert_tidy(spool: Spool) -> None:
    """Check that an entry which was not added has left nothing in the spool."""
    assert list((spool.root / "tmp").iterdir()) == []
    assert [path.name for kind in Kind for path in (spool.root / kind.value).glob(".*")] == []


def add(spool: Spool, kind: Kind) -> str:
    """Add an entry. Return its name."""
    if kind is Kind.ID:
        spool.add_id(make_id())
    else:
        with make_report() as report:
            spool.add_crash(report)
    return names(spool, kind)[-1]


# A program that claims an entry, prints whether that worked, and keeps the entry until its input ends. If it did not
# work, it tries again for each line of its input.
CLAIMANT = """
import sys
from antenna.spool import Kind
from tests.support.spools import make_spool

spool = make_spool(sys.argv[1])
while True:
    entry = spool.claim(Kind[sys.argv[2]], sys.argv[3])
    print(entry is not None, flush=True)
    if entry or not sys.stdin.readline():
        break
sys.stdin.read()
"""


def descriptors() -> int:
    """Return the number of open descriptors."""
    return len(list(Path("/proc/self/fd").iterdir()))
