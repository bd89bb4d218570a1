#!/usr/bin/env python3
# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Copy crashes from the storage into a directory, and print the ids of those that are there as a whole.

Ids come as arguments or on stdin. The directory gets the tree of the bucket, without its v1/:

  DIR/raw_crash/YYYYMMDD/ID     the raw crash
  DIR/dump_names/ID             the names of its dumps
  DIR/dump/ID                   the minidump
  DIR/<dump name>/ID            any other dump

Files that are there already are not fetched again: run it again to continue after an interruption.
Storage is that of the environment variables CRASHMOVER_CRASHSTORAGE_..., as for the collector.
Without them: what 'make run' keeps in .local. Exit code 1 if something is missing in the storage.

Examples:
  bin/list_crashes.py --date 20261122 --product Fenix | bin/fetch_crashes.py --raw --dumps DIR
  bin/fetch_crashes.py --raw DIR de1bb258-cbbf-4589-a673-34f800261122

"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bin import _backends, _common  # isort: split

from antenna.ext.crashstorage_base import CrashStorageBase, dump_names_path, dump_path, raw_crash_path
from antenna.files import replace_file
from antenna.hub import run_blocking


@dataclass(frozen=True)
class Outcome:
    """What became of the objects of a crash, by their names in the storage."""

    crash_id: str
    fetched: list[str]
    present: list[str]
    missing: list[str]


class Fetcher:
    """Copies crashes into a directory."""

    def __init__(self, storage: CrashStorageBase, directory: Path, *, raw: bool, dumps: bool) -> None:
        self._storage = storage
        self._directory = directory
        self._raw = raw
        self._dumps = dumps

    def fetch(self, crash_id: str) -> Outcome:
        """Copy what was asked for of a crash. Raises ``BackendError``, ``OSError``."""
        outcome = Outcome(crash_id, [], [], [])
        for path in self._paths(crash_id, outcome):
            self._copy(path, outcome)
        return outcome

    def _paths(self, crash_id: str, outcome: Outcome) -> Iterator[str]:
        if self._dumps:
            yield dump_names_path(crash_id)
            if dump_names_path(crash_id) not in outcome.missing:
                for name in self._dump_names(crash_id):
                    yield dump_path(crash_id, name)
        # Last, as in the storage: whoever sees a raw crash finds all of it.
        if self._raw:
            yield raw_crash_path(crash_id)

    def _dump_names(self, crash_id: str) -> list[str]:
        path = dump_names_path(crash_id)
        try:
            names = json.loads(self._file(path).read_bytes())
        except ValueError:
            names = None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise _common.ToolError(f"{path} is not a list of names")
        return names

    def _copy(self, path: str, outcome: Outcome) -> None:
        if self._file(path).exists():
            outcome.present.append(path)
            return
        content = self._storage.load(path)
        if content is None:
            outcome.missing.append(path)
            return
        run_blocking(replace_file, self._file(path), [content])
        outcome.fetched.append(path)

    def _file(self, path: str) -> Path:
        relative = PurePosixPath(path.removeprefix("v1/"))
        if relative.is_absolute() or ".." in relative.parts:
            raise _common.ToolError(f"{path} leads out of {self._directory}")
        return self._directory / relative


def main() -> int:
    """Fetch crashes; return the exit code."""
    parser = _common.make_parser(__doc__)
    parser.add_argument("--raw", action="store_true", help="fetch raw crashes")
    parser.add_argument("--dumps", action="store_true", help="fetch dump names and dumps")
    parser.add_argument("--json", action="store_true", help="print an object a crash: what was fetched, is missing")
    parser.add_argument("directory", metavar="DIR", type=Path, help="directory to copy to; made if it is not there")
    parser.add_argument("crash_ids", metavar="ID", nargs="*", type=_backends.parse_id, help="default: read from stdin")
    args = parser.parse_args()
    if not args.raw and not args.dumps:
        parser.error("nothing to fetch: say --raw, --dumps or both")

    fetcher = Fetcher(_backends.storage(), args.directory, raw=args.raw, dumps=args.dumps)
    crash_ids = _backends.read_ids(args.crash_ids)
    progress = _common.Progress("fetched", len(crash_ids))
    incomplete = 0
    for outcome in progress.watch(_backends.side_by_side(fetcher.fetch, crash_ids)):
        if outcome.missing:
            incomplete += 1
            _common.note(f"{outcome.crash_id}: missing in the storage: {', '.join(outcome.missing)}")
        if args.json:
            _common.print_json(vars(outcome))
        elif not outcome.missing:
            print(outcome.crash_id)
    if incomplete:
        _common.note(f"{incomplete} of {len(crash_ids)} crashes are incomplete")
    return 1 if incomplete else 0


if __name__ == "__main__":
    _common.run(main, *_backends.ERRORS)
