#!/usr/bin/env python3
# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Keep the symbols that give stacks their functions, files and lines.

add: adds symbol files to the store: Breakpad's .sym, ELF, Mach-O, PDB and PE. Stripped files are useful as well: they
still say how to walk the stack. Directories are searched. A file may take minutes, but only once.
list: prints the modules that have symbols.
missing: reads the crashes of a day, and prints the modules on their stacks that have no symbols. Modules that concern
the most crashes come first.

Adding needs the package symbolic, which 'make symbols' installs. The store is a directory with the layout of a symbol
store of Breakpad or Microsoft. Crashes are read from the storage that the environment variables
CRASHMOVER_CRASHSTORAGE_... configure, as for the collector. If they are not set, it is that of 'make run', in .local.

Examples:
  bin/symbols.py add build/MyApp build/MyApp.debug
  bin/symbols.py add --symbols /srv/symbols crashreporter-symbols/
  bin/symbols.py list
  bin/symbols.py missing --date 20261101-20261122

"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bin import _backends, _common, _symbols  # isort: split

from antenna.crash import dump_path
from antenna.ext import CrashStorageBase
from antenna.minidump import Minidump, MinidumpError, Module
from antenna.symbols import Entry, Store, SymbolError, missing, read

MINIDUMP = "upload_file_minidump"

# The first bytes of files that may have symbols: ELF; Mach-O, single and fat, of both byte orders; PE; PDB; Breakpad.
_MAGICS = (
    b"\x7fELF",
    *(bytes.fromhex(magic) for magic in ("feedface", "feedfacf", "cefaedfe", "cffaedfe", "cafebabe")),
    b"MZ",
    b"Microsoft C/C++ MSF",
    b"MODULE ",
)


def files_below(paths: list[Path]) -> Iterator[tuple[Path, bool]]:
    """Yield the files to add, and whether each was named as an argument. Raises ``ToolError`` if one does not exist."""
    for path in paths:
        if path.is_dir():
            for file in sorted(path.rglob("*")):
                if file.is_file() and not file.is_symlink() and _may_have_symbols(file):
                    yield file, False
        elif path.is_file():
            yield path, True
        else:
            raise _common.ToolError(f"{path} is not there")


def _may_have_symbols(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(32).startswith(_MAGICS)
    except OSError:
        return False


def describe(entry: Entry) -> str:
    """Return in words which symbols the store has for a module."""
    names = {"debug": "functions, files and lines", "symtab": "functions", "": ""}[entry.functions]
    return ", ".join(filter(None, (names, "call frame information" if entry.cfi else "", entry.trouble)))


def add(store: Store, args: argparse.Namespace) -> int:
    """Add files. Returns the exit code."""
    added, failed = 0, 0
    for path, is_named in files_below(args.paths):
        try:
            entries = store.add(path)
        except (SymbolError, OSError) as error:
            failed += is_named
            _common.note(_common.printable(f"{path}: {error}"))
            continue
        added += len(entries)
        for entry in entries:
            print(_common.printable(f"{entry.debug_file} {entry.debug_id}: {describe(entry)}"), flush=True)
    if not added:
        _common.note(f"nothing was added to {store.root}")
    return 1 if failed or not added else 0


def list_entries(store: Store, args: argparse.Namespace) -> int:
    """Print the modules in the store. Returns the exit code."""
    entries = list(store.entries())
    for entry in entries:
        if args.json:
            _common.print_json(asdict(entry))
        else:
            size = f"{store.size(entry) / 1024**2:.1f} MiB"
            print(_common.printable(f"{entry.debug_file} {entry.debug_id} {entry.arch}, {size}: {describe(entry)}"))
    if not entries:
        _common.note(f"no symbols in {store.root}")
    return 0


class Search:
    """Searches crashes for modules without symbols."""

    def __init__(self, storage: CrashStorageBase, store: Store) -> None:
        self._storage = storage
        self._store = store
        #: Number of crashes whose minidump was read, and of those whose minidump could not be read.
        self.read = 0
        self.damaged = 0

    def missing(self, dates: list[str]) -> Counter[Module]:
        """Return the modules without symbols, each with the number of crashes that it concerns."""
        found: Counter[tuple[str, str]] = Counter()
        modules: dict[tuple[str, str], Module] = {}
        ids = _backends.stored_ids(self._storage, dates)
        for crash_id, content in _common.Progress("looked at").watch(_backends.side_by_side(self._load, ids)):
            if content is not None:
                for module in self._modules(crash_id, content):
                    key = (module.debug_file or module.name, module.debug_id)
                    found[key] += 1
                    modules.setdefault(key, module)
        return Counter({modules[key]: count for key, count in found.items()})

    def _load(self, crash_id: str) -> tuple[str, bytes | None]:
        return crash_id, self._storage.load(dump_path(crash_id, MINIDUMP))

    def _modules(self, crash_id: str, content: bytes) -> list[Module]:
        try:
            modules = missing(read(Minidump(content), self._store), self._store)
        except MinidumpError as error:
            self.damaged += 1
            _common.note(_common.printable(f"{crash_id}: {error}"))
            return []
        self.read += 1
        return modules


def print_missing(store: Store, args: argparse.Namespace) -> int:
    """Print the modules without symbols. Returns the exit code."""
    search = Search(_backends.storage(), store)
    for module, crashes in search.missing(args.date).most_common():
        file, debug_id = module.debug_file or module.name, module.debug_id
        if args.json:
            _common.print_json({"crashes": crashes, "debug_file": file, "debug_id": debug_id,
                                "code_file": module.code_file, "code_id": module.code_id})  # fmt: skip
        else:
            crashes_text = f"{crashes:,} crash" if crashes == 1 else f"{crashes:,} crashes"
            print(_common.printable(f"{crashes_text}: {file} {debug_id or '(no debug id)'}  {module.code_file}"))
    _common.note(f"{search.read:,} crashes with a minidump, symbols in {store.root}")
    return 1 if search.damaged else 0


def parse_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = _common.make_parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    adding = commands.add_parser("add", help="add symbol files to the store")
    adding.add_argument("paths", metavar="FILE", nargs="+", type=Path, help="a symbol file, or a directory of them")
    adding.set_defaults(run=add)
    listing = commands.add_parser("list", help="list the modules that have symbols")
    listing.add_argument("--json", action="store_true", help="print one JSON object for each module")
    listing.set_defaults(run=list_entries)
    looking = commands.add_parser("missing", help="list the modules on the stacks of crashes that have no symbols")
    looking.add_argument(
        "--date", type=_backends.parse_dates, default="today", help="day of the crashes, or days (default: today, UTC)"
    )
    looking.add_argument("--json", action="store_true", help="print one JSON object for each module")
    looking.set_defaults(run=print_missing)
    for command in (adding, listing, looking):
        _symbols.add_argument(command)
    return parser.parse_args()


def main() -> int:
    """Run the command. Returns the exit code."""
    args = parse_arguments()
    store = _symbols.store(args.symbols)
    if store is None:
        raise _common.ToolError(f"where are the symbols? Say --symbols DIR, or set {_symbols.VARIABLE}")
    code: int = args.run(store, args)
    return code


if __name__ == "__main__":
    _common.run(main, *_backends.ERRORS)
