# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Programs that tests start: emulators and the collector itself."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 on which nothing listens.

    It lies below the range from which systems take the ports of outgoing connections. So no such connection takes it
    before the program that it is meant for.
    """
    while True:
        port = random.randint(20_000, 30_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started and not reaped yet. Raises OSError if it has ended."""
    # ``psutil`` looks at all processes of the machine for this, which takes 6 ms, and tests ask some thousand times.
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Program:
    """A program in a process group of its own, with its output in a file."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log_file: Path,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        self.log_file = log_file
        with log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=directory,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The id of the process, which is also that of its process group."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the program has not ended yet."""
        return self._process.poll() is None

    def logs(self) -> str:
        """Return what the program has written to stdout and stderr so far."""
        return self.log_file.read_text(errors="replace")

    def wait_until(self, is_ready: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait until ``is_ready`` returns True.

        Raises AssertionError with the program's output if it ends or takes longer.
        """
        deadline = time.monotonic() + seconds
        while not is_ready():
            if not self.is_running:
                raise AssertionError(f"ended with exit code {self._process.returncode}:\n{self.logs()}")
            if time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"not ready after {seconds} s:\n{self.logs()}")
            time.sleep(0.02)

    def wait(self, seconds: float = 30.0) -> int:
        """Wait until the program ends, and return its exit code. Raises AssertionError if it takes longer."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running after {seconds} s:\n{self.logs()}") from None

    def terminate(self) -> None:
        """Send SIGTERM to the program, not to its children."""
        self._process.terminate()

    def stop(self, seconds: float = 30.0) -> int:
        """Send SIGTERM, and return the exit code as ``wait`` does."""
        self.terminate()
        return self.wait(seconds)

    def kill(self) -> None:
        """Kill the program and all its children with SIGKILL. Nothing happens if they have ended."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


def run_python(program: str, *arguments: object) -> "subprocess.Popen[str]":
    """Run a program in another process."""
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def line_of(process: "subprocess.Popen[str]") -> str:
    """Wait for the next line that another process prints."""
    assert process.stdout
    return process.stdout.readline().strip()


def say(process: "subprocess.Popen[str]", line: str) -> None:
    """Write a line to the input of another process."""
    assert process.stdin
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def output_of(program: str, *arguments: object) -> str:
    """Run a program in another process to its end, and return its output."""
    with run_python(program, *arguments) as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return output
