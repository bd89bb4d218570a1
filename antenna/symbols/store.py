# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The store of symbols: a directory with a folder for each module, like a symbol store of Breakpad or Microsoft.

::

    DIR/xul.pdb/44E4EC8C2F41492B9369D6B9A059577C2/xul.sym         a Breakpad file, as it was added
                                                  xul.symcache    functions, files, lines
                                                  xul.cfi         call frame information
                                                  xul.json        the facts about the module (``Entry``)

The name of a module's folder has its debug file and its debug id. A file appears by a rename, complete or not at all.
If a second file is added for the same module, such as debug information in addition to a stripped library, its better
parts replace the earlier ones.
"""

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from antenna.symbols import compiler
from antenna.symbols.compiler import Compiled, SymbolError

_DEBUG_ID = re.compile(r"[0-9A-F]{33,40}")
_MODULE_LINE = re.compile(r"MODULE (?P<os>\S+) (?P<arch>\S+) (?P<id>[0-9A-Fa-f]+) (?P<name>.+)")

# The sources of functions' names, the worst first.
_FUNCTIONS = ("", "symtab", "debug")


@dataclass(frozen=True, slots=True)
class Entry:
    """The facts about the symbols of a module in the store."""

    debug_file: str
    debug_id: str
    code_id: str
    arch: str
    functions: str
    """The source of the functions' names: ``debug`` (debug information), ``symtab``, or "" if there is none."""
    cfi: bool
    sources: tuple[str, ...]
    """Names and formats of the files that were added, such as ``libxul.so (elf)``."""
    added: str
    """When the last file was added: ISO 8601, in UTC."""
    trouble: str = ""
    """The parts of that file that could not be read, and why."""


def breakpad_id(debug_id: str) -> str:
    """Convert a debug id from symbolic's form to Breakpad's: 32 hex digits in upper case, and the age in hex."""
    parts = debug_id.split("-")
    age = parts.pop() if len(parts) == 6 else "0"  # noqa: PLR2004 - a UUID has five parts
    return "".join(parts).upper() + age.upper()


class Store:
    """A directory of symbols."""

    def __init__(self, root: Path) -> None:
        """``root`` need not exist yet."""
        self.root = root

    def entries(self) -> Iterator[Entry]:
        """Yield the entries of all modules, sorted by debug file."""
        for path in sorted(self.root.glob("*/*/*.json")):
            entry = _read_entry(path)
            if entry is not None:
                yield entry

    def find(self, debug_file: str, debug_id: str) -> Path | None:
        """Return the path of a module's files, without the suffix. Returns None if the store has no symbols for it.

        The debug id decides. The name only says where to look first, because people rename debug files.
        """
        if not _DEBUG_ID.fullmatch(debug_id):
            return None
        name = _base_name(debug_file)
        first = [self.root / name / debug_id] if _is_plain(name) else []
        for folder in (*first, *sorted(self.root.glob(f"*/{debug_id}"))):
            for description in sorted(folder.glob("*.json")):
                return description.with_suffix("")
        return None

    def add(self, path: Path) -> list[Entry]:
        """Add a symbol file. Returns the new entries of its modules. Raises ``SymbolError`` and ``OSError``."""
        self.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.root, prefix=".adding-") as name:
            directory = Path(name)
            compiled = compiler.compile_file(path, directory)
            entries = [self._take(item, path, directory) for item in compiled if item.functions or item.cfi]
        if not entries:
            troubles = ", ".join(item.trouble for item in compiled if item.trouble)
            raise SymbolError(troubles or "no symbols in it: neither functions nor call frame information")
        return entries

    def _take(self, item: Compiled, path: Path, directory: Path) -> Entry:
        """Move the compiled files of an object to their place, if they are better than those that are there."""
        debug_id = breakpad_id(item.debug_id)
        if not _DEBUG_ID.fullmatch(debug_id) or not debug_id[:32].strip("0"):
            raise SymbolError("it has no debug id, so no crash can be matched with it (link with --build-id)")
        debug_file = _debug_file(item, path)
        place = self.find(debug_file, debug_id) or self.root / debug_file / debug_id / _stem(debug_file)
        place.parent.mkdir(parents=True, exist_ok=True)
        old = _read_entry(_beside(place, ".json"))
        better_names = _FUNCTIONS.index(item.functions) >= _FUNCTIONS.index(old.functions if old else "")
        if item.functions and better_names:
            (directory / f"{item.number}.symcache").replace(_beside(place, ".symcache"))
        if item.cfi:
            (directory / f"{item.number}.cfi").replace(_beside(place, ".cfi"))
        if item.file_format == "breakpad":
            copy = directory / f"{item.number}.sym"
            shutil.copyfile(path, copy)
            copy.replace(_beside(place, ".sym"))
        source = f"{path.name} ({item.file_format})"
        entry = Entry(
            debug_file=place.parent.parent.name,
            debug_id=debug_id,
            code_id=item.code_id or (old.code_id if old else ""),
            arch=item.arch,
            functions=item.functions if better_names else old.functions if old else "",
            cfi=item.cfi or (old is not None and old.cfi),
            sources=tuple(dict.fromkeys((*(old.sources if old else ()), source))),
            added=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            trouble=item.trouble,
        )
        _write_entry(_beside(place, ".json"), entry, directory)
        return entry

    def file(self, debug_file: str, debug_id: str, suffix: str) -> Path | None:
        """Return the file of a module that has a suffix, such as ``.cfi``. Returns None if there is none."""
        place = self.find(debug_file, debug_id)
        file = None if place is None else _beside(place, suffix)
        return file if file is not None and file.exists() else None

    def size(self, entry: Entry) -> int:
        """Return the number of bytes that a module's files take."""
        folder = self.root / entry.debug_file / entry.debug_id
        return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())


def _beside(place: Path, suffix: str) -> Path:
    """Return the file of a module with this suffix. ``with_suffix`` will not do: names of libraries have dots."""
    return place.with_name(place.name + suffix)


def _read_entry(path: Path) -> Entry | None:
    try:
        fields = json.loads(path.read_bytes())
        return Entry(**(fields | {"sources": tuple(fields["sources"])}))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _write_entry(path: Path, entry: Entry, directory: Path) -> None:
    written = directory / path.name
    written.write_text(json.dumps(asdict(entry), indent=1), encoding="utf-8")
    Path(written).replace(path)


def _debug_file(item: Compiled, path: Path) -> str:
    """Return the name by which dumps refer to the module's debug file."""
    if item.file_format == "breakpad":
        with path.open(encoding="utf-8", errors="replace") as file:
            match = _MODULE_LINE.fullmatch(file.readline().strip())
        name = _base_name(match["name"]) if match else path.name
    elif item.file_format == "pe":
        # A dump refers to the program database that belongs to the library or program.
        name = f"{path.stem}.pdb"
    else:
        name = path.name.removesuffix(".debug")
    if not _is_plain(name):
        raise SymbolError(f"{name!r} cannot be the name of a folder")
    return name


def _base_name(path: str) -> str:
    return PurePosixPath(path.replace("\\", "/")).name


def _is_plain(name: str) -> bool:
    return name not in {"", ".", ".."} and "/" not in name and "\0" not in name and not name.startswith(".")


def _stem(debug_file: str) -> str:
    return debug_file.removesuffix(".pdb")
