# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Files that are complete and on the disk, or not there at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from antenna.crash.buffer import write_all


def fsync_directory(directory: Path) -> None:
    """Make names in ``directory`` durable: an fsync of a file is not one of its directory."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directories(directory: Path) -> None:
    """Make ``directory`` and those above it, each of them durable."""
    if not directory.is_dir():
        make_directories(directory.parent)
        directory.mkdir(exist_ok=True)
        fsync_directory(directory.parent)


def probe(directory: Path) -> None:
    """Prove that files can be made in ``directory``. Raises ``OSError``."""
    descriptor, name = tempfile.mkstemp(prefix=".tmp-", dir=directory)
    os.close(descriptor)
    Path(name).unlink()


def write_file(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file in a directory that is not visible yet, and fsync it. Raises ``OSError``."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        for piece in pieces:
            write_all(descriptor, piece)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file aside, fsync it and rename it to ``path``; directories are made. Raises ``OSError``."""
    make_directories(path.parent)
    descriptor, temporary = tempfile.mkstemp(prefix=".tmp-", dir=path.parent)
    try:
        try:
            os.fchmod(descriptor, 0o644)
            for piece in pieces:
                write_all(descriptor, piece)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        Path(temporary).rename(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
    fsync_directory(path.parent)
