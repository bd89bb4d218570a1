#!/usr/bin/env python3
# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Show what crashed and where: a stored crash with its annotations and dumps, or any minidump file.

The first line is a summary. The stack follows. Each frame says how it was found; a frame that was found by a scan is a
guess. The checksums of stored dumps are verified. If bin/symbols.py has symbols, frames have functions and lines.

The storage is the one that the environment variables CRASHMOVER_CRASHSTORAGE_... configure, as for the collector.
If they are not set, it is that of 'make run', in .local. Minidump files need no storage.
The exit code is 1 if a part of the crash is missing or damaged, or a minidump cannot be read.

Examples:
  bin/show_crash.py latest                                  # the newest crash of today or yesterday (UTC)
  bin/show_crash.py de1bb258-cbbf-4589-a673-34f800261122
  bin/show_crash.py crashdata/upload_file_minidump/de1bb258-cbbf-4589-a673-34f800261122 --threads --modules
  bin/send_crashes.py | xargs -n 1 bin/show_crash.py
  bin/show_crash.py bp-de1bb258-cbbf-4589-a673-34f800261122 --json | jq .crash_reason

"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bin import _common, _minidumps, _symbols  # isort: split

from antenna.minidump import Minidump, MinidumpError
from antenna.symbols import Store

if TYPE_CHECKING:
    from bin._stored_crash import StoredCrash


#: The argument that stands for the id of the newest crash.
LATEST = "latest"


def parse_target(text: str) -> Path | str:
    """Return a file or a crash id. This is for ``argparse``."""
    if Path(text).exists():
        return Path(text)
    if text == LATEST:
        return text
    # Only stored crashes need the packages of requirements.txt.
    from bin import _backends  # noqa: PLC0415

    try:
        return _backends.parse_id(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"neither a crash id nor a file: {text!r}") from None


def show_file(path: Path, store: Store | None, shown: _minidumps.Shown, *, as_json: bool) -> int:
    """Show a minidump. Returns the exit code."""
    try:
        with Minidump.open(path) as dump:
            read = _minidumps.ReadDump(dump, store)
            if as_json:
                _common.print_json({"file": str(path), **read.as_json()})
            else:
                print(_minidumps.short(read.facts.summary()))
                print_lines(read.describe(shown))
    except MinidumpError as error:
        if as_json:
            _common.print_json({"file": str(path), "error": str(error)})
        raise _common.ToolError(_common.printable(f"{path}: {error}")) from error
    return 0


def show_stored(crash: "StoredCrash", shown: _minidumps.Shown, *, as_json: bool) -> int:
    """Show a stored crash. Returns the exit code."""
    if as_json:
        _common.print_json(crash.as_json())
    else:
        print(_minidumps.short(crash.summary))
        print_lines(crash.describe(shown))
    for problem in crash.problems:
        _common.note(_common.printable(f"{crash.crash_id}: {problem}"))
    return 1 if crash.problems else 0


def print_lines(lines: Any) -> None:
    """Print lines one by one."""
    for line in lines:
        print(line)


def main() -> int:
    """Show a crash. Returns the exit code."""
    parser = _common.make_parser(__doc__)
    parser.add_argument(
        "target", metavar="ID|FILE", type=parse_target, help="crash id, with or without bp-; 'latest'; or a minidump"
    )
    parser.add_argument("--threads", action="store_true", help="show the stacks of all threads")
    parser.add_argument(
        "--modules", action="store_true", help="show the modules: addresses, versions, ids of their symbols"
    )
    parser.add_argument("--registers", action="store_true", help="show the registers of the thread that crashed")
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object on one line")
    _symbols.add_argument(parser)
    args = parser.parse_args()

    # The terminal's encoding may lack characters of the dump.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # it is the one that Python opened
    shown = _minidumps.Shown(threads=args.threads, modules=args.modules, registers=args.registers)
    if isinstance(args.target, Path):
        return show_file(args.target, _symbols.store(args.symbols), shown, as_json=args.json)
    from bin import _stored_crash  # noqa: PLC0415 - needs the packages of requirements.txt

    crash_id = _stored_crash.latest_id() if args.target == LATEST else args.target
    crash = _stored_crash.load(crash_id, _symbols.store(args.symbols))
    return show_stored(crash, shown, as_json=args.json)


if __name__ == "__main__":
    _common.run(main)
