# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A storage that saves crashes in a directory tree of the same shape as the bucket."""

import contextlib
import stat
from collections.abc import Iterator
from pathlib import Path

from antenna.backend import BackendError, Deadline
from antenna.config import ConfigManager, Option
from antenna.ext.crashstorage_base import CrashStorageBase, StoredObject
from antenna.ext.fs.directory import Directory
from antenna.files import require_type
from antenna.hub import run_blocking


class FSCrashStorage(CrashStorageBase):
    """Stores each object as a file, which is written under another name, fsynced and renamed."""

    class Config:
        """Options."""

        fs_root = Option(doc="Directory that crashes are saved in. It is made if it is not there.")

    def __init__(self, config: ConfigManager) -> None:
        """``config`` has the namespace ``CRASHMOVER_CRASHSTORAGE``."""
        self.config = config.with_options(self)
        self.root = Path(self.config("fs_root"))
        self._directory = Directory(self.root)

    @property
    def place(self) -> str:
        """The path of the directory."""
        return str(self.root.absolute())

    def save_object(self, item: StoredObject, deadline: Deadline) -> None:
        """Write the file in a native thread. Raises ``BackendError``."""
        self._directory.write(item.path, item.pieces, deadline, item.descriptor)

    def list_paths(self, prefix: str) -> Iterator[str]:
        """Yield the names of files that begin with ``prefix``, except temporary files. Raises ``BackendError``."""
        try:
            yield from run_blocking(_list, self.root, prefix)
        except OSError as error:
            raise BackendError(f"{self.root}: {error.strerror}") from error

    def load(self, path: str) -> bytes | None:
        """Return the content of a file, or None if it does not exist. Raises ``BackendError``."""
        try:
            return run_blocking(_read, self.root / path)
        except (FileNotFoundError, ValueError):  # no file has a name with a NUL or half of a surrogate pair
            return None
        except OSError as error:
            raise BackendError(f"{self.root / path}: {error.strerror}") from error

    def delete(self, path: str) -> None:
        """Delete a file. If it was the last one of its day, delete the day's folder as well.

        Raises ``BackendError``.
        """
        try:
            run_blocking(_delete, self.root / path)
        except OSError as error:
            raise BackendError(f"{self.root / path}: {error.strerror}") from error

    def check_health(self) -> None:
        """Raise ``BackendError`` if the directory cannot be written."""
        self._directory.check()

    def verify(self) -> None:
        """Make the directory, and check that it can be written."""
        self._directory.verify()


def _read(file: Path) -> bytes:
    """Return the content of a file. Raises ``OSError``, also for a FIFO, whose end may never come."""
    require_type(file.stat(), stat.S_IFREG, file)
    return file.read_bytes()


def _list(root: Path, prefix: str) -> list[str]:
    directory = root / prefix.rpartition("/")[0]
    files = (file for file in directory.rglob("*") if file.is_file() and not file.name.startswith("."))
    names = (file.relative_to(root).as_posix() for file in files)
    return sorted(name for name in names if name.startswith(prefix))


def _delete(file: Path) -> None:
    file.unlink(missing_ok=True)
    # Only the raw crashes of a day have a folder of their own. Nothing is written to the folder of a day that is over.
    if file.parent.name.isdecimal():
        with contextlib.suppress(OSError):  # other crashes are there
            file.parent.rmdir()
