# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Makes FIFOs, sockets and other things that have a name at which a file or directory is expected."""

import os
import socket
import stat
from pathlib import Path

_LINKS = {
    "link to a file": __file__,
    "link to a directory": "/",
    "link to nothing": "nothing",
}

#: All but a file.
ODD_THINGS = ("directory", "FIFO", "socket", *_LINKS, "link to itself")


def make_odd_thing(path: Path, kind: str) -> None:
    """Make one of ``ODD_THINGS``, a file, or a device if the tests are allowed to."""
    if kind == "file":
        path.write_bytes(b"a file")
    elif kind == "directory":
        path.mkdir()
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "socket":
        _make_socket(path)
    elif kind == "device":
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero: it can be read without end
    else:
        path.symlink_to(_LINKS.get(kind, path.name))


def _make_socket(path: Path) -> None:
    """Make a socket under a relative name, because the name of a socket can have 107 bytes at most."""
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
    finally:
        os.chdir(before)
