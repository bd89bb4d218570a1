# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The collectors to measure: revisions of this one, or another collector, each with its options."""

import io
import shlex
import subprocess
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.server import PROJECT_ROOT

WORKING_TREE = "."


@dataclass(frozen=True)
class Setup:
    """A collector to start. ``name`` is how it was asked for."""

    name: str
    revision: str = WORKING_TREE
    #: A shell command that starts a collector; it gets its options as environment variables. None: bin/run_web.sh.
    command: str | None = None
    #: Where the command runs. None: in the checkout of the revision.
    directory: str | None = None
    environment: dict[str, str] = field(default_factory=dict)


def parse_setup(text: str) -> Setup:
    """Read ``[REVISION] [NAME=VALUE ...] [command="..."] [directory=...]``. Raises ValueError."""
    revision = WORKING_TREE
    command = directory = None
    environment: dict[str, str] = {}
    for word in shlex.split(text):
        name, is_option, value = word.partition("=")
        if not is_option:
            revision = word
        elif name == "command":
            command = value
        elif name == "directory":
            directory = value
        elif name.isupper():
            environment[name] = value
        else:
            raise ValueError(f"neither a revision nor an option: {word}")
    return Setup(text, revision, command, directory, environment)


def check_out(setup: Setup, parent: Path) -> Path:
    """Return the directory of the setup's code; a revision other than the working tree is unpacked below ``parent``.

    Raises subprocess.CalledProcessError for a revision that git does not know.
    """
    if setup.directory:
        return Path(setup.directory)
    if setup.revision == WORKING_TREE:
        return PROJECT_ROOT
    command = ["git", "rev-parse", "--verify", f"{setup.revision}^{{commit}}"]
    commit = subprocess.run(command, cwd=PROJECT_ROOT, check=True, capture_output=True, text=True).stdout.strip()
    directory = parent / commit
    if not directory.exists():
        archive = subprocess.run(["git", "archive", commit], cwd=PROJECT_ROOT, check=True, capture_output=True).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(directory, filter="data")
    return directory
