# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Follows README and quickstart word by word: ``python -m tests.docs.first_minutes``.

Every console block of the two pages runs in its order, in a fresh clone of this checkout and in an empty environment.
Only the ports differ from what is written, because those of the pages may be taken. Blocks that call ``make test`` are
left out. A block fails if a command does, or if a line that the page shows is not in the output.

Run by ``.ci/run``, not by ``make test``: it installs the requirements from the network, which takes a minute or two.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.programs import Program, free_port
from tests.support.server import PROJECT_ROOT

PAGES = (Path("README.rst"), Path("docs/quickstart.rst"))

# Programs that go on until they are stopped, and the words in their output when they are ready.
SERVERS = {"make run": "ready: ", "make viewer": "Crashes are at "}
# Seconds: pip may have to download everything.
INSTALLED_WITHIN = 900
FINISHED_WITHIN = 120

_BLOCK = re.compile(r"^\.\. code-block:: console\n\n((?:   .*\n|\n)+)", re.MULTILINE)
_CRASH_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"^\d\d:\d\d:\d\d ")


@dataclass(frozen=True)
class Block:
    """A console block: its commands, and the lines of output that the page shows."""

    commands: tuple[str, ...]
    shown: tuple[str, ...]

    @property
    def server(self) -> str | None:
        """The server that it starts, a key of ``SERVERS``; None if it ends by itself."""
        return next((server for server in SERVERS if self.commands[-1].endswith(server)), None)


def blocks_of(text: str) -> Iterator[Block]:
    """Yield the console blocks of a page, without those that run the tests."""
    for block in _BLOCK.findall(text):
        lines = [line.removeprefix("   ") for line in block.replace("\\\n", "\\\n$ ").strip("\n").splitlines()]
        commands = "\n".join(line.removeprefix("$ ") for line in lines if line.startswith("$ "))
        if "make test" not in commands:
            shown = tuple(line for line in lines if not line.startswith("$ ") and line not in ("", "..."))
            yield Block(tuple(re.sub(r"\\\n\s*", "", commands).splitlines()), shown)


def missing_lines(block: Block, output: str) -> list[str]:
    """Return the lines that the page shows and that are not in the output. Ids and times may differ."""
    found = {_varying(line) for line in output.splitlines()}
    return [line for line in block.shown if _varying(line) not in found]


def _varying(line: str) -> str:
    return _TIME.sub("TIME ", _CRASH_ID.sub("ID", line)).strip()


class Reader:
    """Somebody who follows the pages in a fresh clone."""

    def __init__(self, directory: Path) -> None:
        self.clone = directory / "clone"
        self._logs = directory
        home = directory / "home"
        home.mkdir()
        clone = ["git", "clone", "--quiet", "--no-hardlinks", str(PROJECT_ROOT), str(self.clone)]
        subprocess.run(clone, check=True, timeout=FINISHED_WITHIN)
        self._ports = {"8000": str(free_port()), "8001": str(free_port())}
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "PORT": self._ports["8000"],
            "VIEWER_PORT": self._ports["8001"],
        }
        self._servers: dict[str, Program] = {}

    def follow(self, page: Path) -> None:
        """Do what a page says. Raises AssertionError."""
        text = (self.clone / page).read_text(encoding="utf-8")
        for written, port in self._ports.items():
            text = re.sub(rf"\b{written}\b", port, text)
        for number, block in enumerate(blocks_of(text), start=1):
            print(f"{page}, block {number}: {' ; '.join(block.commands)}", flush=True)
            output = self._start(block, block.server) if block.server else self._run(block)
            missing = missing_lines(block, output)
            assert not missing, f"the page shows {missing}, the output is:\n{output}"

    def stop(self) -> None:
        """Stop all servers, as Ctrl-C does."""
        for name in list(self._servers):
            self._stop(name)

    def _run(self, block: Block) -> str:
        command = ["bash", "-euo", "pipefail", "-c", "\n".join(block.commands)]
        done = subprocess.run(
            command, cwd=self.clone, env=self._environment, capture_output=True, text=True, timeout=FINISHED_WITHIN,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"exit code {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def _start(self, block: Block, server: str) -> str:
        self._stop(server)
        log_file = self._logs / f"{server.replace(' ', '_')}.log"
        log_file.unlink(missing_ok=True)
        command = ["bash", "-euo", "pipefail", "-c", "\n".join(block.commands)]
        program = Program(command, log_file=log_file, environment=self._environment, directory=self.clone)
        self._servers[server] = program
        program.wait_until(lambda: SERVERS[server] in program.logs(), INSTALLED_WITHIN)
        return program.logs()

    def _stop(self, name: str) -> None:
        program = self._servers.pop(name, None)
        if program is not None and program.is_running:
            # Ctrl-C reaches every process of the terminal.
            os.killpg(program.pid, signal.SIGINT)
            program.wait()


def main() -> int:
    """Follow the pages, one after the other; return the exit code."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        reader = Reader(Path(directory))
        for page in PAGES:
            try:
                reader.follow(page)
            finally:
                reader.stop()
    print("README and quickstart work as they are written.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
