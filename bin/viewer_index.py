#!/usr/bin/env python3
# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Make the index of the viewer again, or export it.

'rebuild' reads the crashes of some days from the storage again, and puts them into the index. Crashes that have left
the storage are removed from the index. The viewer may run at the same time.
'export' prints the crashes of the index as JSON lines, for engines such as DuckDB and BigQuery.

The storage is the one that the environment variables CRASHMOVER_CRASHSTORAGE_... configure, as for the collector. The
index is in VIEWER_DATA_DIR. If they are not set, both are those of 'make run', in .local.

Examples:
  bin/viewer_index.py rebuild --date 2026-11-01..2026-11-27
  bin/viewer_index.py export >crashes.jsonl

"""

import argparse
import os
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bin import _backends, _common, _symbols  # isort: split

from antenna.config import build_config
from antenna.viewer.crash_reader import CrashFailedError, CrashReader
from antenna.viewer.index import CrashRow, Index
from antenna.viewer.index.queries import Queries
from antenna.viewer.options import INDEX_FILE, ViewerConfig
from antenna.viewer.rows import failed_row

# Crashes whose rows are written together.
_BATCH = 50


def options(environ: Mapping[str, str]) -> ViewerConfig:
    """Return the options of the viewer."""
    return ViewerConfig(build_config(environ))


def index_path() -> Path:
    """Return the path of the index. A relative path starts at the project's directory, as for bin/run_viewer.sh."""
    return _common.ROOT / options(os.environ).data_dir / INDEX_FILE


def rows(reader: CrashReader, crash_ids: list[str]) -> Iterator[CrashRow]:
    """Yield the rows of crashes. If a crash cannot be read, its row says why."""
    for crash_id in _common.Progress("read", len(crash_ids)).watch(crash_ids):
        try:
            yield reader.read(crash_id)
        except CrashFailedError as error:
            yield failed_row(crash_id, str(error))


def rebuild(args: argparse.Namespace) -> int:
    """Read the crashes of some days again. Returns the exit code."""
    storage = _backends.storage()
    store = _symbols.store(None)
    index = Index(index_path())
    failed = count = 0
    with CrashReader(storage, None if store is None else store.root, allowed=options(os.environ).annotations) as reader:
        for day in args.date:
            crash_ids = list(_backends.stored_ids(storage, [day]))
            gone = index.known(day) - set(crash_ids)
            found = rows(reader, crash_ids)
            while batch := list(islice(found, _BATCH)):
                index.add(batch)
                failed += sum(bool(row.failed) for row in batch)
                count += len(batch)
            index.forget(sorted(gone))
    index.close()
    _common.note(f"{count} crashes in the index, {failed} of which could not be read")
    return 0


def export(_: argparse.Namespace) -> int:
    """Print the crashes of the index. Returns the exit code."""
    path = index_path()
    if not path.exists():
        raise _common.ToolError(f"{path} is not there: start the viewer, or rebuild the index")
    index = Index(path)
    for crash in Queries(index.database).export():
        _common.print_json(crash)
    return 0


def main() -> int:
    """Run the command. Returns the exit code."""
    parser = _common.make_parser(__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("rebuild", help="read the crashes of some days again")
    command.add_argument(
        "--date",
        type=_backends.parse_dates,
        default="today",
        help="day of the crash ids, or days: 2026-11-27, 2026-11-01..2026-11-27, today, yesterday (default: today)",
    )
    command.set_defaults(run=rebuild)
    commands.add_parser("export", help="print the crashes of the index, a JSON object a line").set_defaults(run=export)
    args = parser.parse_args()
    run: int = args.run(args)
    return run


if __name__ == "__main__":
    _common.run(main, *_backends.ERRORS, sqlite3.Error)
