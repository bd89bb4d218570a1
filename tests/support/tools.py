# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Runs the programs of bin/ as people do: a command line, an environment, and what comes of it.

A Python program needs half a second of CPU to import what it uses, and the tests run programs some 300 times. So most
are run by a process that has imported it once: it forks for each command. ``tests/bin/test_programs.py`` starts every
program by itself.
"""

import atexit
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.server import INHERITED, PROJECT_ROOT

# Seconds that a command may take.
_TIMEOUT = 60
# Programs that import bin/_backends.py first. In a fork it has been imported, and gevent has patched the process.
_FORKED = re.compile(
    r"bin/(check_config|fetch_crashes|list_crashes|prune_crashes|pull_ids|republish|spool|throttle)\.py"
)
# Characters that mean something to a shell.
_SHELL_SYNTAX = re.compile(r"[|&;<>()$`\\*?\[#~%\n]")
# Beginnings of the variables that Python reads when it starts.
_OF_PYTHON = ("PYTHON", "LANG", "LC_", "VIRTUAL_ENV", "PATH")


@dataclass(frozen=True)
class Result:
    """The result of a command."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[str]:
        """Lines of stdout."""
        return self.stdout.splitlines()

    @property
    def objects(self) -> list[Any]:
        """The JSON objects on stdout, one a line."""
        return [json.loads(line) for line in self.lines]


def run_shell(
    command: str,
    environment: Mapping[str, str],
    *,
    stdin: str = "",
    root: Path = PROJECT_ROOT,
    pass_fds: Sequence[int] = (),
) -> Result:
    """Run a command line in the project's directory, as its docs show it, with the Python of the tests."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**inherited, "PATH": path, **environment}
    result = None
    if root == PROJECT_ROOT and not pass_fds and _can_be_forked(command, environment.keys() - inherited - {"PATH"}):
        result = _forking_process().run(shlex.split(command), environment, stdin)
    if result is None:
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=root,
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
            pass_fds=pass_fds,
        )
        result = Result(done.returncode, done.stdout, done.stderr)
    # Whatever goes wrong, a program prints one line that says so.
    assert "Traceback" not in result.stderr, result.stderr
    return result


def _can_be_forked(command: str, variables: set[str]) -> bool:
    return (
        _FORKED.match(command) is not None
        and not _SHELL_SYNTAX.search(command)
        and not any(name.startswith(_OF_PYTHON) for name in variables)
    )


class _ForkingProcess:
    """A process that runs one program after the other, each in a fork of its own."""

    def __init__(self) -> None:
        self._is_in_use = threading.Lock()
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(_TIMEOUT)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.forked_programs", str(theirs.fileno())],
                cwd=PROJECT_ROOT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._answers = self._socket.makefile("r")
        atexit.register(self.stop)

    def run(self, arguments: Sequence[str], environment: Mapping[str, str], stdin: str) -> Result | None:
        """Run a program; return None if another thread has it run one. Raises TimeoutError after a minute."""
        if not self._is_in_use.acquire(blocking=False):
            return None
        try:
            return self._run(arguments, environment, stdin)
        finally:
            self._is_in_use.release()

    def _run(self, arguments: Sequence[str], environment: Mapping[str, str], stdin: str) -> Result:
        with tempfile.TemporaryDirectory() as directory:
            files = [Path(directory, name) for name in ("stdin", "stdout", "stderr")]
            files[0].write_text(stdin)
            request = {"arguments": arguments, "environment": environment, "files": list(map(str, files))}
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            exit_code = json.loads(self._answers.readline())
            return Result(exit_code, files[1].read_text(), files[2].read_text())

    def stop(self) -> None:
        """End it, and what it runs."""
        self._socket.close()
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@cache
def _forking_process() -> _ForkingProcess:
    return _ForkingProcess()
