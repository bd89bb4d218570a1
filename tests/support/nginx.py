# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""nginx with the project's configuration, in front of a collector."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.emulators import EmulatorMissingError
from tests.support.programs import Program, free_port
from tests.support.raw_http import RawConnection
from tests.support.server import PROJECT_ROOT

MISSING_NGINX = """\
nginx is missing: its configuration is not tested. Debian and Ubuntu have it in the package nginx-light."""

CONFIGURATION = PROJECT_ROOT / "docker" / "images" / "nginx" / "nginx.conf"


class Nginx:
    """An nginx that listens on a port of 127.0.0.1."""

    def __init__(self, program: Program, port: int) -> None:
        self._program = program
        self.port = port

    def connect(self) -> RawConnection:
        """Return a new connection to nginx."""
        return RawConnection("127.0.0.1", self.port)

    def logs(self) -> str:
        """Return the log of nginx."""
        return self._program.logs()


@contextmanager
def running_nginx(directory: Path, collector_port: int, changes: dict[str, str]) -> Iterator[Nginx]:
    """Start nginx in front of a collector, with some lines of its configuration replaced.

    Stop it at the end of the block.

    Raises ``EmulatorMissingError``.
    """
    command = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if command is None:
        raise EmulatorMissingError(MISSING_NGINX)
    port = free_port()
    text = CONFIGURATION.read_text(encoding="utf-8")
    places = {
        "server collector:8000;": f"server 127.0.0.1:{collector_port};",
        "listen 8080 ": f"listen 127.0.0.1:{port} ",
        " /tmp/": f" {directory}/",
        "worker_processes auto;": "worker_processes 1;",
    }
    for old, new in (places | changes).items():
        assert old in text, old
        text = text.replace(old, new)
    (directory / "nginx.conf").write_text(text, encoding="utf-8")
    # If nginx is started as root, its workers run as a user who may not read the directory.
    options = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
    arguments = ["-c", str(directory / "nginx.conf"), "-e", "stderr", "-g", options]
    program = Program([command, *arguments], log_file=directory / "nginx.log")
    try:
        program.wait_until(lambda: _listens(port))
        yield Nginx(program, port)
    finally:
        program.kill()


def _listens(port: int) -> bool:
    try:
        RawConnection("127.0.0.1", port).close()
    except OSError:
        return False
    return True
