# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Runs the programs of bin/ as people do: a command line, an environment, and what comes of it.

A Python program needs up to a second of CPU to import what it uses, and the tests run programs some 400 times. So most
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
from typing import Any, Self

from tests.support.server import INHERITED, PROJECT_ROOT

# Seconds that a command may take.
_TIMEOUT = 60
# Programs that import bin/_backends.py, with which gevent patches the process. In a fork this has been done. The last
# one belongs to the tests.
_PATCHED = re.compile(
    r"bin/(check_config|fetch_crashes|list_crashes|prune_crashes|pull_ids|republish|show_crash|spool|symbols|throttle"
    r"|viewer_index)\.py|tests/bin/short_leases\.py"
)
# Programs that gevent must not patch: they, or Google's clients for them, work with threads.
_PLAIN = re.compile(r"bin/(gcs|healthcheck|pubsub|send_crashes|show_config|supersearch)\.py")
# The modules that the programs import when they need them, by a class in the environment. They take Google's clients
# with them, whose imports take most of a second.
_IMPORTED_LATE = {
    "GcsCrashStorage": ("google.cloud.storage", "antenna.ext.gcs.crashstorage"),
    "PubSubCrashPublish": ("bin._subscription", "antenna.ext.pubsub.crashpublish"),
}
# Characters that mean something to a shell.
_SHELL_SYNTAX = re.compile(r"[|&;<>()$`\\*?\[#~%\n]")
_QUOTED = re.compile("'[^']*'")
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
    stdout: Path | None = None,
    root: Path = PROJECT_ROOT,
    pass_fds: Sequence[int] = (),
    by_itself: bool = False,
) -> Result:
    """Run a command line in the project's directory, as its docs show it, with the Python of the tests.

    ``stdout``: the file to write the output to, which may be any bytes. ``by_itself``: not in a fork of a process that
    has run other programs.
    """
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    whole = {**inherited, "PATH": path, **environment}
    result = None
    if root == PROJECT_ROOT and not pass_fds and not by_itself and _can_be_forked(command, environment):
        program = _Program.of(command, whole)
        if program is not None:
            result = _forking_process(is_patched=program.is_patched).run(program, stdin, stdout)
    if result is None:
        done = subprocess.run(
            ["/bin/sh", "-c", f"{{ {command}; }} > {stdout}" if stdout else command],
            cwd=root,
            env=whole,
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


def _can_be_forked(command: str, environment: Mapping[str, str]) -> bool:
    unquoted = _QUOTED.sub("", command)
    return not _SHELL_SYNTAX.search(unquoted) and not any(name.startswith(_OF_PYTHON) for name in environment)


@dataclass(frozen=True)
class _Program:
    """A program to run in a fork."""

    arguments: list[str]
    environment: Mapping[str, str]
    is_patched: bool

    @classmethod
    def of(cls, command: str, environment: Mapping[str, str]) -> Self | None:
        """Return the program of a command; return None if it is none that can run in a fork."""
        arguments = shlex.split(command.removeprefix("python "))
        is_patched = _PATCHED.fullmatch(arguments[0]) is not None
        return cls(arguments, environment, is_patched) if is_patched or _PLAIN.fullmatch(arguments[0]) else None

    @property
    def imported(self) -> list[str]:
        """The modules that it imports: its own name stands for those that it imports at its start."""
        modules = [self.arguments[0].removesuffix(".py").replace("/", ".")]
        if self.is_patched:
            for value in self.environment.values():
                modules += _IMPORTED_LATE.get(value.rpartition(".")[2], ())
        return modules


class _ForkingProcess:
    """A process that runs one program after the other, each in a fork of its own."""

    def __init__(self, *, is_patched: bool) -> None:
        """``is_patched``: gevent patches the process."""
        self._is_in_use = threading.Lock()
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(_TIMEOUT)
        command = [sys.executable, "-m", "tests.support.forked_programs", str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(
                [*command, "--patched"] if is_patched else command,
                cwd=PROJECT_ROOT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._answers = self._socket.makefile("r")
        atexit.register(self.stop)

    def run(self, program: _Program, stdin: str, stdout: Path | None) -> Result | None:
        """Run a program; return None if another thread has it run one. Raises TimeoutError after a minute."""
        if not self._is_in_use.acquire(blocking=False):
            return None
        try:
            return self._run(program, stdin, stdout)
        finally:
            self._is_in_use.release()

    def _run(self, program: _Program, stdin: str, stdout: Path | None) -> Result:
        with tempfile.TemporaryDirectory() as directory:
            files = [Path(directory, "stdin"), stdout or Path(directory, "stdout"), Path(directory, "stderr")]
            files[0].write_text(stdin)
            request = {
                "arguments": program.arguments,
                "environment": program.environment,
                "imported": program.imported,
                "files": list(map(str, files)),
            }
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            exit_code = json.loads(self._answers.readline())
            return Result(exit_code, "" if stdout else files[1].read_text(), files[2].read_text())

    def stop(self) -> None:
        """End it, and what it runs."""
        self._answers.close()
        self._socket.close()
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@cache
def _forking_process(*, is_patched: bool) -> _ForkingProcess:
    return _ForkingProcess(is_patched=is_patched)
