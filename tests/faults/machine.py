# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The machine that a collector runs on. Its disk and its name service fail when a schedule says so."""

import contextlib
import errno
import mmap
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Self

_SOURCE = Path(__file__).with_name("machine_faults.c")
# Bytes of the file system: enough for the crashes that a schedule spools, and few enough to be filled at once.
_SIZE = 64 * 1024 * 1024
# Bytes that are left after it was filled.
_LEFT = 100_000


class FaultMissingError(Exception):
    """A fault cannot be caused on this machine. The message says what is missing."""


def build_library(directory: Path) -> Path | None:
    """Compile the library that makes operations fail. Returns None without a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    library = directory / "machine_faults.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library), str(_SOURCE), "-ldl"]
    subprocess.run(command, check=True)
    return library


class Machine:
    """A directory for a spool, on a file system of its own where that is allowed, and a name service.

    A context manager.
    """

    def __init__(self, directory: Path, library: Path | None) -> None:
        """``library`` comes from ``build_library``."""
        self.directory = directory.resolve()
        self._library = library
        self._control_file = directory.with_name(f"{directory.name}.control")
        self._is_mounted = False
        self.directory.mkdir()
        self._control_file.write_bytes(bytes(12))

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the programs that have this disk."""
        if self._library is None:
            return {}
        return {
            "LD_PRELOAD": str(self._library),
            "MACHINE_FAULTS_DIRECTORY": str(self.directory),
            "MACHINE_FAULTS_CONTROL": str(self._control_file),
        }

    def set_disk(self, fault: str) -> None:
        """Make the disk fail. "pass" makes it work again. Raises ``FaultMissingError``."""
        code, _, how_often = fault.partition(" ")
        (self.directory / "filler").unlink(missing_ok=True)
        if fault == "full":
            self._fill()
        elif fault != "pass":
            self._need_library()
        self._control(0, getattr(errno, code, 0), 20 if how_often else 100)

    def set_names(self, fault: str) -> None:
        """Make the name service give no answer. "pass" makes it work again. Raises ``FaultMissingError``."""
        if fault != "pass":
            self._need_library()
        self._control(2, int(fault != "pass"))

    def _need_library(self) -> None:
        if self._library is None:
            raise FaultMissingError("a C compiler, for a disk that fails and names that are not found")

    def _fill(self) -> None:
        if not self._is_mounted:
            raise FaultMissingError("the right to mount a file system, for a disk that is full")
        left = shutil.disk_usage(self.directory).free - _LEFT
        with contextlib.suppress(OSError), (self.directory / "filler").open("wb", buffering=0) as filler:
            filler.write(bytes(max(0, left)))

    def _control(self, first: int, *numbers: int) -> None:
        with self._control_file.open("r+b") as file, mmap.mmap(file.fileno(), 12) as control:
            control[4 * first : 4 * (first + len(numbers))] = struct.pack(f"={len(numbers)}i", *numbers)

    def __enter__(self) -> Self:
        command = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(self.directory)]
        with contextlib.suppress(FileNotFoundError):
            self._is_mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_mounted:
            # A process that was killed may not have ended yet.
            subprocess.run(["umount", "--lazy", str(self.directory)], check=True)
