#!/usr/bin/env python3
# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Delete old crashes from the storage, which may be a file system or a bucket.

The date in the id of a crash decides how old it is. Dumps are deleted first and the raw crash last, so if a run is
interrupted, the next one continues it. Empty folders of days are deleted as well. Crashes in the spool, and ids that
were published, are not deleted.

In a bucket, a lifecycle rule does the same without a program. The docs on storage describe it.

The storage is the one that the environment variables CRASHMOVER_CRASHSTORAGE_... configure, as for the collector.
If they are not set, it is that of 'make run', in .local. The exit code is 1 if something could not be deleted.

Examples:
  bin/prune_crashes.py --older-than 90d --dry-run    # says how much would be deleted
  bin/prune_crashes.py --older-than 90d

"""

import argparse
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bin import _backends, _common  # isort: split

from antenna.backend import BackendError
from antenna.crash import crash_id as crash_ids
from antenna.ext import CrashStorageBase

# The prefix of everything in the storage.
_OBJECTS = "v1/"
_RAW_CRASHES = "v1/raw_crash/"

_DAYS = {"d": 1, "w": 7, "y": 365}


def parse_age(text: str) -> int:
    """Return an age in days: ``90d``, ``12w``, ``1y``. This is for ``argparse``."""
    match = re.fullmatch(r"([1-9][0-9]{0,4})([dwy])", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"expected days, weeks or years, such as 90d, 12w or 1y, not {text!r}")
    return int(match[1]) * _DAYS[match[2]]


class Pruning:
    """Deletes the objects of crashes that are older than a day."""

    def __init__(self, storage: CrashStorageBase, before: str, *, dry_run: bool) -> None:
        """``before`` is YYYYMMDD. Crashes of that day are kept."""
        self._storage = storage
        self._before = before
        self._dry_run = dry_run
        #: Number of objects deleted, of raw crashes among them, and of objects that could not be deleted.
        self.deleted = 0
        self.crashes = 0
        self.failed = 0

    def run(self) -> None:
        """Delete dumps and dump names, then raw crashes. Raises ``BackendError`` if the storage cannot be listed."""
        progress = _common.Progress("would delete" if self._dry_run else "deleted")
        for paths in (self._old_parts(), self._old_raw_crashes()):
            for path, error in _backends.side_by_side(self._delete, paths):
                if error is None:
                    self.deleted += 1
                    self.crashes += path.startswith(_RAW_CRASHES)
                    progress.step()
                else:
                    self.failed += 1
                    _common.note(_common.printable(str(error)))
        progress.end()

    def _old_parts(self) -> Iterator[str]:
        for path in self._storage.list_paths(_OBJECTS):
            if not path.startswith(_RAW_CRASHES) and self._is_old(path):
                yield path

    def _old_raw_crashes(self) -> Iterator[str]:
        return filter(self._is_old, self._storage.list_paths(_RAW_CRASHES))

    def _is_old(self, path: str) -> bool:
        crash_id = path.rpartition("/")[2]
        return crash_ids.is_valid(crash_id) and crash_ids.date_of(crash_id) < self._before

    def _delete(self, path: str) -> tuple[str, BackendError | None]:
        if not self._dry_run:
            try:
                self._storage.delete(path)
            except BackendError as error:
                return path, error
        return path, None


def main() -> int:
    """Delete old crashes. Returns the exit code."""
    parser = _common.make_parser(__doc__)
    parser.add_argument(
        "--older-than", type=parse_age, required=True, metavar="AGE", help="age in days, weeks or years: 90d, 12w, 1y"
    )
    parser.add_argument("--dry-run", action="store_true", help="delete nothing, and say how much would be deleted")
    args = parser.parse_args()

    storage = _backends.storage()
    before = datetime.now(UTC).date() - timedelta(days=args.older_than)
    pruning = Pruning(storage, f"{before:%Y%m%d}", dry_run=args.dry_run)
    pruning.run()
    verb = "would delete" if args.dry_run else "deleted"
    _common.note(
        f"{verb} {pruning.crashes:,} crashes from before {before:%Y-%m-%d} ({pruning.deleted:,} objects) "
        f"in {storage.place}"
    )
    if pruning.failed:
        _common.note(f"{pruning.failed:,} objects could not be deleted")
    return 1 if pruning.failed else 0


if __name__ == "__main__":
    _common.run(main, *_backends.ERRORS)
