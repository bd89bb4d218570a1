#!/usr/bin/env python3
# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Copy crashes from the storage into a directory, and print the ids of those that were copied completely.

Ids are given as arguments or on stdin. URLs that end in an id will do as well. The directory gets the layout that
the tools of Crash Stats use:

  DIR/raw_crash/YYYYMMDD/ID     the raw crash
  DIR/dump_names/ID             the names of its dumps
  DIR/<dump name>/ID            a dump; the minidump is in DIR/upload_file_minidump/ID
  DIR/processed_crash/ID        the crash as the viewer shows it, under the names of Crash Stats' processed crashes

Files that exist already are not fetched again. To continue after an interruption, run the program again.
The storage is the one that the environment variables CRASHMOVER_CRASHSTORAGE_... configure, as for the collector.
If they are not set, it is the viewer at VIEWER_URL, with the token VIEWER_PROTECTED_TOKEN, or that of 'make run', in
.local. Processed crashes come from the viewer at VIEWER_URL; without it, the dumps are read for them.
The exit code is 1 if something is missing in the storage, or damaged.

Examples:
  bin/supersearch.py --product=Firefox --num=10 | bin/fetch_crashes.py --raw --dumps --no-processed crashdata
  bin/list_crashes.py --product=Firefox --num=10 | bin/fetch_crashes.py --processed crashdata
  bin/fetch_crashes.py DIR de1bb258-cbbf-4589-a673-34f800261122         # only the raw crash
  bin/fetch_crashes.py --dumps --overwrite DIR https://crashes.example.com/report/index/ID

"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bin import _backends, _common, _viewer  # isort: split

from antenna.backend import BackendError
from antenna.crash import dump_names_path, dump_path, raw_crash_path
from antenna.ext import CrashStorageBase
from antenna.files import replace_file
from antenna.hub import run_blocking
from bin._processed import Processed, is_from_viewer
from bin._viewer import Viewer, ViewerStorage


@dataclass(frozen=True)
class Outcome:
    """The result for one crash: the objects of the storage that were fetched, and what is wrong with it."""

    crash_id: str
    fetched: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether everything that was asked for is in the directory."""
        return not self.missing and not self.problems


class Fetcher:
    """Copies crashes into a directory."""

    def __init__(self, storage: CrashStorageBase | ViewerStorage, args: argparse.Namespace) -> None:
        self._storage = storage
        self._directory: Path = args.directory
        self._raw: bool = args.raw
        self._dumps: bool = args.dumps
        self._overwrite: bool = args.overwrite
        self._processed = Processed(storage) if args.processed else None

    def fetch(self, crash_id: str) -> Outcome:
        """Copy what was asked for of one crash. The result says what is wrong with the crash. Raises ``OSError``."""
        outcome = Outcome(crash_id)
        try:
            if self._dumps:
                self._fetch_dumps(crash_id, outcome)
            # The raw crash comes last, as in the storage, so that all of its crash is there.
            if self._raw:
                path = raw_crash_path(crash_id)
                self._copy(path, path.removeprefix("v1/"), outcome)
            if self._processed is not None:
                path = f"processed_crash/{crash_id}"
                self._copy(path, path, outcome, partial(self._processed.load, crash_id))
        except (_common.ToolError, BackendError) as error:
            outcome.problems.append(str(error))
        return outcome

    def _fetch_dumps(self, crash_id: str, outcome: Outcome) -> None:
        path = dump_names_path(crash_id)
        self._copy(path, path.removeprefix("v1/"), outcome)
        if path not in outcome.missing:
            for name in self._dump_names(path):
                self._copy(dump_path(crash_id, name), f"{name}/{crash_id}", outcome)

    def _dump_names(self, path: str) -> list[str]:
        try:
            names = json.loads(self._file(path.removeprefix("v1/")).read_bytes())
        except (ValueError, RecursionError):
            names = None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise _common.ToolError(f"{path} is not a list of names")
        return names

    def _copy(self, path: str, relative: str, outcome: Outcome, load: Callable[[], bytes | None] | None = None) -> None:
        """Copy the object ``path`` to a file, unless the file exists."""
        file = self._file(relative)
        if file.exists() and not self._overwrite:
            outcome.present.append(path)
            return
        content = self._storage.load(path) if load is None else load()
        if content is None:
            outcome.missing.append(path)
            return
        run_blocking(replace_file, file, [content])
        outcome.fetched.append(path)

    def _file(self, relative: str) -> Path:
        """Return the path of a file. Raises ``ToolError`` if it is outside of the directory."""
        path = PurePosixPath(relative)
        if path.is_absolute() or ".." in path.parts or "\0" in relative:
            raise _common.ToolError(f"{relative} leads out of {self._directory}")
        return self._directory / path


def parse_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = _common.make_parser(__doc__)
    switch = argparse.BooleanOptionalAction
    parser.add_argument("--raw", action=switch, default=True, help="fetch raw crashes (default)")
    parser.add_argument("--dumps", action=switch, default=False, help="fetch dump names and dumps")
    parser.add_argument(
        "--processed",
        action=switch,
        default=False,
        help="fetch processed crashes: from a viewer, or read from the dumps",
    )
    parser.add_argument("--overwrite", action=switch, default=False, help="fetch files again that exist already")
    parser.add_argument(
        "--workers",
        type=_common.positive_int,
        default=_backends.CONCURRENCY,
        help="number of crashes to fetch at the same time (default: %(default)s)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object for each crash: what was fetched and what is missing"
    )
    parser.add_argument(
        "directory", metavar="DIR", type=Path, help="directory to copy to; it is made if it is not there"
    )
    parser.add_argument(
        "crash_ids", metavar="ID", nargs="*", type=_backends.parse_id, help="crash ids (default: read from stdin)"
    )
    args = parser.parse_args()
    if not args.raw and not args.dumps and not args.processed:
        parser.error("nothing to fetch: say --raw, --dumps or --processed")
    return args


def main() -> int:
    """Fetch crashes. Returns the exit code."""
    args = parse_arguments()
    storage = ViewerStorage(Viewer(_viewer.url())) if is_from_viewer() else _backends.storage()
    fetcher = Fetcher(storage, args)
    crash_ids = _backends.read_ids(args.crash_ids)
    progress = _common.Progress("fetched", len(crash_ids))
    incomplete = 0
    for outcome in progress.watch(_backends.side_by_side(fetcher.fetch, crash_ids, args.workers)):
        incomplete += not outcome.is_whole
        if outcome.missing:
            _common.note(f"{outcome.crash_id}: missing in the storage: {_common.printable(', '.join(outcome.missing))}")
        for problem in outcome.problems:
            _common.note(f"{outcome.crash_id}: {_common.printable(problem)}")
        if args.json:
            _common.print_json(vars(outcome))
        elif outcome.is_whole:
            print(outcome.crash_id)
    if incomplete:
        _common.note(f"{incomplete} of {len(crash_ids)} crashes are incomplete")
    return 1 if incomplete else 0


if __name__ == "__main__":
    _common.run(main, *_backends.ERRORS)
