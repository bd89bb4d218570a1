#!/usr/bin/env python3
# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""List the crashes in the storage: their ids, one a line, in the order of the ids.

Storage is that of the environment variables CRASHMOVER_CRASHSTORAGE_..., as for the collector.
Without them: what 'make run' keeps in .local.

Examples:
  bin/list_crashes.py                                       # those of today (UTC)
  bin/list_crashes.py --date 20261101-20261122 --product Fenix --limit 100
  bin/list_crashes.py --date yesterday --json | jq -r .throttle_rule | sort | uniq -c
  bin/list_crashes.py --date 20261122 | bin/fetch_crashes.py --raw --dumps DIR

"""

import argparse
import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bin import _backends, _common  # isort: split

from antenna.ext.crashstorage_base import CrashStorageBase, raw_crash_path

# Annotations in the output of --json, where the crash has them.
FIELDS = ("ProductName", "Version", "BuildID", "ReleaseChannel", "ProcessType", "submitted_timestamp")


def describe(crash_id: str, raw_crash: dict[str, Any]) -> dict[str, Any]:
    """Return what --json prints of a crash."""
    metadata = raw_crash.get("metadata") or {}
    return {
        "crash_id": crash_id,
        **{name: raw_crash[name] for name in FIELDS if name in raw_crash},
        "throttle_rule": metadata.get("throttle_rule"),
        "dumps": sorted(metadata.get("dump_checksums") or {}),
    }


def read_crashes(storage: CrashStorageBase, crash_ids: Iterator[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ids and raw crashes, several of which are read at a time."""

    def read(crash_id: str) -> tuple[str, bytes | None]:
        return crash_id, storage.load(raw_crash_path(crash_id))

    for crash_id, content in _backends.side_by_side(read, crash_ids):
        # None: deleted since it was listed.
        if content is not None:
            yield crash_id, json.loads(content)


def chosen(storage: CrashStorageBase, args: argparse.Namespace) -> Iterator[str | dict[str, Any]]:
    """Yield ids, or with --json descriptions. Raw crashes are read only if they are needed."""
    crash_ids = _backends.stored_ids(storage, args.date)
    if not args.json and args.product is None:
        yield from crash_ids
        return
    for crash_id, raw_crash in _common.Progress("read").watch(read_crashes(storage, crash_ids)):
        if args.product is None or raw_crash.get("ProductName") == args.product:
            yield describe(crash_id, raw_crash) if args.json else crash_id


def main() -> int:
    """Print the list; return the exit code."""
    parser = _common.make_parser(__doc__)
    parser.add_argument(
        "--date",
        type=_backends.parse_dates,
        default="today",
        help="day of the crash ids, or days: YYYYMMDD, YYYYMMDD-YYYYMMDD, today, yesterday (default: today, in UTC)",
    )
    parser.add_argument("--product", help="only crashes with this ProductName; every raw crash is read for it")
    parser.add_argument("--limit", type=_common.positive_int, help="stop after that many crashes")
    parser.add_argument("--json", action="store_true", help="print an object a line: id, main annotations, dumps")
    args = parser.parse_args()

    storage = _backends.storage()
    found = False
    for crash in islice(chosen(storage, args), args.limit):
        found = True
        if isinstance(crash, str):
            print(crash)
        else:
            _common.print_json(crash)
    if not found:
        _common.note(f"no such crash in {type(storage).__name__}")
    return 0


if __name__ == "__main__":
    _common.run(main, *_backends.ERRORS)
