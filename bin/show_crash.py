#!/usr/bin/env python3
# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Show a crash as it is stored: raw crash, dump names, and for each dump its size and whether its checksum is right.

Storage is that of the environment variables CRASHMOVER_CRASHSTORAGE_..., as for the collector.
Without them: what 'make run' keeps in .local. Exit code 1 if anything of the crash is missing or damaged.

Examples:
  bin/show_crash.py de1bb258-cbbf-4589-a673-34f800261122
  bin/send_crashes.py | xargs -n 1 bin/show_crash.py
  bin/show_crash.py bp-de1bb258-cbbf-4589-a673-34f800261122 --json | jq .raw_crash.ProductName

"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bin import _backends, _common  # isort: split

from antenna.crash.object_names import dump_names_path, dump_path, raw_crash_path
from antenna.ext.crashstorage_base import CrashStorageBase

# BREAKPAD_DUMP_CHECKSUM_ALGORITHM of the collector that took the crash may have been any.
ALGORITHMS = ("md5", "sha256", "sha1", "sha512")


def verify(content: bytes | None, checksum: str | None, *, is_named: bool) -> str:
    """Return the algorithm by which the checksum is right, or in capitals what is wrong."""
    if content is None:
        return "MISSING"
    if checksum is None:
        return "NO CHECKSUM"
    if not is_named:
        return "NOT AMONG THE DUMP NAMES"
    for algorithm in ALGORITHMS:
        if hashlib.new(algorithm, content, usedforsecurity=False).hexdigest() == checksum:
            return algorithm
    return "WRONG CHECKSUM"


def load_crash(storage: CrashStorageBase, crash_id: str) -> dict[str, Any]:
    """Return what is stored of a crash. Raises ``ToolError`` if there is no raw crash."""
    content = storage.load(raw_crash_path(crash_id))
    if content is None:
        raise _common.ToolError(f"no crash {crash_id}: there is no {raw_crash_path(crash_id)}")
    raw_crash = json.loads(content)
    encoded_names = storage.load(dump_names_path(crash_id))
    names = None if encoded_names is None else json.loads(encoded_names)
    checksums = (raw_crash.get("metadata") or {}).get("dump_checksums") or {}
    dumps = []
    for name in sorted({*(names or ()), *checksums}):
        dump = storage.load(dump_path(crash_id, name))
        dumps.append(
            {
                "name": name,
                "path": dump_path(crash_id, name),
                "size": None if dump is None else len(dump),
                "checksum": checksums.get(name),
                "verified": verify(dump, checksums.get(name), is_named=name in (names or ())),
            }
        )
    return {"crash_id": crash_id, "raw_crash": raw_crash, "dump_names": names, "dumps": dumps}


def is_whole(crash: dict[str, Any]) -> bool:
    """Whether nothing is missing or damaged."""
    return crash["dump_names"] is not None and all(dump["verified"] in ALGORITHMS for dump in crash["dumps"])


def print_crash(crash: dict[str, Any]) -> None:
    """Print a crash for people."""
    crash_id = crash["crash_id"]
    print(f"{raw_crash_path(crash_id)}:")
    print(_common.printable(json.dumps(crash["raw_crash"], indent=2, sort_keys=True, ensure_ascii=False)))
    names = crash["dump_names"]
    print(f"\n{dump_names_path(crash_id)}: {'MISSING' if names is None else json.dumps(names)}")
    for dump in crash["dumps"]:
        size = "" if dump["size"] is None else f"{dump['size']:,} bytes, "
        result = dump["verified"]
        print(f"{dump['path']}: {dump['name']}, {size}{f'{result} verified' if result in ALGORITHMS else result}")


def main() -> int:
    """Print a crash; return the exit code."""
    parser = _common.make_parser(__doc__)
    parser.add_argument("crash_id", metavar="ID", type=_backends.parse_id, help="crash id, with or without bp-")
    parser.add_argument("--json", action="store_true", help="print one object, on a line")
    args = parser.parse_args()

    crash = load_crash(_backends.storage(), args.crash_id)
    if args.json:
        _common.print_json(crash)
    else:
        print_crash(crash)
    return 0 if is_whole(crash) else 1


if __name__ == "__main__":
    _common.run(main, *_backends.ERRORS)
