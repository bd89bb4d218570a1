# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Compiles a symbol file. This module is a program that runs in a child process, with limits.

``python -m antenna.symbols.compiler FILE DIR`` reads a Breakpad ``.sym`` file, ELF, Mach-O, PDB or PE with Sentry's
symbolic. For each object in it, it writes ``<n>.symcache`` (functions, files, lines) and ``<n>.cfi`` (call frame
information) into ``DIR``, and prints a line of JSON. ``compile_file`` runs this program.
"""

import contextlib
import io
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from antenna.symbols import cfi_index

# Seconds of CPU, and bytes of memory beside the file itself: Firefox's libxul takes 75 s and 335 MB, and the debug
# information of Chromium several times as much.
CPU_SECONDS = 1800
MEMORY = 8 * 1024**3

_BREAKPAD_MAGIC = b"MODULE "


class SymbolError(Exception):
    """A file has no symbols that can be read. The message says why."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """An object whose symbols have been compiled."""

    number: int
    debug_id: str
    """The debug id in symbolic's form: a UUID in lower case, and the age if there is one."""
    code_id: str
    arch: str
    file_format: str
    functions: str
    """The source of the functions' names: ``debug`` (debug information), ``symtab``, or "" if there is none."""
    cfi: bool
    """Whether there is call frame information."""
    trouble: str
    """The parts of the object that could not be read, and why. Empty if all of it could be read."""


def compile_file(path: Path, directory: Path) -> list[Compiled]:
    """Compile ``path`` into ``directory``, in a child process. Raises ``SymbolError``."""
    done = subprocess.run(  # noqa: S603 - this very module
        [sys.executable, "-m", "antenna.symbols.compiler", str(path.resolve()), str(directory.resolve())],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 1:
        raise SymbolError(done.stderr.strip().rpartition("\n")[2])
    if done.returncode:
        raise SymbolError(f"reading it took too much memory or time, or crashed the reader (status {done.returncode})")
    return [Compiled(**json.loads(line)) for line in done.stdout.splitlines()]


def main() -> int:
    """Compile the file named by the first argument. Returns the exit code."""
    path, directory = Path(sys.argv[1]), Path(sys.argv[2])
    try:
        from symbolic.debuginfo import Archive  # noqa: PLC0415 - may not be installed
        from symbolic.exceptions import SymbolicError  # noqa: PLC0415 - may not be installed
    except ImportError:
        sys.stderr.write("the package symbolic is not installed: make symbols\n")
        return 1
    _limit(path.stat().st_size)
    try:
        for number, item in enumerate(Archive.open(str(path)).iter_objects()):
            sys.stdout.write(json.dumps(asdict(_compile(number, item, path, directory))) + "\n")
    except SymbolicError as error:
        sys.stderr.write(f"no symbols that can be read: {_one_line(error)}\n")
        return 1
    return 0


def _limit(size: int) -> None:
    # The limit grows with the file, because it is mapped into memory and its debug information may be unpacked.
    memory = MEMORY + 4 * size
    for what, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, CPU_SECONDS)):
        with contextlib.suppress(ValueError):  # a lower limit is set already
            resource.setrlimit(what, (most, most))


def _compile(number: int, item: Any, path: Path, directory: Path) -> Compiled:
    from symbolic.exceptions import SymbolicError  # noqa: PLC0415 - may not be installed

    # If one record of call frame information is broken, symbolic reads none of them. The functions of the file are not
    # affected.
    functions, cfi, troubles = "", False, []
    try:
        functions = _compile_functions(item, directory / f"{number}.symcache")
    except SymbolicError as error:
        troubles.append(f"functions cannot be read: {_one_line(error)}")
    try:
        cfi = _compile_cfi(item, path, directory / f"{number}.cfi")
    except SymbolicError as error:
        troubles.append(f"call frame information cannot be read: {_one_line(error)}")
    return Compiled(
        number=number,
        debug_id=item.debug_id,
        code_id=item.code_id or "",
        arch=item.arch,
        file_format=item.file_format,
        functions=functions,
        cfi=cfi,
        trouble=", ".join(troubles),
    )


def _one_line(error: Exception) -> str:
    """Return an error of symbolic and its causes in one line. symbolic writes each cause into a line of its own."""
    return ": ".join(line.strip().removeprefix("caused by: ") for line in str(error).splitlines())


def _compile_functions(item: Any, path: Path) -> str:
    kind = next((feature for feature in ("debug", "symtab") if feature in item.features), "")
    if kind:
        with path.open("wb") as file:
            item.make_symcache().dump_into(file)
    return kind


def _compile_cfi(item: Any, path: Path, database: Path) -> bool:
    if "unwind" not in item.features and item.file_format != "breakpad":
        return False
    filled = cfi_index.build(database, _stack_lines(item, path))
    if not filled:
        database.unlink()
    return filled


def _stack_lines(item: Any, path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        is_breakpad = file.read(len(_BREAKPAD_MAGIC)) == _BREAKPAD_MAGIC
    if is_breakpad:
        with path.open(encoding="utf-8", errors="replace") as text:
            yield from cfi_index.stack_lines(text)
        return
    # symbolic writes the call frame information of ELF, Mach-O, PDB and PE in Breakpad's notation.
    stream = io.TextIOWrapper(item.make_cficache().open_stream(), encoding="utf-8", errors="replace")
    yield from cfi_index.stack_lines(stream)


if __name__ == "__main__":
    sys.exit(main())
