# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A file system that refuses calls, as SMB, FUSE and the file systems of sandboxes do.

In this process: ``with refusing(root, {"chmod": errno.EPERM}):``. In a program that tests start: its environment says
``REFUSED="chmod=EPERM directory-fsync=EINVAL"`` and ``REFUSED_BELOW=<root>``, and its ``PYTHONPATH`` has ``SITE``.
"""

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

SITE = Path(__file__).parent / "site"

# For each name of a call, the function to replace, and a test of its arguments.
_MATCHES: dict[str, tuple[Any, str, Callable[..., bool]]] = {
    "chmod": (os, "fchmod", lambda *_: True),
    "directory-fsync": (os, "fsync", lambda file: stat.S_ISDIR(os.fstat(file).st_mode)),
    "file-fsync": (os, "fsync", lambda file: not stat.S_ISDIR(os.fstat(file).st_mode)),
    "nameless-file": (os, "open", lambda _, flags, *__: flags & os.O_TMPFILE == os.O_TMPFILE),
    "link": (os, "link", lambda *_: True),
    "rename-over": (os, "rename", lambda _, target: os.path.lexists(target)),
    "grow": (os, "truncate", lambda *_: True),
    "flock": (fcntl, "flock", lambda _, operation: operation != fcntl.LOCK_UN),
}


@contextlib.contextmanager
def refusing(root: Path, refused: Mapping[str, int]) -> Iterator[None]:
    """Refuse calls below ``root``: an error number for each name of a call."""
    with contextlib.ExitStack() as undo:
        for name, code in refused.items():
            _refuse(root, name, code, undo)
        yield


def refuse_for_good(environment: Mapping[str, str]) -> None:
    """Refuse the calls that the environment names, for the whole life of the process."""
    for item in environment["REFUSED"].split():
        name, _, code = item.partition("=")
        _refuse(Path(environment["REFUSED_BELOW"]), name, getattr(errno, code), contextlib.ExitStack())


def _refuse(root: Path, name: str, code: int, undo: contextlib.ExitStack) -> None:
    module, function, matches = _MATCHES[name]
    real = getattr(module, function)

    def call(*args: Any, **kwargs: Any) -> Any:
        path = args[1] if function == "link" else args[0]
        if matches(*args) and _path(path).is_relative_to(root):
            raise OSError(code, os.strerror(code))
        return real(*args, **kwargs)

    setattr(module, function, call)
    undo.callback(setattr, module, function, real)


def _path(file: Any) -> Path:
    if not isinstance(file, int):
        return Path(file)
    name = os.readlink(f"/proc/self/fd/{file}")  # noqa: PTH115 - a file that was removed has no path
    return Path(name.removesuffix(" (deleted)"))
